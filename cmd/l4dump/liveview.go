package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"

	"l4dump/internal/capture"
	"l4dump/record"
)

// maxLogLine bounds a line of the log that is held, in bytes; a longer one is passed on in parts.
const maxLogLine = 1 << 20

// layottoLine is what a line in Layotto's format holds.
var layottoLine = regexp.MustCompile(`\[[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\]\[[0-9]{1,5}\]`)

// liveView is a log: it shows the records in it as text, and passes the other lines on. It is for one writer at a time.
type liveView struct {
	rest    io.Writer
	records *io.PipeWriter
	line    []byte
	done    chan error
}

// newLiveView shows records on stdout, and faults and the other lines on stderr.
func newLiveView(stdout, stderr io.Writer, color bool) *liveView {
	reader, writer := io.Pipe()
	v := &liveView{rest: stderr, records: writer, done: make(chan error, 1)}
	p := &printer{writer: capture.NewTextWriter(stdout, color), stderr: stderr}
	go func() {
		decoder := capture.NewDecoder(p, capture.Options{LossTimeout: followLossTimeout})
		err := decoder.Run(context.Background(), reader, "log")
		if err == nil {
			err = decoder.Finish()
		}
		err = errors.Join(err, p.writer.Close())
		// The proxy goes on if nobody can see its dump any more.
		reader.CloseWithError(io.ErrClosedPipe)
		v.done <- err
	}()
	return v
}

// Write implements io.Writer. It never fails: a log must not stop the proxy.
func (v *liveView) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		v.line = append(v.line, rest[:end]...)
		rest = rest[end:]
		if v.line[len(v.line)-1] == '\n' || len(v.line) >= maxLogLine {
			v.flush()
		}
	}
	return len(p), nil
}

func (v *liveView) flush() {
	target := v.rest
	if start, _ := record.Find(v.line, 0); start >= 0 || layottoLine.Match(v.line) {
		target = v.records
	}
	_, _ = target.Write(v.line)
	v.line = v.line[:0]
}

// close returns when all that was written has been shown.
func (v *liveView) close() error {
	if len(v.line) > 0 {
		v.flush()
	}
	v.records.Close()
	return <-v.done
}
