package strategy

import "strconv"

// The two messages between the plugin and its sidecar. The plugin polls with
//
//	GET /v1/state
//	l4dump-report: [{"plugin":"l4dump","reason":"recorded","strategy":{"switch":"ON","interval":30,…}}]
//
// and the sidecar answers with
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

// State is what the plugin reads of the sidecar's answer.
type State struct {
	Measured bool         // Usage is set
	Usage    Usage        // percent, 0 to 100
	Age      Milliseconds // of the older figure, when the sidecar answered
	Global   *Strategy    // nil where there is none
}

// ParseState reads the sidecar's answer. The error is a Faults.
func ParseState(text []byte) (State, error) {
	p := newParser(text)
	p.lenient = true
	var s State
	version := int64(0)
	p.document(p.object([]member{
		{"version", p.integer(&version, StateVersion, StateVersion, "")},
		{"usage", p.orNull(p.usage(&s))},
		{"global", p.orNull(func(path string) {
			global := DefaultStrategy()
			p.strategy(&global, true)(path)
			s.Global = &global
		})},
	}, func(string) {
		if version != StateVersion {
			p.fault("version", "want "+itoa(StateVersion))
		}
	}))
	if len(p.faults) > 0 {
		return State{}, p.faults
	}
	return s, nil
}

func (p *parser) usage(s *State) value {
	cpu, memory := false, false
	return p.object([]member{
		{"cpu", p.figure(&s.Usage.CPU, &s.Age, &cpu)},
		{"memory", p.figure(&s.Usage.Memory, &s.Age, &memory)},
	}, func(path string) {
		if s.Measured = cpu && memory; !s.Measured {
			p.fault(path, "want cpu and memory, each with percent and age_ms")
		}
	})
}

// figure reads a percentage, and its age where that is higher than age.
func (p *parser) figure(percent *float64, age *Milliseconds, whole *bool) value {
	const maxAge = 1 << 40
	ms, n := int64(-1), -1.0
	return p.object([]member{
		{"percent", p.number(&n, "a number from 0 to 100", func(n float64) bool { return n >= 0 && n <= 100 })},
		{"age_ms", p.integer(&ms, 0, maxAge, "")},
	}, func(string) {
		*percent, *age = n, max(*age, Milliseconds(ms))
		*whole = n >= 0 && ms >= 0
	})
}

// orNull reads a value that may be null, which leaves its place as it was.
func (p *parser) orNull(read value) value {
	return func(path string) {
		if p.kind() == 'n' {
			p.value()
			return
		}
		read(path)
	}
}

// Report is what the plugin tells the sidecar of one of its configurations.
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
		dst = appendQuoted(dst, r.Plugin)
		dst = append(dst, `,"reason":`...)
		dst = appendQuoted(dst, r.Reason)
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
	p.document(func(path string) {
		if p.kind() != '[' {
			p.wrong(path, "a list")
			return
		}
		p.each(']', func() {
			r := Report{Strategy: DefaultStrategy()}
			p.object([]member{
				{"plugin", p.name(&r.Plugin)},
				{"reason", p.name(&r.Reason)},
				{"strategy", p.strategy(&r.Strategy, false)},
			}, nil)("[" + itoa(int64(len(reports))) + "]")
			reports = append(reports, r)
		})
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
