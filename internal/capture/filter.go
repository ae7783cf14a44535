package capture

import (
	"slices"
	"strings"

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

// ParseWindow reads a window's identifier as it stands in a record. ok is false where text is not one.
func ParseWindow(text string) (u record.UUID, ok bool) { return parseUUID(text) }

// ParseConn reads a connection's identifier as it stands in a record. ok is false where text is not one.
func ParseConn(text string) (id record.ConnID, ok bool) {
	vm, number, found := strings.Cut(text, "-")
	var ok1, ok2 bool
	id.VM, ok1 = parseHex(vm)
	id.Number, ok2 = parseHex(number)
	return id, found && ok1 && ok2 && id.String() == text
}

// parseHex reads a number of 1 to 16 lower-case hex digits.
func parseHex(text string) (n uint64, ok bool) {
	for i := range len(text) {
		digit := unhex(text[i])
		if digit < 0 {
			return 0, false
		}
		n = n<<4 | uint64(digit)
	}
	return n, 1 <= len(text) && len(text) <= 16
}
