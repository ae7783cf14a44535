package strategy

import "strings"

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Path    string // of the value, as "strategy.interval"; empty where it is the whole document
	Message string // what was wanted, and what was found
}

// Faults are all that is wrong with a configuration: the error of Parse and ParseStrategy.
type Faults []Fault

// Error names every fault, separated by "; ".
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, fault := range f {
		texts[i] = fault.String()
	}
	return strings.Join(texts, "; ")
}

// String returns the path and the message.
func (f Fault) String() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}
