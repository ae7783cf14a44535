package capture

import (
	"errors"
	"fmt"
	"strings"

	"l4dump/record"
)

// FaultKind is what is wrong with a dump.
type FaultKind uint8

// The kinds of faults, with the fields of Fault that they set besides Kind and Place. All but the first four belong
// to a connection and set Header.
const (
	FaultDamaged    FaultKind = iota // a record that cannot be read: Err
	FaultMoreDamage                  // Records that cannot be read, on a line that has many
	FaultLongLine                    // a line longer than Bytes, skipped
	FaultPartial                     // a part of a line in a container's log whose end never came
	FaultLost                        // records First to Last are missing
	FaultNoOpen                      // the connection's first record is not its open record; Last is its sequence number
	FaultNoClose                     // the input ended before the connection's close record
	FaultGap                         // bytes First to Last of Direction stand in no record, and no record is missing
	FaultLostGap                     // bytes First to Last of Direction are missing together with lost records
	FaultDropped                     // the recorder says that it dropped Bytes of Direction that were wanted: Drops
	FaultLostBytes                   // the lost records held Bytes of Direction
	FaultLedger                      // end or close record contradicts what was recorded of Direction: Err
	FaultDuplicate                   // record First once more, the same; or its bytes in a second record
	FaultUnchecked                   // record First once more, too long after the first to compare them
	FaultConflict                    // record First once more with other content; or its bytes overlap others
	FaultLate                        // record First, after it was declared lost
	FaultAfterClose                  // record First, after the connection's close record
	FaultForgotten                   // too many connections are open: the connection made room for another
)

// Fault is one thing that is wrong with a dump. Records that are called duplicate, unchecked, conflict, late or after
// close are not handed on: of two the first counts.
type Fault struct {
	Kind      FaultKind
	Place     Place
	Header    record.Header // of the record at which the fault showed
	Direction record.Direction
	First     uint64
	Last      uint64 // included
	Bytes     uint64
	Records   uint64
	Drops     []record.Drop
	Err       error
}

// The errors of Fault.Err besides those of package record.
var (
	ErrHead       = errors.New("record does not begin with its window and port")
	ErrRange      = errors.New("record has a number that no recorder reaches")
	ErrEnd        = errors.New("end record lies before bytes that were recorded")
	ErrKept       = errors.New("close record and data records disagree on the bytes that were kept")
	ErrLedgerSums = errors.New("close record's numbers do not add up: seen is not kept and dropped")
)

// ofConnection reports whether the fault belongs to the connection in Header.
func (f *Fault) ofConnection() bool { return f.Kind > FaultPartial }

// String returns the fault as one line for a person, with its place.
func (f Fault) String() string {
	at := f.Place.String() + ": "
	if f.ofConnection() {
		at += "connection " + f.Header.Conn.String() + ": "
	}
	return at + f.text()
}

func (f *Fault) text() string {
	switch f.Kind {
	case FaultDamaged:
		return "damaged: " + f.Err.Error()
	case FaultMoreDamage:
		return count(f.Records, "more damaged record") + " on this line"
	case FaultLongLine:
		return fmt.Sprintf("line is longer than %d bytes: skipped", f.Bytes)
	case FaultPartial:
		return "the rest of a partial line is missing"
	case FaultLost:
		return f.span("record") + " missing"
	case FaultNoOpen:
		if f.Last == 0 {
			return "record 0 is not its open record"
		}
		return fmt.Sprintf("the log begins at its record %d: what came before is missing", f.Last)
	case FaultNoClose:
		return "no close record: it was still open, or the log ends early"
	case FaultGap:
		return f.span("byte") + " not recorded: dropped by the recorder"
	case FaultLostGap:
		return f.span("byte") + " missing with the lost records"
	case FaultDropped:
		reasons := make([]string, 0, len(f.Drops))
		for _, drop := range f.Drops {
			reasons = append(reasons, fmt.Sprintf("%s %d", drop.Reason, drop.Bytes))
		}
		return fmt.Sprintf("the recorder dropped %s of %s: %s", count(f.Bytes, "byte"), f.Direction, strings.Join(reasons, ", "))
	case FaultLostBytes:
		return fmt.Sprintf("the lost records held %s of %s", count(f.Bytes, "byte"), f.Direction)
	case FaultLedger:
		return f.Direction.String() + ": " + f.Err.Error()
	case FaultDuplicate:
		return fmt.Sprintf("record %d is a duplicate: skipped", f.First)
	case FaultUnchecked:
		return fmt.Sprintf("record %d comes once more, too late to compare it with the first: skipped", f.First)
	case FaultConflict:
		return fmt.Sprintf("record %d contradicts what was recorded before: skipped", f.First)
	case FaultLate:
		return fmt.Sprintf("record %d comes after it was declared missing: skipped", f.First)
	case FaultAfterClose:
		return fmt.Sprintf("record %d follows the close record: skipped", f.First)
	case FaultForgotten:
		return "forgotten to make room: too many connections are open"
	}
	return fmt.Sprintf("fault %d", f.Kind)
}

// span returns "record 3 is", "records 3-5 are" or "bytes 3-5 of upstream are".
func (f *Fault) span(what string) string {
	of := ""
	if what == "byte" {
		of = " of " + f.Direction.String()
	}
	if f.First == f.Last {
		return fmt.Sprintf("%s %d%s is", what, f.First, of)
	}
	return fmt.Sprintf("%ss %d-%d%s are", what, f.First, f.Last, of)
}

// count returns "1 byte" or "2 bytes".
func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
