// Package capture is the neutral model of a recording: connections with ordered events, their ledger, and what is wrong
// with them. A Source gives events in whatever order it has them; the Assembler puts each connection's events into order
// and finds what is missing; a Sink is asked for a Consumer for each connection, which gets its events, its faults and at
// the end a Verdict on its completeness.
package capture

import (
	"bytes"
	"container/heap"
	"container/list"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"time"
)

// Options are how an Assembler works. The zero value is for inputs that end.
type Options struct {
	Filter Filter
	Limits Limits

	// LossTimeout says that the input is live, and how long an event may come after one that follows it before it is
	// declared lost; 0 means as long as the input lasts. Connections that a live input leaves open are no faults.
	LossTimeout time.Duration

	// Reporter gets every fault; nil means that none does.
	Reporter Reporter
}

// Assembler puts the events of each connection into order and finds what is missing. It is not safe for concurrent use.
//
// An event that comes early is held until those before it have come. If the held ones exceed the limits, the connection
// that has waited longest continues without the events that it waits for: they are lost.
type Assembler struct {
	sink    Sink
	options Options
	limits  Limits
	stats   Stats

	conns   map[ID]*conn
	recent  *list.List // of *conn, the one with the latest event last
	waiting *list.List // of *conn, the one that has waited longest first
	closed  closedConns
	history history
	seed    maphash.Seed

	heldRecords int
	heldBytes   int
	current     entry // of Add: a consumer's argument would be allocated for each event
}

// NewAssembler returns an Assembler without connections. Sink gets what the filter selects.
func NewAssembler(sink Sink, options Options) *Assembler {
	limits := options.Limits.withDefaults()
	return &Assembler{
		sink:    sink,
		options: options,
		limits:  limits,
		conns:   map[ID]*conn{},
		recent:  list.New(),
		waiting: list.New(),
		closed:  closedConns{max: limits.ClosedConnections, conns: map[ID]closedConn{}},
		history: newHistory(limits.HistoryRecords),
		seed:    maphash.MakeSeed(),
	}
}

// Add takes an event, which may be changed when Add has returned. now is when it came, for Options.LossTimeout.
func (a *Assembler) Add(event *Event, print Fingerprint, at Place, now time.Time) error {
	e := &a.current
	*e = entry{Event: *event, at: at, print: print}
	c := a.conns[e.Conn]
	if e.Seq == math.MaxUint64 || e.Offset > math.MaxInt64-uint64(len(e.Payload)) {
		a.fault(c, e.fault(FaultRange))
		return nil
	}
	if c == nil {
		if was, ok := a.closed.conns[e.Conn]; ok {
			a.addClosed(e, was)
			return nil
		}
		var err error
		if c, err = a.open(e.Conn); err != nil {
			return err
		}
	}
	a.recent.MoveToBack(c.recent)
	c.last, c.lastAt = e.Header, at
	switch {
	case e.Seq < c.next:
		a.repeated(c, e)
		return nil
	case e.Seq > c.next:
		return a.hold(c, e, now)
	}
	if err := a.emit(c, e); err != nil || c.waiting == nil {
		return err
	}
	return a.release(c, now)
}

// Skip says that none of a connection's events before seq will come: the source has only what follows. It is called before
// Add is, for the connection.
func (a *Assembler) Skip(id ID, seq uint64) error {
	if a.conns[id] != nil {
		return nil
	}
	c, err := a.announce(id)
	if c != nil {
		c.next = seq
	}
	return err
}

// Foreign says that something else than l4dump has recorded a connection; see Connection.Foreign. It is called before Add
// is, for the connection, and after Skip.
func (a *Assembler) Foreign(id ID) error {
	c, err := a.announce(id)
	if c != nil {
		c.foreign = true
	}
	return err
}

// announce returns a connection whose events will follow; nil if it has been closed before.
func (a *Assembler) announce(id ID) (*conn, error) {
	if c := a.conns[id]; c != nil {
		return c, nil
	}
	if _, closed := a.closed.conns[id]; closed {
		return nil, nil //nolint:nilnil // there is nothing to announce
	}
	return a.open(id)
}

// InputFault takes what is wrong with an input and with no connection that is known.
func (a *Assembler) InputFault(f fmt.Stringer) {
	a.stats.Faults++
	if a.options.Reporter != nil {
		a.options.Reporter.InputFault(f)
	}
}

// Selects reports whether the filter selects what has a header.
func (a *Assembler) Selects(h *Header) bool { return a.options.Filter.selects(h) }

// Flush says that the input has nothing more for now.
func (a *Assembler) Flush() error { return a.sink.Flush() }

// Expire declares the events lost that connections have waited for during Options.LossTimeout or longer.
func (a *Assembler) Expire(now time.Time) error {
	if a.options.LossTimeout == 0 {
		return nil
	}
	then := now.Add(-a.options.LossTimeout)
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

// Expires returns when Expire has something to do next. ok is false if it has nothing.
func (a *Assembler) Expires() (at time.Time, ok bool) {
	front := a.waiting.Front()
	if front == nil || a.options.LossTimeout == 0 {
		return time.Time{}, false
	}
	return front.Value.(*conn).since.Add(a.options.LossTimeout), true
}

// Finish ends the input: what connections wait for is lost, and those without a close event are faults unless the input
// was live. It flushes the sink.
func (a *Assembler) Finish() error {
	for front := a.waiting.Front(); front != nil; front = a.waiting.Front() {
		if err := a.giveUp(front.Value.(*conn), time.Time{}); err != nil {
			return err
		}
	}
	for front := a.recent.Front(); front != nil; front = a.recent.Front() {
		c := front.Value.(*conn)
		if a.options.LossTimeout == 0 {
			a.fault(c, Fault{Kind: FaultNoClose, Place: c.lastAt, Header: c.last, Foreign: c.foreign})
		}
		if err := a.end(c, nil); err != nil {
			return err
		}
	}
	return a.Flush()
}

// Stats returns the numbers so far.
func (a *Assembler) Stats() Stats { return a.stats }

func (a *Assembler) open(id ID) (*conn, error) {
	if len(a.conns) >= a.limits.OpenConnections {
		oldest := a.recent.Front().Value.(*conn)
		for oldest.waiting != nil {
			if err := a.giveUp(oldest, oldest.since); err != nil {
				return nil, err
			}
		}
		if !oldest.gone {
			f := Fault{Kind: FaultForgotten, Place: oldest.lastAt, Header: oldest.last}
			a.fault(oldest, f)
			oldest.certain.cut(oldest.next, oldest.positions(), f)
			if err := a.end(oldest, nil); err != nil {
				return nil, err
			}
		}
	}
	c := &conn{id: id}
	c.recent = a.recent.PushBack(c)
	a.conns[id] = c
	return c, nil
}

// begin asks the sink for a consumer, before the first event or fault that is selected.
func (a *Assembler) begin(c *conn, h *Header, open *Open) {
	if c.asked {
		return
	}
	c.asked = true
	c.info = Connection{ID: h.Conn, Port: h.Port, Window: h.Window, Time: h.Time, Open: open, Foreign: c.foreign}
	c.consumer = a.sink.Begin(&c.info)
}

// end forgets a connection and tells its consumer what is known of it.
func (a *Assembler) end(c *conn, last *Close) error {
	c.gone = true
	delete(a.conns, c.id)
	a.recent.Remove(c.recent)
	v := c.verdict(last)
	if c.selected && v.TLS {
		a.stats.TLS++
	}
	if c.selected && v.Repeats {
		a.stats.Repeats++
	}
	if v.Masked > 0 {
		a.stats.Masked++
	}
	if c.consumer == nil {
		return nil
	}
	if err := c.consumer.End(&v); err != nil {
		return a.refused(nil, &entry{Event: Event{Header: c.last}, at: c.lastAt}, err)
	}
	return nil
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
			f := Fault{Kind: FaultLost, Place: first.at, Header: first.Header, First: c.next, Last: first.Seq - 1}
			a.fault(c, f)
			c.certain.cut(c.next, c.positions(), f)
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
			a.repeated(c, e)
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

// emit hands on the event whose turn it is.
func (a *Assembler) emit(c *conn, e *entry) error {
	c.next = e.Seq + 1
	a.history.put(c.id, e.Seq, e.print)
	selected := a.options.Filter.selects(&e.Header)
	if selected {
		a.begin(c, &e.Header, e.Open)
	}
	if !c.begun {
		c.begun = true
		if e.Kind != KindOpen || e.Seq != 0 {
			f := Fault{Kind: FaultNoOpen, Place: e.at, Header: e.Header, Last: e.Seq, Foreign: c.foreign}
			a.fault(c, f)
			c.contradict(f)
		}
	}
	if a.fits(c, e) {
		if err := a.give(c, e, selected); err != nil {
			return err
		}
	}
	if e.Kind == KindClose {
		a.closed.put(c.id, closedConn{next: c.next, lost: c.lost})
		return a.end(c, e.Close)
	}
	return nil
}

// give gives an event to the connection's consumer.
func (a *Assembler) give(c *conn, e *entry, selected bool) error {
	if !selected {
		c.cutBefore(e, e.fault(FaultFiltered))
		return nil
	}
	a.stats.Records++
	if e.Kind == KindData {
		a.stats.Bytes[e.Direction] += uint64(len(e.Payload))
		c.streams[e.Direction].given += uint64(len(e.Payload))
		c.masked += e.Masked
	}
	if !c.selected {
		c.selected = true
		a.stats.Connections++
	}
	if c.consumer == nil {
		return nil
	}
	if err := c.consumer.Event(&e.Event, e.at); err != nil {
		return a.refused(c, e, err)
	}
	return nil
}

// refused makes a fault of an event that the consumer cannot take, unless it takes none any more. c is nil if it has
// ended.
func (a *Assembler) refused(c *conn, e *entry, err error) error {
	var skip *SkipError
	if !errors.As(err, &skip) {
		return err
	}
	f := e.fault(FaultSkipped)
	f.Err = skip.Err
	a.fault(c, f)
	return nil
}

// addClosed takes an event of a connection whose close event has had its turn.
func (a *Assembler) addClosed(e *entry, c closedConn) {
	kind := FaultAfterClose
	if e.Seq < c.next {
		kind = a.repetition(e, c.lost)
	}
	a.fault(nil, e.fault(kind))
}

// repeated takes an event whose turn has passed.
func (a *Assembler) repeated(c *conn, e *entry) {
	f := e.fault(a.repetition(e, c.lost))
	a.fault(c, f)
	if f.Kind == FaultConflict {
		c.contradict(f)
	}
}

// repetition returns what an event is whose turn has passed.
func (a *Assembler) repetition(e *entry, lost []span) FaultKind {
	if first, ok := a.history.get(e.Conn, e.Seq); ok {
		if first == e.print {
			return FaultDuplicate
		}
		return FaultConflict
	}
	if contains(lost, e.Seq) {
		return FaultLate
	}
	return FaultUnchecked
}

func (e *entry) fault(k FaultKind) Fault {
	return Fault{Kind: k, Place: e.at, Header: e.Header, Direction: e.Direction, First: e.Seq, Last: e.Seq}
}

// fault reports what is wrong with a connection; c is nil if it is not known, or not any more.
func (a *Assembler) fault(c *conn, f Fault) {
	if !a.options.Filter.selects(&f.Header) {
		return
	}
	a.stats.Faults++
	if c != nil {
		if a.begin(c, &f.Header, nil); c.consumer != nil {
			c.consumer.Fault(&f)
		}
	}
	if a.options.Reporter != nil {
		a.options.Reporter.Fault(&f)
	}
}
