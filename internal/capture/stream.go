package capture

import (
	"hash/maphash"
	"slices"

	"l4dump/record"
	"l4dump/strategy"
)

// fits holds a record against what was recorded of its connection before and reports what is wrong. It is false where
// the record must not be handed on.
func (a *Assembler) fits(c *conn, e *entry) bool {
	c.learnUnit(e)
	switch e.Kind {
	case record.KindData:
		return a.dataFits(c, &c.streams[e.Direction], e)
	case record.KindEnd:
		a.checkEnd(&c.streams[e.Direction], e)
	case record.KindClose:
		a.checkLedger(c, e, record.Downstream, &e.Close.Downstream)
		a.checkLedger(c, e, record.Upstream, &e.Close.Upstream)
	}
	return true
}

// learnUnit takes the unit of capture from the open record. Where that is missing, a window that changes or closes
// gives it away: whole connections stay in the window in which they began.
func (c *conn) learnUnit(e *entry) {
	changed := c.window != e.Window && c.window != record.UUID{}
	c.window = e.Window
	switch {
	case e.Kind == record.KindOpen:
		c.inWindows, c.hasOpen = e.Open.Unit == string(strategy.UnitBytes), true
	case c.hasOpen:
	case changed, e.Kind == record.KindClose && (hasWindows(&e.Close.Downstream) || hasWindows(&e.Close.Upstream)):
		c.inWindows = true
	}
}

// hasWindows reports whether a ledger counts bytes between windows.
func hasWindows(l *record.Ledger) bool {
	return slices.ContainsFunc(l.Dropped, func(d record.Drop) bool { return d.Reason == strategy.WindowClosed.String() })
}

func (a *Assembler) dataFits(c *conn, s *stream, e *entry) bool {
	hash := maphash.Bytes(a.seed, e.Payload)
	// Between the windows of the unit "bytes", nothing is recorded on purpose.
	paused := c.inWindows && s.lastWindow != e.Window
	switch {
	case e.Offset > s.next && s.lossy:
		a.gap(s, e, FaultLostGap)
	case e.Offset > s.next && !paused:
		a.gap(s, e, FaultGap)
	case e.Offset < s.next:
		kind := FaultConflict
		if s.lastOffset == e.Offset && s.lastLength == len(e.Payload) && s.lastHash == hash {
			kind = FaultDuplicate
		}
		a.fault(e.fault(kind))
		return false
	}
	s.next, s.lossy = e.Offset+uint64(len(e.Payload)), false
	s.received += uint64(len(e.Payload))
	s.lastOffset, s.lastLength, s.lastHash, s.lastWindow = e.Offset, len(e.Payload), hash, e.Window
	return true
}

// checkEnd takes the end of a stream. Whether bytes before it were dropped, and why, stands in the close record.
func (a *Assembler) checkEnd(s *stream, e *entry) {
	if e.Offset < s.next {
		f := e.fault(FaultLedger)
		f.Err = ErrEnd
		a.fault(f)
		return
	}
	if e.Offset > s.next && s.lossy {
		a.gap(s, e, FaultLostGap)
	}
	s.next = e.Offset
}

// gap reports the bytes between those that were handed on and e.
func (a *Assembler) gap(s *stream, e *entry, k FaultKind) {
	f := e.fault(k)
	f.First, f.Last = s.next, e.Offset-1
	a.fault(f)
}

// checkLedger compares what the recorder counted with what was handed on.
func (a *Assembler) checkLedger(c *conn, e *entry, d record.Direction, l *record.Ledger) {
	report := func(f Fault) {
		f.Place, f.Header, f.Direction = e.at, e.Header, d
		a.fault(f)
	}
	var dropped, missed uint64
	var drops []record.Drop
	for _, drop := range l.Dropped {
		dropped += drop.Bytes
		if !unwanted(drop.Reason, c.inWindows) {
			missed += drop.Bytes
			drops = append(drops, drop)
		}
	}
	if l.Seen != l.Kept+dropped {
		report(Fault{Kind: FaultLedger, Err: ErrLedgerSums})
	}
	if missed > 0 {
		report(Fault{Kind: FaultDropped, Bytes: missed, Drops: drops})
	}
	received := c.streams[d].received
	switch {
	case received < l.Kept && c.lossy:
		report(Fault{Kind: FaultLostBytes, Bytes: l.Kept - received})
	case received != l.Kept:
		report(Fault{Kind: FaultLedger, Err: ErrKept})
	}
}

// unwanted reports whether bytes that were dropped for a reason are not missed: the configuration leaves them out.
func unwanted(reason string, inWindows bool) bool {
	switch reason {
	case strategy.OtherDirection.String():
		return true
	case strategy.WindowClosed.String(), strategy.SwitchedOff.String(), strategy.ForcedOff.String():
		return inWindows
	}
	return false
}
