package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// How much of a log may wait to be written: writes, and bytes in them.
const (
	queueWrites = 16384
	queueBytes  = 32 << 20
)

// queuePatience is how long the end of a queue waits until what is in it has been written.
const queuePatience = 3 * time.Second

// errNotRead says that the other end of an output does not read.
var errNotRead = errors.New("nobody reads the output")

// queue writes a log to an output and never makes the log wait: what the output does not take in time is left out, by
// whole lines, and counted in a line in its place. A regular file has no reader to wait for: it is written at once, and
// nothing is left out.
type queue struct {
	out    io.Writer
	writes chan []byte   // nil for a regular file
	done   chan struct{} // closed when all is written

	mu       sync.Mutex
	waiting  int  // bytes in writes
	unended  bool // the last write that was taken is not the end of a line
	skipping bool // the line that is being written is left out
	lost     loss // since the last write that was taken
}

// loss is what was left out.
type loss struct{ lines, bytes int }

func (l loss) String() string {
	return fmt.Sprintf("%d lines (%d bytes) of the log were left out, since they came faster than they were read", l.lines, l.bytes)
}

func newQueue(out io.Writer) *queue { return newQueueThrough(out, out) }

// newQueueThrough returns a queue to out, to which through passes on what it is given.
func newQueueThrough(through, out io.Writer) *queue {
	q := &queue{out: through, done: make(chan struct{})}
	if isRegularFile(out) {
		close(q.done)
		return q
	}
	q.writes = make(chan []byte, queueWrites)
	go func() {
		defer close(q.done)
		for text := range q.writes {
			_, _ = q.out.Write(text) // it fails if nobody can read the log any more; the proxy continues
			q.mu.Lock()
			q.waiting -= len(text)
			q.mu.Unlock()
		}
	}()
	return q
}

func isRegularFile(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// Write implements io.Writer. It waits for nothing but a disk, and never fails. text may be reused.
func (q *queue) Write(text []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(text)
	if q.writes == nil {
		_, _ = q.out.Write(text)
		return n, nil
	}
	if q.skipping {
		rest := text[bytes.IndexByte(text, '\n')+1:]
		if len(rest) == len(text) { // no end of the line yet
			rest = nil
		}
		q.leaveOut(text[:len(text)-len(rest)])
		text = rest
	}
	if len(text) == 0 {
		return n, nil
	}
	var piece []byte
	if q.lost.bytes > 0 {
		if q.unended {
			piece = append(piece, '\n')
		}
		piece = append(piece, "l4dump: "+q.lost.String()+"\n"...)
	}
	piece = append(piece, text...)
	if q.waiting+len(piece) <= queueBytes {
		select {
		case q.writes <- piece:
			q.waiting += len(piece)
			q.unended, q.lost = piece[len(piece)-1] != '\n', loss{}
			return n, nil
		default:
		}
	}
	q.leaveOut(text)
	return n, nil
}

func (q *queue) leaveOut(text []byte) {
	if len(text) == 0 {
		return
	}
	q.lost.lines += bytes.Count(text, []byte("\n"))
	q.lost.bytes += len(text)
	q.skipping = text[len(text)-1] != '\n'
}

// close returns when all that was taken has been written, or after queuePatience with errNotRead. Nothing may be written
// after it. The error also says what was left out at the end, and the first failure of the output.
func (q *queue) close() error {
	if q.writes != nil {
		close(q.writes)
	}
	timer := time.NewTimer(queuePatience)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
		return errNotRead
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost.bytes > 0 {
		return errors.New(q.lost.String())
	}
	return nil
}
