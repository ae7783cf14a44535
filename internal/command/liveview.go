package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"l4dump/internal/capture"
)

// How much of the log may wait to be shown: writes, and bytes in them.
const (
	liveQueue      = 16384
	liveQueueBytes = 32 << 20
)

// livePatience is how long the end of a live view waits for what was written to be shown.
const livePatience = 3 * time.Second

// liveView is a log: it shows the records in it as text, and passes the other lines on. It never holds the proxy up:
// what nobody reads in time is counted and left out.
type liveView struct {
	writes  chan []byte
	waiting atomic.Int64  // bytes in writes
	dropped atomic.Uint64 // writes that were left out
	done    chan error
}

// newLiveView shows records on stdout, and faults and the other lines on stderr.
func newLiveView(stdout, stderr io.Writer, color bool) *liveView {
	reader, writer := io.Pipe()
	v := &liveView{writes: make(chan []byte, liveQueue), done: make(chan error, 1)}
	text := capture.NewTextWriter(stdout, color)
	p := &printer{stderr: stderr}
	go func() {
		for text := range v.writes {
			_, _ = writer.Write(text) // it fails when nobody can see the dump any more; the proxy continues
			v.waiting.Add(-int64(len(text)))
		}
		_ = writer.Close()
	}()
	go func() {
		decoder := p.newDecoder(text, capture.LogOptions{
			Options: capture.Options{LossTimeout: followLossTimeout}, Other: stderr,
		})
		err := decoder.Run(context.Background(), reader, "log")
		if err == nil {
			err = decoder.Finish()
		}
		err = errors.Join(err, text.Close())
		_ = reader.CloseWithError(io.ErrClosedPipe)
		v.done <- err
	}()
	return v
}

// Write implements io.Writer. It never waits and never fails: a log must not stop the proxy.
func (v *liveView) Write(text []byte) (int, error) {
	if v.waiting.Add(int64(len(text))) <= liveQueueBytes {
		select {
		case v.writes <- append([]byte(nil), text...):
			return len(text), nil
		default:
		}
	}
	v.waiting.Add(-int64(len(text)))
	v.dropped.Add(1)
	return len(text), nil
}

// close returns when all that was written has been shown, or after livePatience. The proxy must have ended.
func (v *liveView) close() error {
	close(v.writes)
	select {
	case err := <-v.done:
		if n := v.dropped.Load(); n > 0 {
			err = errors.Join(err, fmt.Errorf("%d pieces of the log came faster than they could be shown", n))
		}
		return err
	case <-time.After(livePatience):
		return errors.New("nobody reads the output")
	}
}
