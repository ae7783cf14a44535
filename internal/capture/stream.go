package capture

import (
	"hash/maphash"

	"l4dump/record"
)

// fits holds a record against what was recorded of its connection before and reports what is wrong. It is false where
// the record must not be handed on.
func (a *Assembler) fits(c *conn, e *entry) bool {
	switch e.Kind {
	case record.KindData:
		return a.dataFits(&c.streams[e.Direction], e)
	case record.KindEnd:
		a.checkEnd(&c.streams[e.Direction], e)
	case record.KindClose:
		a.checkLedger(c, e, record.Downstream, &e.Close.Downstream)
		a.checkLedger(c, e, record.Upstream, &e.Close.Upstream)
	}
	return true
}

func (a *Assembler) dataFits(s *stream, e *entry) bool {
	hash := maphash.Bytes(a.seed, e.Payload)
	switch {
	case e.Offset > s.next:
		a.gap(s, e)
	case e.Offset < s.next && len(e.Payload) > 0:
		kind := FaultConflict
		if s.lastOffset == e.Offset && s.lastLength == len(e.Payload) && s.lastHash == hash {
			kind = FaultDuplicate
		}
		a.fault(e.fault(kind))
		return false
	}
	s.next, s.lossy = e.Offset+uint64(len(e.Payload)), false
	s.received += uint64(len(e.Payload))
	s.lastOffset, s.lastLength, s.lastHash = e.Offset, len(e.Payload), hash
	return true
}

func (a *Assembler) checkEnd(s *stream, e *entry) {
	if e.Offset < s.next {
		f := e.fault(FaultLedger)
		f.Err = ErrEnd
		a.fault(f)
		return
	}
	if e.Offset > s.next {
		a.gap(s, e)
	}
	s.next, s.lossy = e.Offset, false
}

// gap reports the bytes between those that were handed on and e.
func (a *Assembler) gap(s *stream, e *entry) {
	f := e.fault(FaultGap)
	if s.lossy {
		f.Kind = FaultLostGap
	}
	f.First, f.Last = s.next, e.Offset-1
	a.fault(f)
}

// checkLedger compares what the recorder counted with what was handed on.
func (a *Assembler) checkLedger(c *conn, e *entry, d record.Direction, l *record.Ledger) {
	report := func(f Fault) {
		f.Place, f.Header, f.Direction = e.at, e.Header, d
		a.fault(f)
	}
	var dropped uint64
	for _, drop := range l.Dropped {
		dropped += drop.Bytes
	}
	if l.Seen != l.Kept+dropped {
		report(Fault{Kind: FaultLedger, Err: ErrLedgerSums})
	}
	if dropped > 0 {
		report(Fault{Kind: FaultDropped, Bytes: dropped, Drops: l.Dropped})
	}
	received := c.streams[d].received
	switch {
	case received < l.Kept && c.lossy:
		report(Fault{Kind: FaultLostBytes, Bytes: l.Kept - received})
	case received != l.Kept:
		report(Fault{Kind: FaultLedger, Err: ErrKept})
	}
}
