package capture

import (
	"slices"

	"l4dump/record"
)

// Filter selects events. An empty list selects all.
type Filter struct {
	Conns   []ID
	Ports   []uint16
	Windows []record.UUID
}

func (f *Filter) selects(h *Header) bool {
	return (len(f.Conns) == 0 || slices.Contains(f.Conns, h.Conn)) &&
		(len(f.Ports) == 0 || slices.Contains(f.Ports, h.Port)) &&
		(len(f.Windows) == 0 || slices.Contains(f.Windows, h.Window))
}
