package capture

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"l4dump/record"
)

// ErrNotEmpty is returned for a directory that an earlier run may have written to.
var ErrNotEmpty = errors.New("directory is not empty")

// RawWriter writes each direction of a connection to a file of its own, "<conn>.downstream" and "<conn>.upstream":
// byte N of the file is byte N of the stream, and what was not recorded is a hole that reads as zeros. A direction
// without bytes has no file. Files are readable by their owner only. Bytes that lie beyond MaxRawBytes, or beyond what
// the file system takes, are left out: that is a fault of their connection. What it buffers is bounded for all
// connections together.
type RawWriter struct {
	root     *os.Root
	max      int        // files that are open at a time
	open     *list.List // of *rawStream with an open file, the one used last in front
	full     *list.List // of *rawStream with bytes in a buffer, the one that got some last in front
	buffered int        // the buffers' capacity
	spare    [][]byte   // buffers of rawBufferBytes that are not in use
}

// MaxRawBytes is the longest file that a RawWriter writes. File systems differ in what they take; all that are in use
// for logs take this much, and no connection that a person looks at is longer.
const MaxRawBytes = 1 << 40

// rawFile is one direction of a connection.
type rawFile struct {
	conn      ID
	direction Direction
}

// name holds nothing but hex digits, a hyphen and the direction: no input can point elsewhere.
func (f rawFile) name() string { return f.conn.String() + "." + f.direction.String() }

// isRawName reports whether rawFile.name returns name for any connection.
func isRawName(name string) bool {
	id, direction, _ := strings.Cut(name, ".")
	_, ok := record.ParseConnID(id)
	return ok && (direction == Downstream.String() || direction == Upstream.String())
}

// rawStream is one direction of a connection, as far as it is not in its file.
type rawStream struct {
	rawFile
	file  *os.File // nil: it is not open
	buf   []byte   // what stands in the stream from at on
	at    uint64
	limit uint64        // the file system takes no bytes from here on; 0: it is not known to end
	known bool          // an error has said so
	open  *list.Element // in RawWriter.open
	full  *list.Element // in RawWriter.full
}

const (
	// maxOpenFiles stays below the usual limit of 1024 for a process.
	maxOpenFiles = 768
	// rawBufferBytes are written at once; a system call for each record would take longer than reading it does.
	rawBufferBytes = 64 << 10
	// rawShortBytes fit into a buffer that is made for one stream; most connections are short.
	rawShortBytes = 8 << 10
	maxSpare      = 64
	// maxRawBuffers bounds the bytes in all buffers: with more connections at a time each has less.
	maxRawBuffers = 16 << 20
)

// NewRawWriter returns a Writer to files in dir, which is made if it does not exist. If it holds anything, the
// error is ErrNotEmpty, unless replace is set: then the files of an earlier run are removed.
func NewRawWriter(dir string, replace bool) (*RawWriter, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the output directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the output directory: %w", err)
	}
	if err := clearRoot(root, replace); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", dir, err), root.Close())
	}
	return &RawWriter{root: root, max: maxOpenFiles, open: list.New(), full: list.New()}, nil
}

func clearRoot(root *os.Root, replace bool) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	if len(entries) > 0 && !replace {
		return ErrNotEmpty
	}
	for _, entry := range entries {
		if isRawName(entry.Name()) {
			if err := root.Remove(entry.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Begin implements Sink.
func (w *RawWriter) Begin(c *Connection) Consumer {
	r := &rawConsumer{w: w}
	for d := range r.streams {
		r.streams[d].rawFile = rawFile{c.ID, Direction(d)}
	}
	return r
}

// rawConsumer writes one connection.
type rawConsumer struct {
	w       *RawWriter
	streams [2]rawStream
}

// Event implements Consumer.
func (c *rawConsumer) Event(e *Event, _ Place) error {
	if e.Kind != KindData || len(e.Payload) == 0 {
		return nil
	}
	if e.Offset > MaxRawBytes-uint64(len(e.Payload)) {
		return &SkipError{fmt.Errorf("bytes from %d on lie beyond %d, the longest file that is written", e.Offset, int64(MaxRawBytes))}
	}
	s := &c.streams[e.Direction]
	if s.limit == 0 || e.Offset+uint64(len(e.Payload)) <= s.limit {
		if err := c.w.put(s, e.Offset, e.Payload); err != nil {
			return err
		}
	}
	return s.tooLong(e)
}

// tooLong returns a *SkipError if the file system does not take bytes of a stream: once at its end, where e is nil, or
// for each event after them.
func (s *rawStream) tooLong(e *Event) error {
	from := s.limit
	switch {
	case s.limit == 0, s.known && e == nil:
		return nil
	case s.known:
		from = e.Offset
	}
	s.known = true
	return &SkipError{fmt.Errorf("bytes from %d on: %w", from, syscall.EFBIG)}
}

// Fault implements Consumer.
func (*rawConsumer) Fault(*Fault) {}

// End implements Consumer: it writes what is left, and closes the connection's files.
func (c *rawConsumer) End(*Verdict) error {
	var err, skipped error
	for d := range c.streams {
		s := &c.streams[d]
		err = errors.Join(err, c.w.write(s), c.w.closeFile(s))
		skipped = errors.Join(skipped, s.tooLong(nil))
	}
	if err != nil {
		return err
	}
	return skipped
}

// Flush writes what is buffered.
func (w *RawWriter) Flush() error {
	for front := w.full.Front(); front != nil; front = w.full.Front() {
		if err := w.write(front.Value.(*rawStream)); err != nil {
			return err
		}
	}
	return nil
}

// Close flushes, and closes the files and the directory.
func (w *RawWriter) Close() error {
	err := w.Flush()
	for front := w.open.Front(); front != nil; front = w.open.Front() {
		err = errors.Join(err, w.closeFile(front.Value.(*rawStream)))
	}
	return errors.Join(err, w.root.Close())
}

// put adds bytes to a stream's buffer, which is written if it is full or they do not continue it.
func (w *RawWriter) put(s *rawStream, offset uint64, payload []byte) error {
	if s.at+uint64(len(s.buf)) != offset || len(s.buf)+len(payload) > rawBufferBytes {
		if err := w.write(s); err != nil || s.limit > 0 {
			return err
		}
	}
	if s.full == nil {
		s.at = offset
		s.full = w.full.PushFront(s)
	} else {
		w.full.MoveToFront(s.full)
	}
	w.buffered -= cap(s.buf)
	if n := len(s.buf) + len(payload); n > rawShortBytes && n <= rawBufferBytes && n > cap(s.buf) {
		s.buf = append(w.take(), s.buf...)
	}
	s.buf = append(s.buf, payload...)
	w.buffered += cap(s.buf)
	for w.buffered > maxRawBuffers {
		if err := w.write(w.full.Back().Value.(*rawStream)); err != nil {
			return err
		}
	}
	return nil
}

// take returns an empty buffer of rawBufferBytes.
func (w *RawWriter) take() []byte {
	n := len(w.spare) - 1
	if n < 0 {
		return make([]byte, 0, rawBufferBytes)
	}
	buf := w.spare[n]
	w.spare = w.spare[:n]
	return buf
}

// write writes a stream's buffer. What the file system does not take sets its limit.
func (w *RawWriter) write(s *rawStream) error {
	if s.full == nil {
		return nil
	}
	buf := s.buf
	w.full.Remove(s.full)
	w.buffered -= cap(buf)
	s.full, s.buf = nil, nil
	if cap(buf) == rawBufferBytes && len(w.spare) < maxSpare {
		w.spare = append(w.spare, buf[:0]) // no one else writes before buf is written below
	}
	if err := w.openFile(s); err != nil {
		return fmt.Errorf("open a stream's file: %w", err)
	}
	_, err := s.file.WriteAt(buf, int64(s.at))
	if errors.Is(err, syscall.EFBIG) {
		var info fs.FileInfo
		if info, err = s.file.Stat(); err == nil { // WriteAt does not say what it has written before
			s.limit = max(1, s.at, uint64(info.Size()))
		}
	}
	if err != nil {
		return fmt.Errorf("write a stream's file: %w", err)
	}
	return nil
}

// openFile opens a stream's file, and closes the one that was not used for the longest time if there are too many.
func (w *RawWriter) openFile(s *rawStream) (err error) {
	if s.file != nil {
		w.open.MoveToFront(s.open)
		return nil
	}
	if w.open.Len() >= w.max {
		if err := w.closeFile(w.open.Back().Value.(*rawStream)); err != nil {
			return err
		}
	}
	if s.file, err = w.root.OpenFile(s.name(), os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
		return err
	}
	s.open = w.open.PushFront(s)
	return nil
}

func (w *RawWriter) closeFile(s *rawStream) error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	w.open.Remove(s.open)
	s.file, s.open = nil, nil
	if err != nil {
		return fmt.Errorf("close a stream's file: %w", err)
	}
	return nil
}
