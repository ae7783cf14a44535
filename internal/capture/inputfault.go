package capture

import (
	"errors"
	"fmt"
)

// InputFaultKind is what is wrong with a log.
type InputFaultKind uint8

// The kinds of faults, with the fields of InputFault that they set besides Kind and Place.
const (
	FaultDamaged    InputFaultKind = iota // a record that cannot be read: Err
	FaultMoreDamage                       // Records that cannot be read, on a line that has many
	FaultLongLine                         // a line longer than MaxLineBytes, skipped
	FaultPartial                          // a part of a line in a container's log whose end never came
)

// InputFault is one thing that is wrong with a log and belongs to no connection.
type InputFault struct {
	Kind    InputFaultKind
	Place   Place
	Records uint64
	Err     error
}

// ErrHead is an error of InputFault.Err besides those of package record.
var ErrHead = errors.New("record does not begin with its window and port")

// String returns the fault as one line for a person, with its place.
func (f InputFault) String() string {
	text := fmt.Sprintf("fault %d", f.Kind)
	switch f.Kind {
	case FaultDamaged:
		text = "damaged: " + f.Err.Error()
	case FaultMoreDamage:
		text = count(f.Records, "more damaged record") + " on this line"
	case FaultLongLine:
		text = fmt.Sprintf("line is longer than %d bytes: skipped", MaxLineBytes)
	case FaultPartial:
		text = "the rest of a partial line is missing"
	}
	return f.Place.String() + ": " + text
}
