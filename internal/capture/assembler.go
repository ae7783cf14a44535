package capture

import (
	"bytes"
	"container/heap"
	"container/list"
	"hash/maphash"
	"math"
	"time"

	"l4dump/record"
)

// Assembler puts the records of each connection into order and finds what is missing.
//
// A record that comes early is held until those before it have come. Where the held ones exceed the limits, the
// connection that has waited longest goes on without the records that it waits for: they are lost.
type Assembler struct {
	handler Handler
	filter  Filter
	limits  Limits
	stats   Stats

	conns   map[record.ConnID]*conn
	recent  *list.List // of *conn, the one with the latest record last
	waiting *list.List // of *conn, the one that has waited longest first
	closed  closedConns
	history history
	seed    maphash.Seed

	heldRecords int
	heldBytes   int
	current     entry // of Add: a handler's argument would be allocated for each record
}

// NewAssembler returns an Assembler without connections. Handler gets what filter selects.
func NewAssembler(handler Handler, filter Filter, limits Limits) *Assembler {
	limits = limits.withDefaults()
	return &Assembler{
		handler: handler,
		filter:  filter,
		limits:  limits,
		conns:   map[record.ConnID]*conn{},
		recent:  list.New(),
		waiting: list.New(),
		closed:  closedConns{max: limits.ClosedConnections, conns: map[record.ConnID]closedConn{}},
		history: newHistory(limits.HistoryRecords),
		seed:    maphash.MakeSeed(),
	}
}

// Add takes a record whose text is given too. Both may be changed when Add has returned.
func (a *Assembler) Add(r *record.Record, text []byte, at Place, now time.Time) error {
	if r.Seq == math.MaxUint64 || r.Offset > math.MaxInt64-uint64(len(r.Payload)) {
		a.fault(Fault{Kind: FaultDamaged, Place: at, Err: ErrRange})
		return nil
	}
	e := &a.current
	*e = entry{Record: *r, at: at}
	e.print.length = len(text)
	copy(e.print.sum[:], text[len(text)-len(e.print.sum):])

	c := a.conns[r.Conn]
	if c == nil {
		if was, ok := a.closed.conns[r.Conn]; ok {
			a.addClosed(e, was)
			return nil
		}
		var err error
		if c, err = a.open(r.Conn); err != nil {
			return err
		}
	}
	a.recent.MoveToBack(c.recent)
	c.last, c.lastAt = r.Header, at
	switch {
	case r.Seq < c.next:
		a.repeated(e, c.lost)
		return nil
	case r.Seq > c.next:
		return a.hold(c, e, now)
	}
	if err := a.emit(c, e); err != nil || c.waiting == nil {
		return err
	}
	return a.release(c, now)
}

// Expire declares the records lost that connections have waited for since then or longer.
func (a *Assembler) Expire(then, now time.Time) error {
	for front := a.waiting.Front(); front != nil; front = a.waiting.Front() {
		c := front.Value.(*conn)
		if c.since.After(then) {
			return nil
		}
		if err := a.giveUp(c, now); err != nil {
			return err
		}
	}
	return nil
}

// WaitingSince returns when the connection that has waited longest began to wait. ok is false where none waits.
func (a *Assembler) WaitingSince() (since time.Time, ok bool) {
	front := a.waiting.Front()
	if front == nil {
		return time.Time{}, false
	}
	return front.Value.(*conn).since, true
}

// Finish ends the input: what connections wait for is lost. Where reportOpen is set, those without a close record are
// faults.
func (a *Assembler) Finish(reportOpen bool) error {
	for front := a.waiting.Front(); front != nil; front = a.waiting.Front() {
		if err := a.giveUp(front.Value.(*conn), time.Time{}); err != nil {
			return err
		}
	}
	for front := a.recent.Front(); front != nil; front = a.recent.Front() {
		c := front.Value.(*conn)
		a.forget(c)
		if reportOpen {
			a.fault(Fault{Kind: FaultNoClose, Place: c.lastAt, Header: c.last})
		}
	}
	return nil
}

// Stats returns the numbers so far.
func (a *Assembler) Stats() Stats { return a.stats }

func (a *Assembler) open(id record.ConnID) (*conn, error) {
	if len(a.conns) >= a.limits.OpenConnections {
		oldest := a.recent.Front().Value.(*conn)
		for oldest.waiting != nil {
			if err := a.giveUp(oldest, oldest.since); err != nil {
				return nil, err
			}
		}
		if !oldest.gone {
			a.forget(oldest)
			a.fault(Fault{Kind: FaultForgotten, Place: oldest.lastAt, Header: oldest.last})
		}
	}
	c := &conn{id: id}
	c.recent = a.recent.PushBack(c)
	a.conns[id] = c
	return c, nil
}

func (a *Assembler) forget(c *conn) {
	c.gone = true
	delete(a.conns, c.id)
	a.recent.Remove(c.recent)
}

func (a *Assembler) hold(c *conn, e *entry, now time.Time) error {
	kept := *e
	kept.Payload = bytes.Clone(e.Payload)
	heap.Push(&c.held, &kept)
	a.heldRecords++
	a.heldBytes += len(e.Payload)
	if c.waiting == nil {
		c.since = now
		c.waiting = a.waiting.PushBack(c)
	}
	for a.heldRecords > a.limits.HeldRecords || a.heldBytes > a.limits.HeldBytes {
		if err := a.giveUp(a.waiting.Front().Value.(*conn), now); err != nil {
			return err
		}
	}
	return nil
}

// giveUp declares the records lost that c waits for, and hands on what follows them.
func (a *Assembler) giveUp(c *conn, now time.Time) error {
	first := c.held[0]
	if c.next < first.Seq {
		c.lose(c.next, first.Seq-1)
		if c.begun {
			a.fault(Fault{Kind: FaultLost, Place: first.at, Header: first.Header, First: c.next, Last: first.Seq - 1})
		}
		c.next = first.Seq
	}
	return a.release(c, now)
}

// release hands on the held records of c up to the next that is missing.
func (a *Assembler) release(c *conn, now time.Time) error {
	for len(c.held) > 0 && (c.gone || c.held[0].Seq <= c.next) {
		e := heap.Pop(&c.held).(*entry)
		a.heldRecords--
		a.heldBytes -= len(e.Payload)
		var err error
		switch {
		case c.gone: // closed by a record before
			a.addClosed(e, a.closed.conns[c.id])
		case e.Seq < c.next:
			a.repeated(e, c.lost)
		default:
			err = a.emit(c, e)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case len(c.held) == 0 && c.waiting != nil:
		a.waiting.Remove(c.waiting)
		c.waiting = nil
	case c.waiting != nil:
		c.since = now
		a.waiting.MoveToBack(c.waiting)
	}
	return nil
}

// emit hands on the record whose turn it is.
func (a *Assembler) emit(c *conn, e *entry) error {
	c.next = e.Seq + 1
	a.history.put(c.id, e.Seq, e.print)
	if !c.begun {
		c.begun = true
		if e.Kind != record.KindOpen || e.Seq != 0 {
			a.fault(Fault{Kind: FaultNoOpen, Place: e.at, Header: e.Header, Last: e.Seq})
		}
	}
	if !a.fits(c, e) {
		return nil
	}
	if e.Kind == record.KindClose {
		a.forget(c)
		a.closed.put(c.id, closedConn{next: c.next, lost: c.lost})
	}
	if !a.filter.selects(&e.Header) {
		return nil
	}
	a.stats.Records++
	if e.Kind == record.KindData {
		a.stats.Bytes[e.Direction] += uint64(len(e.Payload))
	}
	if !c.selected {
		c.selected = true
		a.stats.Connections++
	}
	return a.handler.Record(&e.Record, e.at)
}

// addClosed takes a record of a connection whose close record has been handed on.
func (a *Assembler) addClosed(e *entry, c closedConn) {
	if e.Seq < c.next {
		a.repeated(e, c.lost)
		return
	}
	a.fault(e.fault(FaultAfterClose))
}

// repeated takes a record whose turn has passed.
func (a *Assembler) repeated(e *entry, lost []span) {
	kind := FaultUnchecked
	if first, ok := a.history.get(e.Conn, e.Seq); ok {
		kind = FaultConflict
		if first == e.print {
			kind = FaultDuplicate
		}
	} else if contains(lost, e.Seq) {
		kind = FaultLate
	}
	a.fault(e.fault(kind))
}

func (e *entry) fault(k FaultKind) Fault {
	return Fault{Kind: k, Place: e.at, Header: e.Header, Direction: e.Direction, First: e.Seq, Last: e.Seq}
}

func (a *Assembler) fault(f Fault) {
	if f.ofConnection() && !a.filter.selects(&f.Header) {
		return
	}
	a.stats.Faults++
	a.handler.Fault(f)
}
