// Package dumplog finds the records of a dump in log text, whatever ordinary tools have put around them: a container
// runtime's parts, JSON of any nesting, colors, a collector's envelope. It knows nothing of connections.
//
// The search rests on what a record is and not on what surrounds it: printable ASCII without quotes and backslashes,
// with a mark and a checksum. So no format needs to be recognized first. Text is read through the passes of text.go,
// which undo escapes; a record that a part's end cuts is kept, and what comes next is tried as its continuation (see
// parts.go). The checksum says what belongs together.
package dumplog

import (
	"errors"
	"fmt"

	"l4dump/internal/capture"
	"l4dump/record"
)

// Handler takes what a Scanner finds. An error ends the scan and is returned by the Scanner's method.
type Handler interface {
	// Record takes a record, whose text as the plugin wrote it is given too. Both are valid until Record returns.
	Record(r *record.Record, text []byte, at capture.Place) error
	// Layotto takes a line in Layotto's format. l.Payload is valid until Layotto returns.
	Layotto(l *record.Layotto, at capture.Place) error
	// Text takes a line that holds neither, as it stands in the input and without its line break. It is valid until
	// Text returns. Of a line that is longer than MaxTextBytes, the beginning is given.
	Text(line []byte, at capture.Place) error
	// Fault takes what is wrong with the input.
	Fault(f Fault)
}

// FaultKind is what is wrong with an input.
type FaultKind uint8

// The kinds of faults, with the fields of Fault that they set besides Kind and Place.
const (
	Damaged     FaultKind = iota // a record that cannot be read: Err
	MoreDamaged                  // Records that cannot be read, on a line that has many
	Unreadable                   // the input cannot be read beyond this place: Err
)

// Fault is one thing that is wrong with an input.
type Fault struct {
	Kind    FaultKind
	Place   capture.Place
	Records uint64
	Err     error
}

// The errors of Fault.Err besides those of package record.
var (
	ErrHead = errors.New("record does not begin with its window and port")
	ErrLong = errors.New("line in Layotto's format is too long")
)

// String returns the fault as one line for a person, with its place.
func (f Fault) String() string { return f.Place.String() + ": " + f.Text() }

// Text returns the fault without its place.
func (f Fault) Text() string {
	switch f.Kind {
	case Damaged:
		return "damaged: " + f.Err.Error()
	case MoreDamaged:
		if f.Records == 1 {
			return "1 more damaged record on this line"
		}
		return fmt.Sprintf("%d more damaged records on this line", f.Records)
	case Unreadable:
		return "cannot be read further: " + f.Err.Error()
	}
	return fmt.Sprintf("fault %d", f.Kind)
}
