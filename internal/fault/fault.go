// Package fault is what is wrong with a document: a list of faults, each with the path of its value. The plugin links
// it.
package fault

import "strings"

// Fault is one thing that is wrong with a document.
type Fault struct {
	Path    string `json:"path"`    // of the value, as "strategy.interval"; empty if it is the whole document
	Message string `json:"message"` // what was wanted, and what was found
}

// String returns the path and the message.
func (f Fault) String() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// Faults are all that is wrong with a document, as one error.
type Faults []Fault

// Error names every fault, separated by "; ".
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, each := range f {
		texts[i] = each.String()
	}
	return strings.Join(texts, "; ")
}

// Join returns the path of the member name of the object at path.
func Join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
