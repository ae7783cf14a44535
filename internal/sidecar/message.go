package sidecar

import (
	"time"

	"l4dump/internal/fault"
	"l4dump/internal/poll"
	"l4dump/strategy"
)

// Strategy is a strategy as the API carries it: the object that strategy.ParseStrategy reads, FORCE_OFF included.
type Strategy strategy.Strategy

// MarshalJSON writes the keys that have not their default, and the five of old.
func (s Strategy) MarshalJSON() ([]byte, error) { return strategy.Strategy(s).AppendJSON(nil), nil }

// UnmarshalJSON reads them; the error is a fault.Faults.
func (s *Strategy) UnmarshalJSON(text []byte) error {
	read, err := strategy.ParseStrategy(text, true)
	if err != nil {
		return err
	}
	*s = Strategy(read)
	return nil
}

// State is the answer to GET /v1/state: what poll.ParseState reads, and more for people.
type State struct {
	Version   int       `json:"version"`   // poll.StateVersion
	Usage     *Usage    `json:"usage"`     // nil while nothing is measured
	Global    *Strategy `json:"global"`    // nil if there is none
	Revision  int64     `json:"revision"`  // of the global strategy: each change adds one
	By        string    `json:"by"`        // who made it: "api", "file:PATH", or empty before the first
	At        time.Time `json:"at"`        // when it was made; zero before the first
	Strategy  Strategy  `json:"strategy"`  // that applies
	Recording bool      `json:"recording"` // a window is open and nothing is in the way
	Reason    string    `json:"reason"`    // why not, or "recorded": a strategy.Reason
	Window    Window    `json:"window"`
}

// Totals is what the plugins of a proxy have seen and recorded since it started, in the form of poll.Totals.
type Totals poll.Totals

// MarshalJSON leaves out the reasons that dropped nothing.
func (t Totals) MarshalJSON() ([]byte, error) { return (*poll.Totals)(&t).Append(nil), nil }

// UnmarshalJSON reads them; the error is a fault.Faults.
func (t *Totals) UnmarshalJSON(text []byte) error {
	read, err := poll.ParseTotals(text)
	if err != nil {
		return err
	}
	*t = Totals(read)
	return nil
}

// Usage is a reading of CPU and memory.
type Usage struct {
	CPU    UsageFigure `json:"cpu"`
	Memory UsageFigure `json:"memory"`
}

// UsageFigure is one measured percentage, with its source and its age when the answer was written.
type UsageFigure struct {
	Percent   float64 `json:"percent"`
	Source    string  `json:"source"`
	AgeMillis int64   `json:"age_ms"`
}

// Window is the sampling window that began last.
type Window struct {
	ID    string    `json:"id"` // a UUID
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Next  time.Time `json:"next"` // when the next one starts
	Open  bool      `json:"open"` // End is yet to come; says nothing of the switch
}

// CurrentWindow is the answer to GET /v1/windows/current.
type CurrentWindow struct {
	Window
	Recording bool     `json:"recording"`
	Reason    string   `json:"reason"`
	Portraits []string `json:"portraits"` // the business types that this window has already
}

// Global is the answer to GET, PUT and DELETE of /v1/strategy/global.
type Global struct {
	Strategy  *Strategy `json:"strategy"` // nil if there is none
	Revision  int64     `json:"revision"`
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	Persisted bool      `json:"persisted"` // it is on disk; false while it is not, and writing it is tried again
}

// Portrait is the answer to an accepted portrait.
type Portrait struct {
	Window string `json:"window"` // a UUID
	Type   string `json:"type"`
	Port   int    `json:"port"`
	Bytes  int    `json:"bytes"` // of the line that was written
}

// Status is the answer to GET /v1/status, for people.
type Status struct {
	Version      int                 `json:"version"`
	Time         time.Time           `json:"time"`
	Recording    bool                `json:"recording"` // some plugin does
	Reason       string              `json:"reason"`    // of those that this sidecar governs
	Why          string              `json:"why"`       // Reason as a sentence
	Warnings     []string            `json:"warnings"`  // what is wrong although it works, as sentences
	Usage        *Usage              `json:"usage"`
	Strategy     Strategy            `json:"strategy"`
	Window       Window              `json:"window"`
	Global       Global              `json:"global"`
	StrategyFile *StrategyFileStatus `json:"strategy_file,omitempty"` // if one is watched
	Plugins      []PluginStatus      `json:"plugins"`                 // that polled lately
	Totals       *Totals             `json:"totals,omitempty"`        // if a plugin polled lately
	Envoy        *EnvoyStatus        `json:"envoy,omitempty"`         // if its admin address is known
	Files        FilesStatus         `json:"files"`
}

// PluginStatus is what one configuration of the plugin told, and what applies to it.
type PluginStatus struct {
	Plugin      string   `json:"plugin"`
	Guard       string   `json:"guard"`       // "sidecar" if this one governs it, "other" or "off" if not
	Reported    string   `json:"reported"`    // its own reason
	Application Strategy `json:"application"` // its own strategy
	Strategy    Strategy `json:"strategy"`    // merged with the global one
	Recording   bool     `json:"recording"`
	Reason      string   `json:"reason"`
	Shedding    int      `json:"shedding"` // what it gives up near a limit: a strategy.ShedLevel
	AgeMillis   int64    `json:"age_ms"`   // since it polled
}

// StrategyFileStatus is the state of the watched strategy file.
type StrategyFileStatus struct {
	Path    string       `json:"path"`
	Present bool         `json:"present"`
	Valid   bool         `json:"valid"`
	Faults  fault.Faults `json:"faults,omitempty"`
}

// EnvoyStatus is what Envoy's admin interface says of the plugin.
type EnvoyStatus struct {
	Counters map[string]uint64 `json:"counters"`
	Error    string            `json:"error,omitempty"` // why there are none
}

// FilesStatus is the state of the dump files.
type FilesStatus struct {
	Dir   string `json:"dir"`
	Bytes int64  `json:"bytes"`           // of all dump files, rotated ones included
	Error string `json:"error,omitempty"` // why the last line was not written
}
