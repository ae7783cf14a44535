package main

import (
	"context"
	"errors"
	"io"

	"l4dump/internal/capture"
)

// liveView is a log: it shows the records in it as text, and passes the other lines on.
type liveView struct {
	log  *io.PipeWriter
	done chan error
}

// newLiveView shows records on stdout, and faults and the other lines on stderr.
func newLiveView(stdout, stderr io.Writer, color bool) *liveView {
	reader, writer := io.Pipe()
	v := &liveView{log: writer, done: make(chan error, 1)}
	p := &printer{writer: capture.NewTextWriter(stdout, color), stderr: stderr}
	go func() {
		decoder := capture.NewDecoder(p, capture.Options{LossTimeout: followLossTimeout, Other: stderr})
		err := decoder.Run(context.Background(), reader, "log")
		if err == nil {
			err = decoder.Finish()
		}
		err = errors.Join(err, p.writer.Close())
		// The proxy goes on if nobody can see its dump any more.
		_ = reader.CloseWithError(io.ErrClosedPipe)
		v.done <- err
	}()
	return v
}

// Write implements io.Writer. It never fails: a log must not stop the proxy.
func (v *liveView) Write(p []byte) (int, error) {
	_, _ = v.log.Write(p)
	return len(p), nil
}

// close returns when all that was written has been shown.
func (v *liveView) close() error {
	_ = v.log.Close()
	return <-v.done
}
