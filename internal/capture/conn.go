package capture

import (
	"container/list"
	"time"

	"l4dump/record"
)

// conn is an open connection as far as its events have had their turn.
type conn struct {
	id       ID
	next     uint64 // the number of the event that comes next
	begun    bool   // an event has had its turn
	selected bool   // one of them was selected
	gone     bool   // the assembler has forgotten it: it was closed, or made room
	streams  [2]stream
	lost     []span // events that were declared missing, the last maxSpans of them
	lossy    bool   // there were such events
	foreign  bool   // see Connection.Foreign
	masked   uint64 // bytes that the recorder overwrote, of those that the consumer was given
	tls      bool   // a direction begins with a TLS handshake

	asked    bool // the sink was asked for consumer
	consumer Consumer
	info     Connection

	certain certainty
	doubts  [2]certainty // by Direction; see conn.doubt

	inWindows bool        // its unit of capture is "bytes": nothing is recorded between windows
	hasOpen   bool        // the open record said so; else it is inferred
	window    record.UUID // of the event before

	last   Header // of the latest event that was seen
	lastAt Place

	held    heldEvents
	waiting *list.Element // in Assembler.waiting, while events are held
	since   time.Time     // when it began to wait for next
	recent  *list.Element // in Assembler.recent
}

// stream is one direction of a connection.
type stream struct {
	next     uint64 // the offset after the last byte
	received uint64 // bytes that are there
	given    uint64 // bytes that the consumer was given
	lossy    bool   // events were declared missing since then

	head  [tlsHeadBytes]byte // the first bytes
	heads int                // how many of them there are

	lastSeq  uint64    // of the last event
	lastUpto [2]uint64 // positions of both streams after it

	lastOffset uint64 // of the last data event
	lastLength int
	lastHash   uint64
	lastWindow record.UUID
}

// span is the events from first to last, both included.
type span struct{ first, last uint64 }

// maxSpans bounds what is remembered of a connection with many losses.
const maxSpans = 16

func (c *conn) lose(first, last uint64) {
	if len(c.lost) == maxSpans {
		c.lost = append(c.lost[:0], c.lost[1:]...)
	}
	c.lost = append(c.lost, span{first, last})
	c.lossy = true
	for i := range c.streams {
		c.streams[i].lossy = true
	}
}

func contains(spans []span, seq uint64) bool {
	for _, s := range spans {
		if s.first <= seq && seq <= s.last {
			return true
		}
	}
	return false
}

// entry is an event with what the assembler needs to know of it.
type entry struct {
	Event
	at    Place
	print Fingerprint
}

// heldEvents are events that came before others of their connection, a container/heap in the order of their numbers.
type heldEvents []*entry

func (h heldEvents) Len() int           { return len(h) }
func (h heldEvents) Less(i, j int) bool { return h[i].Seq < h[j].Seq }
func (h heldEvents) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heldEvents) Push(x any)        { *h = append(*h, x.(*entry)) }

func (h *heldEvents) Pop() any {
	n := len(*h) - 1
	e := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return e
}

// closedConns remembers the connections that were closed last.
type closedConns struct {
	max   int
	conns map[ID]closedConn
	order []ID // a ring once it is full
	next  int
}

type closedConn struct {
	next uint64 // the number after the close event's
	lost []span
}

func (m *closedConns) put(id ID, c closedConn) {
	if len(m.order) < m.max {
		m.order = append(m.order, id)
	} else {
		delete(m.conns, m.order[m.next])
		m.order[m.next] = id
		m.next = (m.next + 1) % m.max
	}
	m.conns[id] = c
}
