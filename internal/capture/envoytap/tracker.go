package envoytap

import (
	"container/list"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	tapv3 "github.com/envoyproxy/go-control-plane/envoy/data/tap/v3"

	"l4dump/internal/capture"
)

// maxConnections are followed at a time.
const maxConnections = 1 << 16

// tracker puts the connections of a tap together from their traces.
type tracker struct {
	s     *reader
	conns map[uint64]*conn // by trace
	order *list.List       // of *conn, the one with the latest trace last
	vm    uint64
	count uint64

	damages int // traces that are damaged
}

func newTracker(s *reader) *tracker {
	return &tracker{s: s, conns: map[uint64]*conn{}, order: list.New()}
}

// streamed takes a piece of a streamed trace.
func (t *tracker) streamed(piece *trace) error {
	if piece.peers != nil {
		return t.announce(piece.id, piece.peers)
	}
	for e, err := range piece.events() {
		switch {
		case err != nil:
			t.s.damaged(&damagedError{err})
			continue
		case isBlank(e):
			// This is what Envoy makes of the piece with the addresses if bodies are text.
			if err := t.announce(piece.id, nil); err != nil {
				return err
			}
			continue
		}
		c, err := t.of(piece.id)
		if err != nil {
			return err
		}
		if err := t.event(c, e); err != nil {
			return err
		}
	}
	return nil
}

func isBlank(e *tapv3.SocketEvent) bool {
	return e.GetEventSelector() == nil && e.GetTimestamp() == nil && len(e.ProtoReflect().GetUnknown()) == 0
}

// announce begins a connection.
func (t *tracker) announce(id uint64, peers *tapv3.Connection) error {
	if c := t.conns[id]; c != nil {
		if err := t.forget(c); err != nil { // another one with the same number, of another process
			return err
		}
	}
	c, err := t.of(id)
	if err != nil {
		return err
	}
	c.announced, c.expect = true, 1
	c.learnPeers(peers)
	return nil
}

// buffered takes a whole trace, or one of several pieces of it. Envoy writes the last one when the connection closes,
// and does not say which is the last.
func (t *tracker) buffered(whole *trace) error {
	c, err := t.of(whole.id)
	if err != nil {
		return err
	}
	c.announced, c.closes = true, true
	c.learnPeers(whole.peers)
	for e, err := range whole.events() {
		if err != nil {
			t.s.damaged(&damagedError{err})
			continue
		}
		if err := t.event(c, e); err != nil {
			return err
		}
	}
	if err := t.settle(c, 0, false); err != nil {
		return err
	}
	for i, truncated := range whole.truncated {
		d := c.reads
		if i == 1 {
			d = 1 - c.reads
		}
		if truncated && !c.streams[d].cut {
			if err := t.cut(c, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// of returns the connection of a trace.
func (t *tracker) of(id uint64) (*conn, error) {
	if c := t.conns[id]; c != nil {
		t.order.MoveToBack(c.element)
		return c, nil
	}
	if len(t.conns) >= maxConnections {
		if err := t.forget(t.order.Front().Value.(*conn)); err != nil {
			return nil, err
		}
	}
	c := &conn{trace: id, damages: t.damages}
	c.element = t.order.PushBack(c)
	t.conns[id] = c
	return c, nil
}

// forget gives what is held of a connection, and forgets it.
func (t *tracker) forget(c *conn) error {
	t.order.Remove(c.element)
	delete(t.conns, c.trace)
	if err := t.settle(c, 0, false); err != nil {
		return err
	}
	switch {
	case c.closes:
		return t.close(c)
	case !c.begun:
		return t.begin(c)
	}
	return nil
}

// finish gives what is held of all connections.
func (t *tracker) finish() error {
	for t.order.Len() > 0 {
		if err := t.forget(t.order.Front().Value.(*conn)); err != nil {
			return err
		}
	}
	return nil
}

// doubt says that a trace is damaged, and may be of any connection.
func (t *tracker) doubt() {
	t.damages++
}

// event takes an event of a connection.
func (t *tracker) event(c *conn, e *tapv3.SocketEvent) error {
	c.learnPeers(e.GetConnection())
	seq := e.GetSeqNum()
	upto := seq // as many bytes have passed before, and one
	if e.GetClosed() != nil && upto > 0 {
		upto--
	}
	known := seq > 0 && c.expect > 0
	if known && upto < c.expect {
		t.s.leave(leftAgain)
		return nil
	}
	c.learnTime(e.GetTimestamp())
	c.late = c.late || !c.begun && !c.announced && upto != 1
	if err := t.settle(c, upto-c.expect, known); err != nil {
		return err
	}
	c.expect = upto
	switch selector := e.GetEventSelector().(type) {
	case *tapv3.SocketEvent_Read_:
		return t.body(c, c.reads, selector.Read.GetData())
	case *tapv3.SocketEvent_Write_:
		c.half = c.half || selector.Write.GetEndStream()
		return t.body(c, 1-c.reads, selector.Write.GetData())
	case *tapv3.SocketEvent_Closed_:
		t.order.Remove(c.element)
		delete(t.conns, c.trace)
		return t.close(c)
	}
	t.s.leave(leftUnknown)
	c.damages-- // it may hold bytes
	return nil
}

// body takes bytes of a direction.
func (t *tracker) body(c *conn, d capture.Direction, body *tapv3.Body) error {
	b := body.GetAsBytes()
	c.last, c.truncated = d, body.GetTruncated()
	if text := body.GetAsString(); text != "" {
		b = []byte(text)
		c.replaced = strings.ContainsAny(text, replacements)
	}
	if c.replaced {
		t.s.leave(leftText)
		if !c.streams[d].cut {
			if err := t.cut(c, d); err != nil {
				return err
			}
		}
	}
	if c.expect > 0 {
		c.expect += uint64(len(b))
	}
	return t.data(c, d, b)
}

// replacements are what Envoy writes for one or several bytes that are not UTF-8, if bodies are text: a space; others may
// write U+FFFD.
const replacements = " \uFFFD"

// settle takes what a connection's next event says of the one before: that so many bytes are missing after it, or if known
// is not set, not how many.
func (t *tracker) settle(c *conn, missing uint64, known bool) error {
	truncated, replaced, doubt := c.truncated, c.replaced, c.damages != t.damages
	c.truncated, c.replaced, c.damages = false, false, t.damages
	switch {
	case known && missing == 0, !known && !truncated && !doubt:
		return nil
	case known && (truncated || replaced):
		c.streams[c.last].offset += missing
		return t.data(c, c.last, nil)
	case truncated && !doubt:
		return t.cut(c, c.last)
	}
	if err := t.cut(c, capture.Downstream); err != nil {
		return err
	}
	return t.cut(c, capture.Upstream)
}

// data gives bytes of a direction.
func (t *tracker) data(c *conn, d capture.Direction, b []byte) error {
	s := &c.streams[d]
	e := capture.Event{Kind: capture.KindData, Direction: d, Offset: s.offset, Payload: b}
	s.offset += uint64(len(b))
	return t.add(c, &e)
}

// cut says that bytes of a direction may be missing from here on.
func (t *tracker) cut(c *conn, d capture.Direction) error {
	c.streams[d].cut = true
	return t.add(c, &capture.Event{Kind: capture.KindData, Direction: d, Offset: c.streams[d].offset, Payload: []byte{}, Cut: true})
}

// close ends a connection. A write that says that the stream ends may be one of several that write the same bytes: it
// ends with the connection at the latest.
func (t *tracker) close(c *conn) error {
	if c.half {
		d := 1 - c.reads
		if err := t.add(c, &capture.Event{Kind: capture.KindEnd, Direction: d, Offset: c.streams[d].offset}); err != nil {
			return err
		}
	}
	return t.add(c, &capture.Event{Kind: capture.KindClose, Close: &capture.Close{By: "unknown"}})
}

// begin gives a connection's open event.
func (t *tracker) begin(c *conn) error {
	c.begun = true
	if t.vm == 0 {
		t.vm = xxhash.Sum64String(string(t.s.input) + "\x00" + strconv.FormatInt(c.time, 10))
	}
	if !c.known {
		t.s.leave(leftPeers)
	}
	t.count++
	c.id = capture.ID{VM: t.vm, Number: t.count}
	if c.late {
		c.seq = 1
		if err := t.s.a.Skip(c.id, c.seq); err != nil {
			return err
		}
	}
	if err := t.s.a.Foreign(c.id); err != nil {
		return err
	}
	return t.add(c, &capture.Event{Kind: capture.KindOpen, Open: &capture.Open{
		Unit: "connections", Started: c.time, ProxyConn: c.trace, HasProxyConn: true,
		Source: c.peers[0].address, Destination: c.peers[1].address,
	}})
}

// add gives an event to the assembler, after the open event.
func (t *tracker) add(c *conn, e *capture.Event) error {
	if !c.begun {
		if err := t.begin(c); err != nil {
			return err
		}
	}
	e.Header = capture.Header{Port: c.peers[1].port, Conn: c.id, Seq: c.seq, Time: c.time}
	c.seq++
	t.s.found = true
	print := capture.Fingerprint{Sum: xxhash.Sum64(e.Payload), Length: 1 + len(e.Payload)}
	return t.s.a.Add(e, print, t.s.at(t.s.number), time.Now())
}
