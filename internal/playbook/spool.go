package playbook

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
)

// How much of a spool stays in memory before it is written: of one stream, and of all.
const (
	chunkBytes = 16 << 10
	spoolBytes = 16 << 20
)

// spool is a temporary file that holds many streams, which grow at the same time. A stream is written in chunks, so
// that its place in the file takes 16 bytes of memory per chunk at most. It is not safe for concurrent use while it
// grows; then any number of goroutines may read.
type spool struct {
	file    *os.File
	size    int64  // where the next chunk goes: after the page
	page    []byte // the end of the file, not yet written
	waiting int    // bytes in tails
	tails   map[*stream]struct{}
}

// newSpool makes a file that its owner only can read, and that is gone with the process: it has no name.
func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, "l4dump-playbook-*") // of mode 0600
	if err != nil {
		return nil, fmt.Errorf("make the playbook's file: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("hide the playbook's file: %w", err), file.Close())
	}
	return &spool{file: file, tails: map[*stream]struct{}{}}, nil
}

func (s *spool) close() error { return s.file.Close() }

// stream is a run of bytes in a spool.
type stream struct {
	Length  uint64
	Extents []extent // in the order of From
	tail    []byte   // the bytes after the last extent
}

// extent says that the stream's bytes from From on, up to the next extent, are in the file from At on.
type extent struct {
	From uint64
	At   int64
}

// append adds bytes to a stream.
func (s *spool) append(to *stream, bytes []byte) error {
	to.Length += uint64(len(bytes))
	to.tail = append(to.tail, bytes...)
	s.waiting += len(bytes)
	if len(to.tail) >= chunkBytes {
		return s.settle(to)
	}
	s.tails[to] = struct{}{}
	if s.waiting <= spoolBytes {
		return nil
	}
	for stream := range s.tails {
		if err := s.settle(stream); err != nil {
			return err
		}
	}
	return nil
}

// settle gives a stream's tail its place in the file.
func (s *spool) settle(to *stream) error {
	delete(s.tails, to)
	n := len(to.tail)
	if n == 0 {
		return nil
	}
	from := to.Length - uint64(n)
	last := len(to.Extents) - 1
	if last < 0 || to.Extents[last].At+int64(from-to.Extents[last].From) != s.size {
		to.Extents = append(to.Extents, extent{From: from, At: s.size})
	}
	s.page = append(s.page, to.tail...)
	s.size += int64(n)
	s.waiting -= n
	to.tail = nil
	if len(s.page) < 4*chunkBytes {
		return nil
	}
	return s.flush()
}

// forget drops what of a stream is still in memory.
func (s *spool) forget(stream *stream) {
	s.waiting -= len(stream.tail)
	delete(s.tails, stream)
	stream.tail = nil
}

// flush writes the page.
func (s *spool) flush() error {
	if len(s.page) == 0 {
		return nil
	}
	if _, err := s.file.WriteAt(s.page, s.size-int64(len(s.page))); err != nil {
		return fmt.Errorf("write the playbook: %w", err)
	}
	s.page = s.page[:0]
	return nil
}

// readAt fills p with the bytes of the file from at on, wherever they are.
func (s *spool) readAt(p []byte, at int64) error {
	written := s.size - int64(len(s.page))
	if at < written {
		n := int(min(int64(len(p)), written-at))
		if _, err := s.file.ReadAt(p[:n], at); err != nil {
			return fmt.Errorf("read the playbook: %w", err)
		}
		p, at = p[n:], at+int64(n)
	}
	if len(p) > 0 {
		copy(p, s.page[at-written:])
	}
	return nil
}

// reader returns the bytes of a stream as a file.
func (s *spool) reader(of *stream) io.ReaderAt { return streamReader{s, of} }

type streamReader struct {
	spool *spool
	*stream
}

// ReadAt implements io.ReaderAt.
func (r streamReader) ReadAt(p []byte, at int64) (int, error) {
	read := 0
	settled := r.Length - uint64(len(r.tail))
	for read < len(p) {
		from := uint64(at) + uint64(read)
		if from >= settled {
			n := copy(p[read:], r.tail[min(from-settled, uint64(len(r.tail))):])
			if read += n; read < len(p) {
				return read, io.EOF
			}
			break
		}
		i := sort.Search(len(r.Extents), func(i int) bool { return r.Extents[i].From > from }) - 1
		end := settled
		if i+1 < len(r.Extents) {
			end = r.Extents[i+1].From
		}
		n := int(min(uint64(len(p)-read), end-from))
		if err := r.spool.readAt(p[read:read+n], r.Extents[i].At+int64(from-r.Extents[i].From)); err != nil {
			return read, err
		}
		read += n
	}
	return read, nil
}
