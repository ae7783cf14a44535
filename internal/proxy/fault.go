package proxy

import "strings"

// Fault is one thing in a configuration file that is wrong, or that the embedded engine does not support.
type Fault struct {
	// Path names the field: "static_resources.listeners[0].address"; empty for the whole file.
	Path    string
	Message string
}

// String returns "path: message".
func (f Fault) String() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// Faults are all faults of a file, in the order of the file's fields.
type Faults []Fault

// Error returns one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

func (f *Faults) add(path, message string) { *f = append(*f, Fault{path, message}) }

// join appends a field's name to a path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// unknownField is the message for a field that does not exist.
const unknownField = "unknown field"

// parent returns the path of the object that holds a field.
func parent(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

// dropEchoes removes what is only said to be missing because one of the first n faults took it out.
func (f *Faults) dropEchoes(n int) {
	parents := make(map[string]bool)
	for _, fault := range (*f)[:n] {
		if fault.Message == unknownField {
			continue // which left nothing out
		}
		parents[parent(strings.TrimSuffix(fault.Path, ".@type"))] = true
	}
	kept := (*f)[:n]
	for _, fault := range (*f)[n:] {
		missing := fault.Message == "value is required" || strings.HasPrefix(fault.Message, "want ")
		if missing && (parents[fault.Path] || parents[parent(fault.Path)]) {
			continue
		}
		kept = append(kept, fault)
	}
	*f = kept
}

// OnlyHere reports whether Envoy itself has nothing against the field: only the embedded engine does not support it.
func (f Fault) OnlyHere() bool { return strings.Contains(f.Message, notSupported) }
