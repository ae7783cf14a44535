package pcapng

import (
	"bytes"
	"container/list"
	"slices"
	"time"

	"l4dump/internal/capture"
)

const (
	// maxConnections are followed at a time, those that were closed among them.
	maxConnections = 1 << 16
	// What one direction holds at most after bytes that have not come.
	maxHeldSegments = 1024
	maxHeldBytes    = 1 << 20
	// maxAllHeldBytes is for all connections together, with what keeping a segment takes besides its payload.
	maxAllHeldBytes  = 64 << 20
	heldSegmentBytes = 128
	// patience is how many packets of a connection may come after bytes that are missing though they were acknowledged:
	// a capture may have packets in another order than the wire.
	patience = 16
	// maxAhead is how far ahead a segment may be: from there on it is none of the connection's.
	maxAhead = 1 << 28
)

// tracker puts the connections of a capture together from their segments.
type tracker struct {
	s     *reader
	conns map[endpoints]*conn
	order *list.List // of *conn, the one with the latest packet last
	held  int        // bytes
	vm    uint64
	count uint64
}

// conn is one TCP connection.
type conn struct {
	endpoints
	element  *list.Element
	id       capture.ID
	seq      uint64 // of the next event
	first    int64  // when its first packet was captured
	streams  [2]stream
	syn      bool // the handshake's first packet is there
	synACK   bool // its second, which tells what the first does
	begun    bool // its open event has been given
	closed   bool
	closer   capture.Direction // that sent the first FIN
	finished bool              // there was a FIN
	packets  uint64
}

// stream is one direction of a conn.
type stream struct {
	known  bool   // next is
	next   uint32 // sequence number of the byte after the last that was given
	offset uint64 // of the same in the direction's stream
	acked  uint32 // by the other peer
	hasACK bool
	fin    bool
	finAt  uint32
	ended  bool
	held   []heldSegment // in the order of their numbers
	bytes  int           // in them
	since  uint64        // conn.packets when the first of them came
}

type heldSegment struct {
	seq     uint32
	payload []byte
	missing int
	time    int64
	number  int64
}

func newTracker(s *reader) *tracker {
	return &tracker{s: s, conns: map[endpoints]*conn{}, order: list.New()}
}

// take takes a segment of a connection that l4dump did not write.
func (t *tracker) take(g *captured) error {
	c, d := t.find(g)
	syn := g.flags&(flagSYN|flagACK) == flagSYN
	if c != nil && syn && (c.closed || d != capture.Downstream || !c.syn || c.streams[0].offset > 0 || c.streams[0].next != g.seq+1) {
		if err := t.forget(c); err != nil { // another connection with the same addresses
			return err
		}
		c = nil
	}
	if c == nil {
		if g.flags&flagRST != 0 {
			return nil
		}
		var err error
		if c, d, err = t.begin(g); err != nil {
			return err
		}
	}
	t.order.MoveToBack(c.element)
	c.packets++
	if c.closed {
		return nil
	}
	return t.segment(c, d, g)
}

func (t *tracker) find(g *captured) (*conn, capture.Direction) {
	if c := t.conns[endpoints{g.from, g.to}]; c != nil {
		return c, capture.Downstream
	}
	return t.conns[endpoints{g.to, g.from}], capture.Upstream
}

// begin makes a connection. Its client is the peer that sent SYN, or if the capture begins later, the one with the higher
// port.
func (t *tracker) begin(g *captured) (*conn, capture.Direction, error) {
	if len(t.conns) >= maxConnections {
		if err := t.forget(t.order.Front().Value.(*conn)); err != nil {
			return nil, 0, err
		}
	}
	c := &conn{endpoints: endpoints{g.from, g.to}, first: t.s.packet.time}
	d := capture.Downstream
	isReply := g.flags&flagSYN != 0 && g.flags&flagACK != 0
	if isReply || g.flags&flagSYN == 0 && g.from.Port() < g.to.Port() {
		c.client, c.server, d = g.to, g.from, capture.Upstream
	}
	t.count++
	c.id = capture.ID{VM: t.vm, Number: t.count}
	c.element = t.order.PushBack(c)
	t.conns[c.endpoints] = c
	return c, d, nil
}

// forget gives what a connection holds, and forgets it.
func (t *tracker) forget(c *conn) error {
	var err error
	if !c.closed {
		err = t.settleAll(c)
	}
	t.order.Remove(c.element)
	delete(t.conns, c.endpoints)
	return err
}

// finish gives what all connections hold.
func (t *tracker) finish() error {
	for t.order.Len() > 0 {
		if err := t.forget(t.order.Front().Value.(*conn)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tracker) segment(c *conn, d capture.Direction, g *captured) error {
	own, other := &c.streams[d], &c.streams[1-d]
	seq := g.seq
	if g.flags&flagSYN != 0 {
		seq++
		if d == capture.Downstream {
			c.syn = true
		} else {
			c.synACK = true
		}
	}
	if !own.known {
		own.known, own.next = true, seq
	}
	if g.flags&flagACK != 0 {
		if !other.known {
			other.known, other.next = true, g.ack
		}
		if !other.hasACK || int32(g.ack-other.acked) > 0 {
			other.acked, other.hasACK = g.ack, true
		}
	}
	if g.flags&flagRST != 0 {
		return t.close(c, d)
	}
	if ahead := int32(seq - own.next); ahead > maxAhead || ahead < -maxAhead {
		t.s.fault(t.s.packet.number, errFar)
		return nil
	}
	h := heldSegment{seq: seq, payload: g.payload, missing: g.missing, time: t.s.packet.time, number: t.s.packet.number}
	end := seq + uint32(len(g.payload)+g.missing)
	if g.flags&flagFIN != 0 && !own.fin {
		own.fin, own.finAt = true, end
		if !c.finished {
			c.finished, c.closer = true, d
		}
	}
	if end != seq {
		if int32(seq-own.next) <= 0 {
			if err := t.give(c, d, &h); err != nil {
				return err
			}
		} else {
			t.hold(c, own, h)
		}
	}
	for d := range capture.Direction(2) {
		if err := t.settle(c, d, false); err != nil {
			return err
		}
	}
	if c.streams[0].ended && c.streams[1].ended {
		return t.close(c, c.closer)
	}
	return nil
}

// hold keeps a segment that came before others.
func (t *tracker) hold(c *conn, s *stream, h heldSegment) {
	h.payload = bytes.Clone(h.payload)
	if len(s.held) == 0 {
		s.since = c.packets
	}
	i, _ := slices.BinarySearchFunc(s.held, h.seq, func(e heldSegment, seq uint32) int { return int(int32(e.seq - seq)) })
	s.held = slices.Insert(s.held, i, h)
	s.bytes += len(h.payload)
	t.held += len(h.payload) + heldSegmentBytes
}

// settle gives what a direction holds, as far as it is its turn. What is missing before it is given up if it does not
// come any more: always if all is set.
func (t *tracker) settle(c *conn, d capture.Direction, all bool) error {
	s := &c.streams[d]
	for len(s.held) > 0 {
		h := s.held[0]
		if ahead := int32(h.seq - s.next); ahead > 0 {
			acked := s.hasACK && int32(s.acked-h.seq) >= 0 && c.packets-s.since > patience
			if !all && !acked && len(s.held) <= maxHeldSegments && s.bytes <= maxHeldBytes && t.held <= maxAllHeldBytes {
				return nil
			}
			s.skip(h.seq)
		}
		s.held = slices.Delete(s.held, 0, 1)
		s.bytes -= len(h.payload)
		t.held -= len(h.payload) + heldSegmentBytes
		s.since = c.packets
		if err := t.give(c, d, &h); err != nil {
			return err
		}
	}
	if !s.fin || s.ended || !all && s.next != s.finAt && (!s.hasACK || s.acked != s.finAt+1) {
		return nil
	}
	if int32(s.finAt-s.next) > 0 {
		s.skip(s.finAt)
	}
	s.ended = true
	return t.add(c, &capture.Event{Kind: capture.KindEnd, Direction: d, Offset: s.offset}, t.s.packet.time, t.s.packet.number)
}

func (s *stream) skip(to uint32) {
	s.offset += uint64(to - s.next)
	s.next = to
}

// give gives those bytes of a segment that have not been given. Of bytes that were captured twice the first count.
func (t *tracker) give(c *conn, d capture.Direction, h *heldSegment) error {
	s := &c.streams[d]
	old := int(s.next - h.seq)
	if payload := h.payload; old < len(payload) {
		e := capture.Event{Kind: capture.KindData, Direction: d, Offset: s.offset, Payload: payload[old:]}
		s.offset += uint64(len(e.Payload))
		s.next += uint32(len(e.Payload))
		if err := t.add(c, &e, h.time, h.number); err != nil {
			return err
		}
	}
	if end := h.seq + uint32(len(h.payload)+h.missing); int32(end-s.next) > 0 {
		s.skip(end)
	}
	return nil
}

func (t *tracker) settleAll(c *conn) error {
	for d := range capture.Direction(2) {
		if err := t.settle(c, d, true); err != nil {
			return err
		}
	}
	return nil
}

func (t *tracker) close(c *conn, by capture.Direction) error {
	if err := t.settleAll(c); err != nil {
		return err
	}
	c.closed = true
	return t.add(c, &capture.Event{Kind: capture.KindClose, Close: &capture.Close{By: by.String()}}, t.s.packet.time, t.s.packet.number)
}

// add gives an event to the assembler, after the open event.
func (t *tracker) add(c *conn, e *capture.Event, at, number int64) error {
	if !c.begun {
		c.begun = true
		if !c.synACK && (!c.syn || c.streams[1].known) {
			c.seq = 1
			if err := t.s.a.Skip(c.id, c.seq); err != nil {
				return err
			}
		}
		if err := t.s.a.Foreign(c.id); err != nil {
			return err
		}
		open := capture.Event{Kind: capture.KindOpen, Open: &capture.Open{
			Unit: "connections", Started: c.first, Source: c.client.String(), Destination: c.server.String(),
		}}
		if err := t.add(c, &open, c.first, number); err != nil {
			return err
		}
	}
	e.Header = capture.Header{Port: c.server.Port(), Conn: c.id, Seq: c.seq, Time: at}
	c.seq++
	t.s.found = true
	print := capture.Fingerprint{Sum: uint64(number), Length: 1 + len(e.Payload)}
	return t.s.a.Add(e, print, t.s.at(number), time.Now())
}
