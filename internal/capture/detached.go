package capture

import (
	"encoding/binary"
	"strings"

	"l4dump/record"
)

// The marks follow a detached record, for what a record of the plugin does not say.
const (
	markNoLedger = " ledger=none" // of a close event: Close.HasLedger is false
	markForeign  = " foreign"     // the connection is Connection.Foreign
	markCut      = " cut"         // the event is Event.Cut
)

// Detached is an event that was read back from a form that carries its payload itself.
type Detached struct {
	Event
	Foreign bool // Connection.Foreign
	Print   Fingerprint
}

// AppendDetached appends all that an event says but its payload, as one line of printable ASCII without a line break, for
// a form that carries the payload itself. foreign is Connection.Foreign.
func AppendDetached(dst []byte, e *Event, foreign bool) []byte {
	switch e.Kind {
	case KindOpen:
		dst = record.AppendOpen(dst, &e.Header, e.Open)
	case KindData:
		dst = record.AppendDetached(dst, &e.Header, e.Direction, e.Offset, e.Payload, int(e.Masked))
	case KindEnd:
		dst = record.AppendEnd(dst, &e.Header, e.Direction, e.Offset)
	case KindClose:
		dst = record.AppendClose(dst, &e.Header, &record.Close{By: e.Close.By, Downstream: e.Close.Ledger[0], Upstream: e.Close.Ledger[1]})
		if !e.Close.HasLedger {
			dst = append(dst, markNoLedger...)
		}
	}
	if e.Cut {
		dst = append(dst, markCut...)
	}
	if foreign {
		dst = append(dst, markForeign...)
	}
	return dst
}

// ParseDetached reads what AppendDetached has appended. payload is shared, not copied. The error is record.ErrCut if more
// of the payload may follow.
func ParseDetached(text, payload []byte) (Detached, error) {
	r, n, err := record.ParseDetached(text, payload)
	if err != nil {
		return Detached{}, err
	}
	d := Detached{
		Event: EventOf(&r),
		// That of the same record in a log.
		Print: Fingerprint{Sum: binary.LittleEndian.Uint64(text[n-8:]), Length: n + 2*len(payload)},
	}
	for mark := range strings.FieldsSeq(string(text[n:])) {
		switch " " + mark {
		case markNoLedger:
			if d.Close != nil {
				d.Close.HasLedger = false
			}
		case markForeign:
			d.Foreign = true
		case markCut:
			d.Cut = true
		}
	}
	return d, nil
}
