package dumplog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"l4dump/internal/capture"
	"l4dump/record"
)

// maxBackwardBytes is the longest line that is read in one piece backward; a longer one is read in pieces that begin
// after a quote, or with a record.
const maxBackwardBytes = 1 << 20

// CopyBackward gives the lines of r, which is size bytes of plain text, to s, the last one first. Its memory does not
// grow with the input.
func CopyBackward(ctx context.Context, s *Scanner, r io.ReaderAt, size int64, name string) error {
	if err := s.Begin(name); err != nil {
		return err
	}
	var input fmt.Stringer = capture.Name(name) // once, not for each line
	b := backward{ctx: ctx, input: r, end: size, buf: make([]byte, 0, 2*maxBackwardBytes)}
	if err := b.count(size); err != nil {
		return err
	}
	for {
		line, offset, err := b.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Line(line, capture.Place{Input: input, Number: b.line, Column: b.column(offset)}); err != nil {
			return err
		}
	}
}

// backward reads lines from the end.
type backward struct {
	ctx   context.Context
	input io.ReaderAt
	end   int64  // of what has not been read
	buf   []byte // what stands from end on and has not been returned
	line  int64  // the number of the line that was returned last
	begun bool   // a piece of that line has been returned, but not its beginning
	long  []longLine
}

// longLine is where a line begins that does not fit into one piece.
type longLine struct{ line, start int64 }

// count counts the lines and finds the long ones.
func (b *backward) count(size int64) error {
	block := make([]byte, windowBytes)
	line, start := int64(1), int64(0)
	note := func(end int64) {
		if end-start > maxBackwardBytes/2 {
			b.long = append(b.long, longLine{line, start})
		}
	}
	last := byte('\n')
	for at := int64(0); at < size; {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		n, err := b.input.ReadAt(block[:min(int64(len(block)), size-at)], at)
		if n == 0 {
			return err
		}
		for i := 0; ; {
			k := bytes.IndexByte(block[i:n], '\n')
			if k < 0 {
				break
			}
			i += k + 1
			note(at + int64(i))
			line++
			start = at + int64(i)
		}
		last = block[n-1]
		at += int64(n)
	}
	note(size)
	if last == '\n' {
		line-- // nothing follows the last line break
	}
	b.line = line + 1
	if last == '\n' && size > 0 {
		b.end--
	}
	return nil
}

// column returns where in line b.line the byte at offset stands, 1 in a short line.
func (b *backward) column(offset int64) int64 {
	for n := len(b.long); n > 0; n-- {
		if l := b.long[n-1]; l.line == b.line {
			return offset - l.start + 1
		} else if l.line < b.line {
			break
		}
		b.long = b.long[:n-1]
	}
	return 1
}

// next returns the line before the last one, or a piece of a long one, and its offset. It is valid until the next call.
func (b *backward) next() (line []byte, offset int64, err error) {
	if b.end < 0 {
		return nil, 0, io.EOF
	}
	if !b.begun {
		b.line--
	}
	if b.line == 0 {
		return nil, 0, io.EOF
	}
	for {
		if i := bytes.LastIndexByte(b.buf, '\n'); i >= 0 {
			line, b.buf = b.buf[i+1:], b.buf[:i]
			b.begun = false
			return line, b.end + int64(i) + 1, nil
		}
		if b.end == 0 {
			line, b.buf = b.buf, b.buf[:0]
			b.end, b.begun = -1, false
			return line, 0, nil
		}
		if len(b.buf) >= maxBackwardBytes {
			i := b.cut()
			line, b.buf = b.buf[i:], b.buf[:i]
			b.begun = true
			return line, b.end + int64(i), nil
		}
		if err := b.read(); err != nil {
			return nil, 0, err
		}
	}
}

// cut returns where a long line may be cut, close to the beginning of what is known of it.
func (b *backward) cut() int {
	if i := bytes.IndexByte(b.buf, '"'); i >= 0 && i < len(b.buf)/2 {
		return i + 1
	}
	if start, damaged := record.Find(b.buf, 0); start > 0 && !damaged {
		return start
	}
	return min(2*maxPartBytes, len(b.buf)/2)
}

// read puts what stands before the buffer in front of it.
func (b *backward) read() error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	n := int(min(windowBytes, b.end))
	known := len(b.buf)
	b.buf = append(b.buf, make([]byte, n)...)
	copy(b.buf[n:], b.buf[:known])
	if read, err := b.input.ReadAt(b.buf[:n], b.end-int64(n)); read < n {
		return err
	}
	b.end -= int64(n)
	return nil
}

// Spill writes what r holds to a file of its own and returns it with its size. Nobody else can read the file, and it is
// gone when it is closed, or when the process ends.
func Spill(ctx context.Context, r io.Reader) (*os.File, int64, error) {
	file, err := os.CreateTemp("", "l4dump-*") // mode 0600
	if err != nil {
		return nil, 0, err
	}
	// A system that cannot remove an open file keeps it until its temporary files are cleared.
	_ = os.Remove(file.Name())
	size, err := io.Copy(file, readerOf(ctx, r))
	if err != nil {
		return file, size, err
	}
	return file, size, nil
}

// readerOf returns a reader of r that ends with ctx.
func readerOf(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

type contextReader struct {
	ctx   context.Context
	input io.Reader
}

func (r contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.input.Read(b)
}
