package capture

import (
	"io"
	"time"
)

// Writer is a Sink that writes until it is closed, to what it was given or opened itself.
type Writer interface {
	Sink
	// Close flushes, and releases what the Writer opened itself.
	Close() error
}

// output is the Output of a Writer that is its own Consumer.
type output struct{ Output }

const outputBytes = 64 << 10

func newOutput(w io.Writer) output { return output{NewOutput(w, outputBytes, "records", nil)} }

// appendTime appends nanoseconds since the Unix epoch as RFC 3339 in UTC, always with nine digits after the point.
func appendTime(dst []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
}

// Fault implements Consumer for Writers whose form has no place for faults.
func (o *output) Fault(*Fault) {}

// End implements Consumer for Writers whose form has no place for verdicts.
func (o *output) End(*Verdict) error { return nil }
