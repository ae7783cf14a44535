package capture

import (
	"slices"

	"l4dump/record"
)

// Filter selects records. An empty list selects all.
type Filter struct {
	Conns   []record.ConnID
	Ports   []uint16
	Windows []record.UUID
}

func (f *Filter) selects(h *record.Header) bool {
	return (len(f.Conns) == 0 || slices.Contains(f.Conns, h.Conn)) &&
		(len(f.Ports) == 0 || slices.Contains(f.Ports, h.Port)) &&
		(len(f.Windows) == 0 || slices.Contains(f.Windows, h.Window))
}
