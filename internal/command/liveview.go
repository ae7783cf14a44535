package command

import (
	"context"
	"errors"
	"io"
	"time"

	"l4dump/internal/capture"
)

// liveView is a log: it shows the records in it as text, and passes the other lines on. It never makes the proxy wait.
type liveView struct {
	*queue
	writer *io.PipeWriter // of the decoder
	done   chan error     // what the decoder ended with
}

// newLiveView shows records on stdout, and faults and the other lines on stderr.
func newLiveView(stdout, stderr io.Writer, color bool) *liveView {
	reader, writer := io.Pipe()
	v := &liveView{queue: newQueue(writer), writer: writer, done: make(chan error, 1)}
	text := capture.NewTextWriter(stdout, color)
	p := &printer{stderr: stderr}
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

// close returns when all that was written has been shown, or after queuePatience. The proxy must have ended.
func (v *liveView) close() error {
	left := v.queue.close()
	if errors.Is(left, errNotRead) {
		return left
	}
	_ = v.writer.Close()
	timer := time.NewTimer(queuePatience)
	defer timer.Stop()
	select {
	case err := <-v.done:
		return errors.Join(err, left)
	case <-timer.C:
		return errNotRead
	}
}
