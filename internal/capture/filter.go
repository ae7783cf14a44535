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
	Chosen  map[ID]*Marks // as Choice.Chosen returns them; nil selects all
}

func (f *Filter) selects(h *Header) bool {
	return (len(f.Conns) == 0 || slices.Contains(f.Conns, h.Conn)) &&
		(len(f.Ports) == 0 || slices.Contains(f.Ports, h.Port)) &&
		(len(f.Windows) == 0 || slices.Contains(f.Windows, h.Window)) &&
		f.chose(h.Conn)
}

func (f *Filter) chose(id ID) bool {
	if f.Chosen == nil {
		return true
	}
	_, ok := f.Chosen[id]
	return ok
}
