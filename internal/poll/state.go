// Package poll is the two messages between the plugin and its sidecar. The plugin links it. The plugin asks with
//
//	GET /v1/state
//	l4dump-report: [{"plugin":"l4dump","guard":"sidecar","reason":"recorded","strategy":{"switch":"ON","interval":30,…}}]
//	l4dump-totals: {"connections":{"seen":90,"kept":2},"bytes":{"seen":7000,"kept":500,"dropped":{"window_closed":6500}}}
//
// and the sidecar answers with
//
//	{"version":1,
//	 "usage":{"cpu":{"percent":12.5,"source":"host:/proc/stat","age_ms":140},"memory":{…}},
//	 "global":{"switch":"FORCE_OFF",…},…}
//
// usage is null while nothing is measured, global is null if there is no global strategy. Both sides pass over keys that
// they do not know.
package poll

import (
	"strconv"

	"l4dump/internal/scan"
	"l4dump/strategy"
)

// The request.
const (
	StatePath    = "/v1/state"
	ReportHeader = "l4dump-report"
	TotalsHeader = "l4dump-totals"
)

// StateVersion is the version of the sidecar's answer.
const StateVersion = 1

// State is what the plugin reads of the sidecar's answer.
type State struct {
	Measured bool                  // Usage is set
	Usage    strategy.Usage        // percent, 0 to 100
	Age      strategy.Milliseconds // of the older figure, when the sidecar answered
	Global   *strategy.Strategy    // nil if there is none
}

// ParseState reads the sidecar's answer. The error is a fault.Faults.
func ParseState(text []byte) (State, error) {
	p := parser{scan.NewLenientParser(text)}
	var s State
	version := int64(0)
	err := p.Document(p.Object([]scan.Member{
		scan.Key("version", p.Integer(&version, StateVersion, StateVersion, "")),
		scan.Key("usage", p.OrNull(p.usage(&s))),
		scan.Key("global", p.OrNull(func(path string) {
			global := strategy.DefaultStrategy()
			strategy.Read(p.Parser, &global, true)(path)
			s.Global = &global
		})),
	}, func(string) {
		if version != StateVersion {
			p.Fault("version", "want "+strconv.Itoa(StateVersion))
		}
	}))
	if err != nil {
		return State{}, err
	}
	return s, nil
}

// parser adds this package's values.
type parser struct{ *scan.Parser }

func (p parser) usage(s *State) scan.Value {
	cpu, memory := false, false
	return p.Object([]scan.Member{
		scan.Key("cpu", p.figure(&s.Usage.CPU, &s.Age, &cpu)),
		scan.Key("memory", p.figure(&s.Usage.Memory, &s.Age, &memory)),
	}, func(path string) {
		if s.Measured = cpu && memory; !s.Measured {
			p.Fault(path, "want cpu and memory, each with percent and age_ms")
		}
	})
}

// figure reads a percentage, and its age if that is higher than age.
func (p parser) figure(percent *float64, age *strategy.Milliseconds, whole *bool) scan.Value {
	const maxAge = 1 << 40
	ms, n := int64(-1), -1.0
	return p.Object([]scan.Member{
		scan.Key("percent", p.Number(&n, "a number from 0 to 100", func(n float64) bool { return n >= 0 && n <= 100 })),
		scan.Key("age_ms", p.Integer(&ms, 0, maxAge, "")),
	}, func(string) {
		*percent, *age = n, max(*age, strategy.Milliseconds(ms))
		*whole = n >= 0 && ms >= 0
	})
}
