package capture

import (
	"container/list"
	"time"

	"l4dump/record"
)

// conn is an open connection as far as its records have been handed on.
type conn struct {
	id       record.ConnID
	next     uint64 // the number of the record that comes next
	begun    bool   // a record has been handed on
	selected bool   // one of them was selected
	gone     bool   // the assembler has forgotten it: it was closed, or made room
	streams  [2]stream
	lost     []span // records that were declared missing, the last maxSpans of them
	lossy    bool   // there were such records

	inWindows bool        // its unit of capture is "bytes": nothing is recorded between windows
	hasOpen   bool        // the open record said so; else it is inferred
	window    record.UUID // of the record that was handed on last

	last   record.Header // of the latest record that was seen
	lastAt Place

	held    heldRecords
	waiting *list.Element // in Assembler.waiting, while records are held
	since   time.Time     // when it began to wait for next
	recent  *list.Element // in Assembler.recent
}

// stream is one direction of a connection.
type stream struct {
	next     uint64 // the offset behind the last byte that was handed on
	received uint64 // bytes that were handed on
	lossy    bool   // records were declared missing since then

	lastOffset uint64 // of the last data record
	lastLength int
	lastHash   uint64
	lastWindow record.UUID
}

// span is the records from first to last, both included.
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

// entry is a record with what the assembler needs to know of it.
type entry struct {
	record.Record
	at    Place
	print fingerprint
}

// heldRecords are records that came before others of their connection, a container/heap in the order of their
// numbers.
type heldRecords []*entry

func (h heldRecords) Len() int           { return len(h) }
func (h heldRecords) Less(i, j int) bool { return h[i].Seq < h[j].Seq }
func (h heldRecords) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heldRecords) Push(x any)        { *h = append(*h, x.(*entry)) }

func (h *heldRecords) Pop() any {
	n := len(*h) - 1
	e := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return e
}

// closedConns remembers the connections that were closed last.
type closedConns struct {
	max   int
	conns map[record.ConnID]closedConn
	order []record.ConnID // a ring once it is full
	next  int
}

type closedConn struct {
	next uint64 // the number behind the close record's
	lost []span
}

func (m *closedConns) put(id record.ConnID, c closedConn) {
	if len(m.order) < m.max {
		m.order = append(m.order, id)
	} else {
		delete(m.conns, m.order[m.next])
		m.order[m.next] = id
		m.next = (m.next + 1) % m.max
	}
	m.conns[id] = c
}
