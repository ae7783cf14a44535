package capture

import (
	"fmt"
	"io"
	"time"
)

// Writer is a Sink that writes until it is closed, to what it was given or opened itself.
type Writer interface {
	Sink
	// Close flushes, and releases what the Writer opened itself.
	Close() error
}

// output buffers what a Writer appends.
type output struct {
	w   io.Writer
	buf []byte
}

const outputBytes = 64 << 10

// wrote writes the buffer if it is full.
func (o *output) wrote() error {
	if len(o.buf) < outputBytes {
		return nil
	}
	return o.Flush()
}

// Flush writes what is buffered.
func (o *output) Flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	_, err := o.w.Write(o.buf)
	o.buf = o.buf[:0]
	if err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}

// Close flushes.
func (o *output) Close() error { return o.Flush() }

// appendTime appends nanoseconds since the Unix epoch as RFC 3339 in UTC, always with nine digits after the point.
func appendTime(dst []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
}

// Fault implements Consumer for Writers whose form has no place for faults.
func (o *output) Fault(*Fault) {}

// End implements Consumer for Writers whose form has no place for verdicts.
func (o *output) End(*Verdict) error { return nil }
