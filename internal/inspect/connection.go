package inspect

import (
	"strconv"
	"time"

	"l4dump/internal/capture"
	"l4dump/internal/protocol/guess"
	"l4dump/record"
	"l4dump/strategy"
)

// connection is a capture.Consumer that keeps what a Summary wants to know of a connection.
type connection struct {
	summary *Summary
	info    *capture.Connection

	first, last int64 // times of events
	bytes       [2]uint64

	guess   guess.Guess
	settled bool      // further bytes cannot tell more
	heads   [2][]byte // the first bytes by direction, while they are wanted
	noHead  [2]bool   // by direction: the first bytes, or the next of them, are not there

	transcript *transcript // nil: the conversation is not kept
}

// Event implements capture.Consumer.
func (c *connection) Event(e *capture.Event, _ capture.Place) error {
	s := c.summary
	s.report.Records++
	if c.first > c.last {
		c.begin(e)
	}
	c.first, c.last = min(c.first, e.Time), max(c.last, e.Time)
	if c.transcript != nil {
		s.kept.add(c.transcript, e)
	}
	if e.Kind != capture.KindData {
		return nil
	}
	length := uint64(len(e.Payload))
	c.bytes[e.Direction] += length
	s.bytes[e.Direction] += length
	step := s.series.at(e.Time)
	if e.Direction == capture.Downstream {
		step.Downstream += length
	} else {
		step.Upstream += length
	}
	if e.Window != (record.UUID{}) {
		if w := s.windows.of(e.Window); w != nil {
			w.bytes[e.Direction] += length
			if !c.wholeUnit() {
				w.recorded(e.Time)
			}
		}
	}
	if !c.settled && length > 0 {
		c.look(e)
	}
	return nil
}

// begin takes the first event.
func (c *connection) begin(e *capture.Event) {
	s := c.summary
	s.series.at(e.Time).Connections++
	if e.Window == (record.UUID{}) {
		return
	}
	w := s.windows.of(e.Window)
	if w == nil {
		return
	}
	w.connections++
	if c.wholeUnit() {
		w.recorded(c.info.Open.Started)
	}
}

// wholeUnit reports whether the connection is recorded because it began in a window, rather than for its bytes that
// passed in one.
func (c *connection) wholeUnit() bool {
	return c.info.Open != nil && c.info.Open.Unit == string(strategy.UnitConnections)
}

// look guesses again, with more bytes.
func (c *connection) look(e *capture.Event) {
	s, d := c.summary, e.Direction
	head := c.heads[d]
	switch {
	case c.noHead[d] || len(head) >= guess.MaxBytes:
		return
	case e.Offset != uint64(len(head)):
		c.noHead[d] = true
		return
	}
	// Most connections tell with their first event: then nothing is copied.
	part := e.Payload[:min(len(e.Payload), guess.MaxBytes-len(head))]
	heads := c.heads
	if heads[d] = part; len(head) > 0 {
		heads[d] = append(head, part...)
	}
	g, more := guess.Of(heads[0], heads[1])
	c.guess = g
	if !more {
		c.settle()
		return
	}
	if s.headBytes+len(part) > maxHeadBytes {
		c.settle()
		return
	}
	if len(head) == 0 {
		heads[d] = append([]byte(nil), part...)
	}
	c.heads[d] = heads[d]
	s.headBytes += len(part)
}

// settle ends the guessing.
func (c *connection) settle() {
	c.settled = true
	c.summary.headBytes -= len(c.heads[0]) + len(c.heads[1])
	c.heads = [2][]byte{}
}

// Fault implements capture.Consumer. The Summary is told by the Assembler.
func (c *connection) Fault(f *capture.Fault) {
	if c.transcript != nil {
		c.transcript.fault(f)
	}
}

// End implements capture.Consumer.
func (c *connection) End(v *capture.Verdict) error {
	s := c.summary
	if c.first <= c.last {
		s.first, s.last = min(s.first, c.first), max(s.last, c.last)
	}
	s.end(c, v)
	if !c.settled {
		c.settle()
	}
	return nil
}

// protocol returns the protocol and its version for a person, or why it is not known.
func (c *connection) protocol() string {
	switch {
	case c.guess.Protocol != "" && c.guess.Protocol != guess.Unknown:
		return c.guess.String()
	case c.bytes == [2]uint64{}:
		return unknown + ": " + unknownNoBytes
	case c.settled:
		return unknown
	case len(c.heads[0])+len(c.heads[1]) == 0:
		return unknown + ": " + unknownNotFirst
	case len(c.heads[0]) < fewBytes && len(c.heads[1]) < fewBytes:
		return unknown + ": " + unknownTooFew
	}
	return unknown
}

// fewBytes is what nothing can be said of that begins no protocol that is known.
const fewBytes = 8

// peer returns who the client is: the identity in its certificate, else its host.
func (c *connection) peer() string {
	open := c.info.Open
	switch {
	case open == nil || open.Peer == "" && open.Source == "":
		return unknown
	case open.Peer != "":
		return open.Peer
	}
	return hostOf(open.Source)
}

// serverName returns the name that the client asked for, as the proxy or the first bytes say.
func (c *connection) serverName() string {
	if open := c.info.Open; open != nil && open.SNI != "" {
		return open.SNI
	}
	return c.guess.SNI
}

// begun returns the time of the first event; of the fault, if there is none.
func (c *connection) begun() int64 {
	if c.first > c.last {
		return c.info.Time
	}
	return c.first
}

func (c *connection) nanos() int64 { return max(c.last-c.first, 0) }

// row returns the connection in a few words.
func (c *connection) row(v *capture.Verdict) Connection {
	protocol := c.guess.Protocol
	if protocol == "" {
		protocol = guess.Unknown
	}
	row := Connection{
		ID:        c.info.ID.String(),
		Port:      c.info.Port,
		Protocol:  string(protocol),
		Version:   c.guess.Version,
		Name:      c.serverName(),
		Encrypted: c.guess.Encrypted,
		Seconds:   time.Duration(c.nanos()).Seconds(),
		Bytes:     bytesOf(c.bytes),
		State:     stateNames[v.State],
		title:     c.protocol(),
		nanos:     c.nanos(),
	}
	if c.first <= c.last {
		row.First = timeText(c.first)
	}
	if c.info.Window != (record.UUID{}) {
		row.Window = string(c.info.Window.Append(nil))
	}
	if open := c.info.Open; open != nil {
		row.Source, row.Destination, row.Peer = open.Source, open.Destination, open.Peer
	}
	if v.Cause != nil {
		row.Why = v.String()
	}
	if v.Close != nil {
		row.By = v.Close.By
	}
	return row
}

func portName(port uint16) string { return strconv.Itoa(int(port)) }
