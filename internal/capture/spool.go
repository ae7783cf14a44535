package capture

import (
	"fmt"
	"io"
	"os"
)

// spool keeps text of many connections until each is written in whole. What exceeds its bound of memory is moved to a
// temporary file, which nobody else can read, and which is gone when it is closed, or when the process ends.
type spool struct {
	max   int // bytes in memory
	held  int
	texts map[*spooled]struct{} // with bytes in memory
	file  *os.File              // nil: nothing was moved
	size  int64                 // of file
}

// spooled is the text of one connection: chunks of the file, and what follows them in memory.
type spooled struct {
	chunks []chunk
	buf    []byte
	held   int // of buf, as the spool counts it
}

type chunk struct {
	at     int64
	length int
}

func newSpool(max int) *spool { return &spool{max: max, texts: map[*spooled]struct{}{}} }

// grew takes that something was appended to t.buf.
func (s *spool) grew(t *spooled) error {
	s.held += cap(t.buf) - t.held
	t.held = cap(t.buf)
	s.texts[t] = struct{}{}
	if s.held <= s.max {
		return nil
	}
	if err := s.move(); err != nil {
		return fmt.Errorf("keep conversations in a temporary file: %w", err)
	}
	return nil
}

// move moves all that is in memory to the file.
func (s *spool) move() (err error) {
	if s.file == nil {
		if s.file, err = os.CreateTemp("", "l4dump-*"); err != nil { // mode 0600
			return err
		}
		// A system that cannot remove an open file keeps it until its temporary files are cleared.
		_ = os.Remove(s.file.Name())
	}
	for t := range s.texts {
		if _, err := s.file.WriteAt(t.buf, s.size); err != nil {
			return err
		}
		t.chunks = append(t.chunks, chunk{s.size, len(t.buf)})
		s.size += int64(len(t.buf))
		s.forget(t)
	}
	return nil
}

// forget frees what t has in memory.
func (s *spool) forget(t *spooled) {
	s.held -= t.held
	t.buf, t.held = nil, 0
	delete(s.texts, t)
}

// writeTo writes a text to w, and forgets it.
func (s *spool) writeTo(w io.Writer, t *spooled) error {
	for _, c := range t.chunks {
		if _, err := io.Copy(w, io.NewSectionReader(s.file, c.at, int64(c.length))); err != nil {
			return err
		}
	}
	_, err := w.Write(t.buf)
	t.chunks = nil
	s.forget(t)
	return err
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
