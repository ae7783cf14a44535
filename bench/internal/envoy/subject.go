package envoy

import (
	"fmt"

	tapconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/tap/v3"
)

// Subject is what a row has in the data path.
type Subject struct {
	Name    string
	Plugin  string                        // the plugin's configuration; empty leaves the filter out
	Module  string                        // another module than the plugin
	Tap     tapconfigv3.OutputSink_Format // how Envoy's own tap writes
	Tapped  bool                          // whether there is a tap
	LogPath bool                          // the log goes to Envoy's --log-path, which a thread of its own writes
}

// The plugin's configurations. Open windows are so for all but a second of the hour.
const (
	Idle   = `{"strategy":{"switch":"OFF"},"resource_guard":"off"}`
	Budget = open + `,"capture":{"directions":["downstream","upstream"]}}`
	Closed = `{"strategy":{"switch":"ON","interval":3600,"duration":1},"resource_guard":"off"}` // but for a second of the hour
	// NotAdmitted records one connection of a window; those that are measured come after it.
	NotAdmitted = open + `,"capture":{"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0,` +
		`"max_connections_per_window":1}}`
	Everything = all + `}`
	LongLines  = all + `,"output":{"max_line_bytes":65536}}`
	LongWrites = all + longWrites + `}`
	Masked     = recorded + `,"mask":{"patterns":["password","secret"],"http_headers":true,"card_numbers":true}}` + longWrites + `}`
	Layotto    = all + `,"output":{"format":"layotto"}}`

	open = `{"strategy":{"switch":"ON","interval":3600,"duration":3599},"resource_guard":"off"`
	all  = recorded + `}`

	recorded   = open + `,"capture":{"directions":["downstream","upstream"],"max_bytes_per_second":0,"max_lines_per_second":0`
	longWrites = `,"output":{"write_bytes":65536}`
)

// NoFilter is the control of every table.
func NoFilter() Subject { return Subject{Name: "no filter"} }

// Nothing is a filter that does nothing, which module is: what the plugin could cost at least.
func Nothing(module string) Subject {
	return Subject{Name: "a filter in Go that does nothing", Plugin: Idle, Module: module}
}

// TapJSON is Envoy's own tap with JSON lines.
func TapJSON() Subject {
	return Subject{Name: "Envoy's tap, JSON", Tapped: true, Tap: tapconfigv3.OutputSink_JSON_BODY_AS_BYTES}
}

// TapBinary is Envoy's own tap with protobuf messages.
func TapBinary() Subject {
	return Subject{
		Name: "Envoy's tap, binary", Tapped: true, Tap: tapconfigv3.OutputSink_PROTO_BINARY_LENGTH_DELIMITED,
	}
}

// Names returns the names of subjects.
func Names(subjects []Subject) []string {
	var names []string
	for i := range subjects {
		names = append(names, subjects[i].Name)
	}
	return names
}

// Find returns the subject called name.
func Find(subjects []Subject, name string) (*Subject, error) {
	for i := range subjects {
		if subjects[i].Name == name {
			return &subjects[i], nil
		}
	}
	return nil, fmt.Errorf("find subject: none is called %q", name)
}
