package filter

import (
	"l4dump/internal/abi"
	"l4dump/record"
	"l4dump/strategy"
)

// The most of a connection that waits until it is decided whether it is selected. The client's bytes need no bound of
// their own: they are fewer than strategy.MaxFirstBytes, or the decision falls.
const (
	maxHeldBytes = 4096 // of the service
	maxHeldReads = 128
)

// choice is what waits until it is decided whether a connection is selected.
type choice struct {
	about    strategy.Subject
	reads    []heldRead // in their order
	bytes    []byte     // of those that may be recorded
	upstream int        // bytes of the service in reads
}

// heldRead is a read as it passed. Its bytes are not held if there is a reason not to record them.
type heldRead struct {
	direction record.Direction
	reason    strategy.Reason
	size      int
	time      int64
	window    record.UUID
}

// begin decides whether a connection that is born in window w is recorded, as far as that is known now.
func (c *connection) begin(w strategy.Window) {
	p := c.plugin
	capture := &p.config.Capture
	about := strategy.Subject{}
	verdict := strategy.Selected
	if selection := &capture.Selection; !selection.Empty() {
		about = strategy.Subject{
			Source: property("source", "address"), Destination: property("destination", "address"),
			Direction: listenerDirection(),
		}
		verdict = selection.Decide(&about)
	}
	if verdict == strategy.Unselected {
		c.refuse(strategy.NotSelected)
		return
	}
	if capture.ConnectionRate < 1 {
		c.header.Conn = p.vm.nextConn()
		if !capture.Sampled(c.header.Conn.VM, c.header.Conn.Number) {
			c.refuse(strategy.SampledOut)
			return
		}
	}
	if verdict == strategy.Undecided {
		c.choice = &choice{about: about}
		return
	}
	c.admit(w, c.started)
}

func (c *connection) refuse(reason strategy.Reason) { c.selected, c.last = reason, reason }

// hold keeps a read until it is decided whether the connection is selected. It returns false if that is decided: then
// the reads before it have been taken.
func (c *connection) hold(d record.Direction, data func(start, size int) ([]byte, error), size int) bool {
	w := c.choice
	if w == nil {
		return false
	}
	final := len(w.reads) == maxHeldReads
	if d == record.Upstream {
		final = final || w.upstream+size > maxHeldBytes
	} else {
		w.about.Identified = true // what a client sends comes after its handshake
		if n := min(c.plugin.config.Capture.Selection.NeededBytes()-len(w.about.First), size); n > 0 {
			block, err := data(0, n)
			w.about.First = append(w.about.First, block...)
			final = final || err != nil || len(block) < n
		}
	}
	if c.choose(final) {
		return false
	}
	now, reason := c.decide(d, size)
	if reason == strategy.Recorded {
		block, err := data(0, size)
		if err != nil || len(block) < size {
			reason = strategy.Unreadable
		} else {
			w.bytes = append(w.bytes, block...)
		}
	}
	if d == record.Upstream {
		w.upstream += size
	}
	w.reads = append(w.reads, heldRead{d, reason, size, now, c.header.Window})
	return true
}

// choose decides whether the connection is selected, if it can or if nothing more will be known, and takes the reads
// that waited for it. It reports whether it is decided.
func (c *connection) choose(final bool) bool {
	w := c.choice
	if w == nil {
		return true
	}
	p := c.plugin
	if final {
		w.about.Final, w.about.Identified = true, true
	}
	if w.about.Identified && w.about.SNI == "" {
		w.about.SNI = property("connection", "requested_server_name")
		w.about.Peer = property("connection", "uri_san_peer_certificate")
	}
	verdict := p.config.Capture.Selection.Decide(&w.about)
	if verdict == strategy.Undecided {
		return false
	}
	c.choice = nil
	now := p.vm.Now()
	reason := strategy.NotSelected
	if verdict == strategy.Selected {
		decision := p.decide(now, true)
		c.admit(decision.Window, now) // not the one that it was born in, which the limits of windows may have forgotten
		if reason = c.selected; reason == strategy.Recorded {
			reason = decision.Continue // what was held is written now or not at all
		}
	} else {
		c.refuse(reason)
	}
	for i := range w.reads {
		r := &w.reads[i]
		why := r.reason
		if reason != strategy.Recorded {
			why = reason
		}
		if c.claim.Reason() != strategy.Recorded && r.reason == strategy.Recorded {
			p.vm.admission.Count(&p.config.Capture, &c.claim, r.size, p.sink.payload())
		}
		c.header.Time, c.header.Window = r.time, r.window
		c.take(r.direction, w.block, r.size, now, why)
		if r.reason == strategy.Recorded {
			w.bytes = w.bytes[r.size:]
		}
	}
	return true
}

// block returns bytes of the read that is taken.
func (w *choice) block(start, size int) ([]byte, error) { return w.bytes[start : start+size], nil }

// listenerDirection returns the direction of the listener that the connection came in at, as strategy.Criteria have it.
func listenerDirection() string {
	direction := abi.Property("xds", "listener_direction")
	if len(direction) == 0 {
		direction = abi.Property("listener_direction") // of proxies before Envoy 1.21
	}
	switch uint64Of(direction) { // envoy.config.core.v3.TrafficDirection
	case 1:
		return "inbound"
	case 2:
		return "outbound"
	}
	return ""
}
