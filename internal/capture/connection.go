package capture

import (
	"fmt"

	"l4dump/record"
)

// Connection is what its first event says of a connection.
type Connection struct {
	ID     ID
	Port   uint16      // that the client connected to; 0: not known
	Window record.UUID // of the first event; with the unit "bytes", others follow
	Time   int64       // of the first event, in nanoseconds since the Unix epoch
	Open   *Open       // nil: the beginning is missing

	// Foreign says that something else than l4dump has recorded it, which counts no bytes that it did not record.
	Foreign bool
}

// State is how much of a connection there is.
type State uint8

// The states.
const (
	// Whole means every byte that passed in either direction, from the connection's begin to its close.
	Whole State = iota
	// Unfinished means that no byte is known to be missing so far: the connection was still open at the end of the input.
	// That the recorder dropped bytes after a direction's last event does not show yet.
	Unfinished
	// Prefix means every byte from the begin up to a place after which something is missing or not certain.
	Prefix
	// Broken means that not even the begin is certain.
	Broken
)

var stateNames = [...]string{Whole: "whole", Unfinished: "open", Prefix: "prefix", Broken: "broken"}

// String returns the state as one word for programs.
func (s State) String() string { return stateNames[s] }

// Verdict is what is known of a connection when it has ended, or the input has.
type Verdict struct {
	State State
	Cause *Fault // what ends a Prefix or made the connection Broken; nil for the other states

	// UptoSeq and Upto bound what is certain: all events with a lower Seq are there, and they hold the first Upto bytes
	// of each direction's stream. Without a close event, one direction's bytes may follow bytes of the other that were
	// dropped, as only the ledger tells of those that no event follows.
	UptoSeq uint64
	Upto    [2]uint64

	Received [2]uint64 // bytes that the Consumer was given, by Direction
	Close    *Close    // nil: there is no close event

	// Repeats means that the certain bytes are not exact. The filter after the recorder left bytes in the proxy's
	// buffer, as an HTTP connection manager does with pipelined requests: bytes of downstream may stand more than once.
	Repeats bool
	// Masked is how many of the bytes that the Consumer was given the recorder has overwritten: the certain bytes are not
	// exact either.
	Masked uint64
	// TLS means that a direction begins with a TLS handshake: what follows is ciphertext.
	TLS bool
}

// String returns the verdict as one line for a person.
func (v *Verdict) String() string {
	text := ""
	switch v.State {
	case Whole:
		text = "whole"
	case Unfinished:
		text = "still open at the end of the input"
	case Prefix:
		text = fmt.Sprintf("certain up to byte %d of downstream and %d of upstream: %s", v.Upto[0], v.Upto[1], v.Cause.text())
	case Broken:
		text = "broken: " + v.Cause.text()
	}
	if v.Repeats {
		text += "; not exact: bytes of downstream may stand more than once before an HTTP connection manager"
	}
	if v.Masked > 0 {
		text += "; not exact: " + count(v.Masked, "byte") + " masked"
	}
	return text
}

// NextRepeats is the filter after the recorder that leaves bytes in the proxy's buffer, as an open record names it.
const NextRepeats = "http_connection_manager"

func (c *conn) verdict(last *Close) Verdict {
	v := Verdict{Close: last, TLS: c.tls, Masked: c.masked}
	certain := c.certain
	for d := range c.streams {
		v.Received[d] = c.streams[d].given
		if last != nil && last.HasLedger && len(last.Ledger[d].Dropped) == 0 {
			continue // all that is missing stood in the lost events
		}
		if doubt := &c.doubts[d]; doubt.cause != nil {
			certain.cut(doubt.seq, doubt.upto, *doubt.cause)
		}
	}
	v.Cause, v.UptoSeq, v.Upto = certain.cause, certain.seq, certain.upto
	switch {
	case v.Cause == nil:
		v.UptoSeq, v.Upto = c.next, c.positions()
		if last == nil {
			v.State = Unfinished
		}
	case v.Upto == [2]uint64{}:
		v.State = Broken
	default:
		v.State = Prefix
	}
	v.Repeats = c.info.Open != nil && c.info.Open.Next == NextRepeats && v.Received[Downstream] > 0
	return v
}

// certainty is how much of a connection is certain: all events before seq, and with them the bytes before upto.
type certainty struct {
	seq   uint64
	upto  [2]uint64
	cause *Fault // why it is no more; nil: all of it is certain
}

func (c *certainty) cut(seq uint64, upto [2]uint64, cause Fault) {
	if c.cause == nil || seq < c.seq {
		*c = certainty{seq, upto, &cause}
	}
}

// cutAfter cuts after the last event of a direction: bytes are missing somewhere between that event and the next.
func (c *conn) cutAfter(d Direction, cause Fault) {
	s := &c.streams[d]
	c.certain.cut(s.lastSeq+1, s.lastUpto, cause)
}

// doubt cuts after the last event of a direction unless the ledger says that nothing was dropped: then the bytes that
// are missing stood in lost events, where it is cut anyway.
func (c *conn) doubt(d Direction, cause Fault) {
	s := &c.streams[d]
	c.doubts[d].cut(s.lastSeq+1, s.lastUpto, cause)
}

// cutBefore cuts before an event that the consumer does not get.
func (c *conn) cutBefore(e *entry, cause Fault) {
	upto := c.positions()
	if e.Kind == KindData {
		upto[e.Direction] = e.Offset
	}
	c.certain.cut(e.Seq, upto, cause)
}

// contradict cuts everything: of two things that exclude each other, either may be wrong.
func (c *conn) contradict(cause Fault) { c.certain.cut(0, [2]uint64{}, cause) }

// positions returns the offset after the last byte of each direction.
func (c *conn) positions() [2]uint64 { return [2]uint64{c.streams[0].next, c.streams[1].next} }
