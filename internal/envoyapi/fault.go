// Package envoyapi reads messages of Envoy's API from YAML and JSON as Envoy reads them, and names all that is wrong in
// them instead of the first fault.
package envoyapi

import (
	"strings"

	"l4dump/internal/fault"
)

// Fault is one thing in a configuration that is wrong.
type Fault struct {
	fault.Fault
	// Accepted says that Envoy accepts it: only the embedded engine does not, or this program does not know it.
	Accepted bool
}

// Faults are all faults of a document, in the order of its fields.
type Faults []Fault

// Error returns one fault per line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, each := range f {
		lines[i] = each.String()
	}
	return strings.Join(lines, "\n")
}

// Add appends what Envoy refuses.
func (f *Faults) Add(path, message string) {
	*f = append(*f, Fault{Fault: fault.Fault{Path: path, Message: message}})
}

// AddAccepted appends what Envoy accepts.
func (f *Faults) AddAccepted(path, message string) {
	*f = append(*f, Fault{Fault: fault.Fault{Path: path, Message: message}, Accepted: true})
}

// unknownField is the message for a field that does not exist.
const unknownField = "unknown field"

// parent returns the path of the object that holds a field.
func parent(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

// DropEchoes removes what is only said to be missing because one of the first n faults left it out.
func (f *Faults) DropEchoes(n int) {
	parents := make(map[string]bool)
	for _, each := range (*f)[:n] {
		if strings.HasPrefix(each.Message, unknownField) {
			continue // nothing is missing after it
		}
		parents[parent(strings.TrimSuffix(each.Path, ".@type"))] = true
	}
	kept := (*f)[:n]
	for _, each := range (*f)[n:] {
		missing := each.Message == "value is required" || strings.HasPrefix(each.Message, "want ")
		if missing && (parents[each.Path] || parents[parent(each.Path)]) {
			continue
		}
		kept = append(kept, each)
	}
	*f = kept
}
