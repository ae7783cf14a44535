package strategy

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The two messages between the plugin and its companion. The plugin polls with
//
//	GET /v1/state
//	l4dump-report: [{"plugin":"l4dump","reason":"recorded","strategy":{"switch":"ON","interval":30,…}}]
//
// and the companion answers with
//
//	{"version":1,
//	 "usage":{"cpu":{"percent":12.5,"source":"host:/proc/stat","age_ms":140},"memory":{…}},
//	 "global":{"switch":"FORCE_OFF",…},…}
//
// where usage is null while nothing is measured, and global is null where there is no global strategy. The plugin
// passes over keys that it does not know.
const (
	StatePath    = "/v1/state"
	ReportHeader = "l4dump-report"
	StateVersion = 1
	// MaxReportBytes is the longest report that is sent and read.
	MaxReportBytes = 8 << 10
)

// State is what the plugin reads of the companion's answer.
type State struct {
	Measured bool          // Usage is set
	Usage    Usage         // percent, 0 to 100
	Age      time.Duration // of the older figure, when the companion answered
	Global   *Strategy     // nil where there is none
}

// ParseState reads the companion's answer. The error is a Faults.
func ParseState(text []byte) (State, error) {
	p := newParser(text)
	p.lenient = true
	var s State
	version := int64(0)
	p.document(func() {
		p.object("", map[string]func(path string){
			"version": func(path string) { version = p.integer(path, 0, StateVersion, StateVersion, "") },
			"usage": func(path string) {
				if !p.null() {
					s.Measured = p.usage(path, &s)
				}
			},
			"global": func(path string) {
				if !p.null() {
					global := DefaultStrategy()
					p.strategy(path, &global, true)
					s.Global = &global
				}
			},
		})
	})
	if version != StateVersion && len(p.faults) == 0 {
		p.fault("version", "want "+itoa(StateVersion))
	}
	if len(p.faults) > 0 {
		return State{}, p.faults
	}
	return s, nil
}

func (p *parser) usage(path string, s *State) bool {
	cpu, memory := false, false
	p.object(path, map[string]func(path string){
		"cpu":    func(path string) { cpu = p.figure(path, &s.Usage.CPU, &s.Age) },
		"memory": func(path string) { memory = p.figure(path, &s.Usage.Memory, &s.Age) },
	})
	if !p.failed && (!cpu || !memory) {
		p.fault(path, "want cpu and memory, each with percent and age_ms")
		return false
	}
	return true
}

// figure reads a percentage, and its age where that is higher than age.
func (p *parser) figure(path string, percent *float64, age *time.Duration) bool {
	const maxAge = 1 << 40 // milliseconds
	ms, value := int64(-1), -1.0
	p.object(path, map[string]func(path string){
		"percent": func(path string) {
			value = p.number(path, value, "a number from 0 to 100", func(n float64) bool { return n >= 0 && n <= 100 })
		},
		"age_ms": func(path string) { ms = p.integer(path, ms, 0, maxAge, "") },
	})
	*percent, *age = value, max(*age, time.Duration(ms)*time.Millisecond)
	return ms >= 0 && value >= 0
}

// null passes over a null where it comes next.
func (p *parser) null() bool {
	if p.failed || p.dec.PeekKind() != 'n' {
		return false
	}
	p.skip("")
	return true
}

// Report is what the plugin tells the companion of one of its configurations.
type Report struct {
	Plugin   string   // the name in the proxy's configuration
	Reason   string   // why nothing is recorded now, or "recorded"
	Strategy Strategy // the application's
}

// AppendReports appends the reports as a JSON list, as many as fit into MaxReportBytes, and returns the extended slice.
// It has no line breaks and only ASCII.
func AppendReports(dst []byte, reports []Report) []byte {
	start := len(dst)
	dst = append(dst, '[')
	for _, r := range reports {
		before := len(dst)
		if before > start+1 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"plugin":`...)
		dst = append(dst, ascii(r.Plugin)...)
		dst = append(dst, `,"reason":`...)
		dst = append(dst, ascii(r.Reason)...)
		dst = append(dst, `,"strategy":`...)
		dst = r.Strategy.AppendJSON(dst)
		dst = append(dst, '}')
		if len(dst)-start >= MaxReportBytes {
			dst = dst[:before]
			break
		}
	}
	return append(dst, ']')
}

// ParseReports reads what AppendReports wrote. The error is a Faults.
func ParseReports(text []byte) ([]Report, error) {
	p := newParser(text)
	p.lenient = true
	var reports []Report
	p.document(func() {
		if !p.expect("", '[', "a list") {
			return
		}
		for i := int64(0); !p.failed && p.dec.PeekKind() != ']'; i++ {
			r := Report{Strategy: DefaultStrategy()}
			text := func(to *string) func(string) {
				return func(path string) { *to = p.name(path, *to) }
			}
			p.object("["+itoa(i)+"]", map[string]func(path string){
				"plugin":   text(&r.Plugin),
				"reason":   text(&r.Reason),
				"strategy": func(path string) { p.strategy(path, &r.Strategy, false) },
			})
			reports = append(reports, r)
		}
		if _, err := p.dec.ReadToken(); err != nil {
			p.broken("", err)
		}
	})
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return reports, nil
}

// AppendJSON appends the strategy as the JSON object that ParseStrategy reads, and returns the extended slice.
func (s Strategy) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"switch":"`...)
	dst = append(dst, s.Switch...)
	dst = append(dst, `","interval":`...)
	dst = strconv.AppendInt(dst, s.Interval, 10)
	dst = append(dst, `,"duration":`...)
	dst = strconv.AppendInt(dst, s.Duration, 10)
	dst = append(dst, `,"cpu_max_rate":`...)
	dst = strconv.AppendFloat(dst, s.CPUMaxRate, 'f', -1, 64)
	dst = append(dst, `,"mem_max_rate":`...)
	dst = strconv.AppendFloat(dst, s.MemMaxRate, 'f', -1, 64)
	return append(dst, '}')
}

// ascii returns text as a JSON string of ASCII only, as a header value needs it.
func ascii(text string) string {
	clean := []byte(text)
	for i, c := range clean {
		if c < 0x20 || c >= 0x7f {
			clean[i] = '?'
		}
	}
	q, err := jsontext.AppendQuote(nil, clean)
	if err != nil {
		return `""`
	}
	return string(q)
}
