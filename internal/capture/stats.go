package capture

import (
	"fmt"

	"l4dump/record"
)

// Stats counts what was decoded and selected.
type Stats struct {
	Records      uint64
	Connections  uint64    // with a selected record; one that was forgotten and came back counts twice
	Bytes        [2]uint64 // by record.Direction
	Faults       uint64    // that were reported
	LayottoLines uint64
}

// String returns the numbers as one line for a person.
func (s Stats) String() string {
	return fmt.Sprintf("%s of %s: %s downstream, %s upstream; %s",
		count(s.Records, "record"), count(s.Connections, "connection"),
		count(s.Bytes[record.Downstream], "byte"), count(s.Bytes[record.Upstream], "byte"), count(s.Faults, "fault"))
}
