// Package envoytap reads what Envoy's tap has recorded of sockets, and writes a recording in that form: messages
// TraceWrapper of envoy.data.tap.v3, in each of the formats that Envoy's tap writes.
//
// A tap says less than l4dump: not who closed a connection, nor, if its trace is buffered or of an older Envoy, how many
// bytes it left out. A connection is certain up to there.
package envoytap

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of TraceWrapper.
const (
	fieldHTTPBuffered protowire.Number = 1 + iota
	fieldHTTPStreamed
	fieldSocketBuffered
	fieldSocketStreamed
	fieldSampleRate
)

// fieldOwn of a SocketStreamedTraceSegment is l4dump's: what capture.AppendDetached says of the segment's event. Envoy's
// API has no field of this number, and keeps it as one that is not known. It is the number that RFC 5612 has for
// documentation, as in a packet capture.
const fieldOwn protowire.Number = 32473

// maxTraceBytes bounds the memory of one trace, in the form in which it stands in its input.
const maxTraceBytes = 64 << 20

// The errors of an input that cannot be read further.
var (
	errCut     = errors.New("the tap ends within a trace")
	errFraming = errors.New("what follows is no trace")
	errLarge   = errors.New("a trace is longer than 64 MiB")
)

// Fault is what is wrong with an input.
type Fault struct {
	Place fmt.Stringer // its number counts traces, from 1
	Err   error
}

// String returns the fault as one line for a person, with its place.
func (f Fault) String() string { return f.Place.String() + ": " + f.Err.Error() }
