package capture

import (
	"hash/maphash"
	"slices"

	"l4dump/record"
	"l4dump/strategy"
)

// fits holds an event against what was recorded of its connection before and reports what is wrong. It is false if the
// event must not be handed on.
func (a *Assembler) fits(c *conn, e *entry) bool {
	c.learnUnit(e)
	switch e.Kind {
	case KindData:
		return a.dataFits(c, &c.streams[e.Direction], e)
	case KindEnd:
		a.checkEnd(c, &c.streams[e.Direction], e)
	case KindClose:
		if e.Close.HasLedger {
			a.checkLedger(c, e, Downstream)
			a.checkLedger(c, e, Upstream)
		}
	}
	return true
}

// learnUnit takes the unit of capture from the open event. If that is missing, a window that changes or closes
// gives it away: whole connections stay in the window in which they began.
func (c *conn) learnUnit(e *entry) {
	changed := c.window != e.Window && c.window != record.UUID{}
	c.window = e.Window
	switch {
	case e.Kind == KindOpen:
		c.inWindows, c.hasOpen = e.Open.Unit == string(strategy.UnitBytes), true
	case c.hasOpen:
	case changed, e.Kind == KindClose && (hasWindows(&e.Close.Ledger[0]) || hasWindows(&e.Close.Ledger[1])):
		c.inWindows = true
	}
}

// hasWindows reports whether a ledger counts bytes between windows.
func hasWindows(l *Ledger) bool {
	return slices.ContainsFunc(l.Dropped, func(d record.Drop) bool { return d.Reason == strategy.WindowClosed.String() })
}

func (a *Assembler) dataFits(c *conn, s *stream, e *entry) bool {
	hash := maphash.Bytes(a.seed, e.Payload)
	// Between the windows of the unit "bytes", nothing is recorded on purpose.
	paused := c.inWindows && s.lastWindow != e.Window
	switch {
	case e.Offset > s.next && s.lossy:
		a.gap(c, s, e, FaultLostGap, true)
	case e.Offset > s.next:
		a.gap(c, s, e, FaultGap, !paused)
	case e.Offset < s.next:
		f := e.fault(FaultConflict)
		if s.lastOffset == e.Offset && s.lastLength == len(e.Payload) && s.lastHash == hash {
			f.Kind = FaultDuplicate
		}
		a.fault(c, f)
		if f.Kind == FaultConflict {
			c.contradict(f)
		}
		return false
	}
	c.sniff(e)
	s.next, s.lossy = e.Offset+uint64(len(e.Payload)), false
	s.received += uint64(len(e.Payload))
	s.lastOffset, s.lastLength, s.lastHash, s.lastWindow = e.Offset, len(e.Payload), hash, e.Window
	s.lastSeq, s.lastUpto = e.Seq, c.positions()
	if e.Cut {
		f := e.fault(FaultCut)
		f.First = s.next
		a.fault(c, f)
		c.cutAfter(e.Direction, f)
	}
	return true
}

// checkEnd takes the end of a stream. Whether bytes before it were dropped, and why, stands in the close event.
func (a *Assembler) checkEnd(c *conn, s *stream, e *entry) {
	if e.Offset < s.next {
		f := e.fault(FaultLedger)
		f.Err = ErrEnd
		a.fault(c, f)
		c.contradict(f)
		return
	}
	if e.Offset > s.next {
		if s.lossy {
			a.gap(c, s, e, FaultLostGap, true)
		} else {
			a.gap(c, s, e, FaultGap, false)
		}
	}
	s.next = e.Offset
	s.lastSeq, s.lastUpto = e.Seq, c.positions()
}

// gap takes the bytes between those before and e. It is reported unless they are missing on purpose, or the close event
// says so.
func (a *Assembler) gap(c *conn, s *stream, e *entry, k FaultKind, report bool) {
	f := e.fault(k)
	f.First, f.Last, f.Foreign = s.next, e.Offset-1, c.foreign && k == FaultGap
	if k == FaultLostGap {
		c.doubt(e.Direction, f)
	} else {
		c.cutAfter(e.Direction, f)
	}
	if report {
		a.fault(c, f)
	}
}

// checkLedger compares what the recorder counted with what there is.
func (a *Assembler) checkLedger(c *conn, e *entry, d Direction) {
	l, received := &e.Close.Ledger[d], c.streams[d].received
	fault := func(f Fault) Fault {
		f.Place, f.Header, f.Direction = e.at, e.Header, d
		return f
	}
	// Bytes that the recorder believes to have lost on their way, though they came, are no contradiction.
	cameStill := min(received-min(received, l.Kept), bytesOf(l, strategy.SinkLost))
	var dropped, missed uint64
	var drops, all []record.Drop
	for _, drop := range l.Dropped {
		dropped += drop.Bytes
		if drop.Reason == strategy.SinkLost.String() {
			drop.Bytes -= min(drop.Bytes, cameStill)
		}
		if drop.Bytes == 0 {
			continue
		}
		all = append(all, drop)
		if !unwanted(drop.Reason, c.inWindows) {
			missed += drop.Bytes
			drops = append(drops, drop)
		}
	}
	contradiction := func(err error) {
		f := fault(Fault{Kind: FaultLedger, Err: err})
		a.fault(c, f)
		c.contradict(f)
	}
	if l.Seen != l.Kept+dropped {
		contradiction(ErrLedgerSums)
	}
	if missed > 0 {
		a.fault(c, fault(Fault{Kind: FaultDropped, Bytes: missed, Drops: drops}))
	}
	switch {
	case received < l.Kept && c.lossy:
		a.fault(c, fault(Fault{Kind: FaultLostBytes, Bytes: l.Kept - received}))
	case received != l.Kept+cameStill:
		contradiction(ErrKept)
	}
	if dropped > cameStill {
		c.cutAfter(d, fault(Fault{Kind: FaultDropped, Bytes: dropped - cameStill, Drops: all}))
	}
}

// bytesOf returns the bytes that were dropped for a reason; it stands in a ledger once.
func bytesOf(l *Ledger, reason strategy.Reason) uint64 {
	for _, drop := range l.Dropped {
		if drop.Reason == reason.String() {
			return drop.Bytes
		}
	}
	return 0
}

// unwanted reports whether bytes that were dropped for a reason are not missed: the configuration leaves them out.
func unwanted(reason string, inWindows bool) bool {
	switch reason {
	case strategy.OtherDirection.String(), strategy.NotSelected.String(), strategy.SampledOut.String():
		return true
	case strategy.WindowClosed.String(), strategy.SwitchedOff.String(), strategy.ForcedOff.String(), strategy.Ended.String():
		return inWindows
	}
	return false
}
