package capture

import "fmt"

// Stats counts what was read and selected.
type Stats struct {
	Records     uint64    // events
	Connections uint64    // with a selected event; one that was forgotten and came back counts twice
	Bytes       [2]uint64 // of payload, by Direction
	TLS         uint64    // connections that have ended, or the input has, and hold ciphertext
	Repeats     uint64    // such connections whose Verdict says Repeats
	Masked      uint64    // such connections with bytes that the recorder overwrote
	Faults      uint64    // that were reported
}

// String returns the numbers as one line for a person.
func (s Stats) String() string {
	return fmt.Sprintf("%s of %s: %s downstream, %s upstream; %s",
		count(s.Records, "record"), count(s.Connections, "connection"),
		count(s.Bytes[Downstream], "byte"), count(s.Bytes[Upstream], "byte"), count(s.Faults, "fault"))
}
