package command

import (
	"context"
	"errors"
	"io"
	"time"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
)

// liveView is a log: it shows the records in it as text, and passes the other lines on. It never makes the proxy wait.
type liveView struct {
	*queue
	writer *io.PipeWriter // of what is read
	done   chan error     // what reading ended with
}

// newLiveView shows records on stdout, and faults and the other lines on stderr.
func newLiveView(stdout, stderr io.Writer, color bool) *liveView {
	reader, writer := io.Pipe()
	v := &liveView{queue: newQueue(writer), writer: writer, done: make(chan error, 1)}
	text := capture.NewTextWriter(stdout, color)
	p := &printer{stderr: stderr}
	go func() {
		options := capture.Options{LossTimeout: followLossTimeout, Reporter: p}
		log := dumplog.NewSource(dumplog.Options{Other: stderr, Layotto: layottoTo(text)},
			dumplog.Stream{Name: "log", Reader: reader})
		_, err := capture.Read(context.Background(), text, options, log)
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
