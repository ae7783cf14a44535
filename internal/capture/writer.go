package capture

import (
	"fmt"
	"io"
	"time"

	"l4dump/record"
)

// Writer writes records in a form of its own.
type Writer interface {
	// WriteRecord takes the next record of its connection and keeps nothing of it.
	WriteRecord(r *record.Record) error
	// WriteLayotto takes a line in Layotto's format; a form that has no place for it leaves it out.
	WriteLayotto(window record.UUID, port uint16, payload []byte) error
	// Flush writes what is buffered.
	Flush() error
	// Close flushes and releases what the Writer opened itself.
	Close() error
}

// output buffers what a Writer appends.
type output struct {
	w   io.Writer
	buf []byte
}

const outputBytes = 64 << 10

// wrote writes the buffer where it is full.
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

// appendTime appends nanoseconds since the Unix epoch as RFC 3339 in UTC, always with nine digits behind the point.
func appendTime(dst []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
}
