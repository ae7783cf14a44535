package capture

import (
	"errors"
	"fmt"
	"strings"

	"l4dump/record"
)

// FaultKind is what is wrong with a connection.
type FaultKind uint8

// The kinds of faults, with the fields of Fault that they set besides Kind, Place and Header.
const (
	FaultLost       FaultKind = iota // events First to Last are missing
	FaultNoOpen                      // the connection's first event is not its open event; Last is its number
	FaultNoClose                     // the input ended before the connection's close event
	FaultGap                         // bytes First to Last of Direction stand in no event, and no event is missing
	FaultLostGap                     // bytes First to Last of Direction are missing together with lost events
	FaultDropped                     // the recorder says that it dropped Bytes of Direction: Drops
	FaultLostBytes                   // the lost events held Bytes of Direction
	FaultLedger                      // end or close event contradicts what was recorded of Direction: Err
	FaultDuplicate                   // event First once more, the same; or its bytes in a second event
	FaultUnchecked                   // event First once more, too long after the first to compare them
	FaultConflict                    // event First once more with other content; or its bytes overlap others
	FaultLate                        // event First, after it was declared lost
	FaultAfterClose                  // event First, after the connection's close event
	FaultForgotten                   // too many connections are open: the connection made room for another
	FaultRange                       // event First has a number that no recorder reaches
	FaultSkipped                     // the Consumer could not take event First: Err
	FaultCut                         // bytes of Direction may be missing from offset First on, and how many is not known
	FaultFiltered                    // the Filter left out event First; never reported, only the Cause in a Verdict
)

// Fault is one thing that is wrong with a connection. Events that are called duplicate, unchecked, conflict, late, after
// close or range are not handed on: of two the first counts.
type Fault struct {
	Kind      FaultKind
	Place     Place
	Header    Header // of the event at which the fault showed
	Direction Direction
	First     uint64
	Last      uint64 // included
	Bytes     uint64
	Drops     []record.Drop
	Err       error
	Foreign   bool // as Connection.Foreign; set for FaultNoOpen, FaultNoClose and FaultGap only
}

// The errors of Fault.Err besides a Consumer's.
var (
	ErrEnd        = errors.New("end record lies before bytes that were recorded")
	ErrKept       = errors.New("close record and data records disagree on the bytes that were kept")
	ErrLedgerSums = errors.New("close record's numbers do not add up: seen is not kept and dropped")
)

// String returns the fault as one line for a person, with its place.
func (f Fault) String() string {
	return f.Place.String() + ": connection " + f.Header.Conn.String() + ": " + f.text()
}

func (f *Fault) text() string {
	switch f.Kind {
	case FaultLost:
		return f.span("record") + " missing"
	case FaultNoOpen:
		if f.Foreign {
			return "its beginning is missing: it began before the capture did"
		}
		if f.Last == 0 {
			return "record 0 is not its open record"
		}
		return fmt.Sprintf("the log begins at its record %d: what came before is missing", f.Last)
	case FaultNoClose:
		if f.Foreign {
			return "its end is missing: it was still open, or the capture ends early"
		}
		return "no close record: it was still open, or the log ends early"
	case FaultGap:
		if f.Foreign {
			return f.span("byte") + " not in the capture"
		}
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
	case FaultRange:
		return fmt.Sprintf("record %d has a number that no recorder reaches: skipped", f.First)
	case FaultSkipped:
		return fmt.Sprintf("record %d is left out: %s", f.First, f.Err)
	case FaultCut:
		return fmt.Sprintf("bytes of %s may be missing from byte %d on, and how many is not known", f.Direction, f.First)
	case FaultFiltered:
		return fmt.Sprintf("record %d was not asked for", f.First)
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
