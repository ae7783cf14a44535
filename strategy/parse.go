package strategy

import (
	"bytes"
	"strconv"
	"strings"
)

// MaxConfigBytes is the longest document that is read.
const MaxConfigBytes = 64 << 10

// Parse reads the plugin's configuration, a JSON object (docs/CONFIGURATION.md). Absent keys have their defaults; an
// empty document is an empty object. Unknown and repeated keys, wrong types and values out of bounds are faults: the
// error is a Faults that names each, and Config is then the zero value.
func Parse(text []byte) (Config, error) {
	c := DefaultConfig()
	if len(bytes.TrimSpace(text)) == 0 {
		return c, nil
	}
	p := newParser(text)
	p.document(p.config(&c))
	if len(p.faults) > 0 {
		return Config{}, p.faults
	}
	return c, nil
}

// ParseStrategy reads a strategy, a JSON object as the configuration's "strategy". A global one may be FORCE_OFF too.
// The error is a Faults that names each fault, and Strategy is then the zero value.
func ParseStrategy(text []byte, global bool) (Strategy, error) {
	s := DefaultStrategy()
	p := newParser(text)
	p.document(p.strategy(&s, global))
	if len(p.faults) > 0 {
		return Strategy{}, p.faults
	}
	return s, nil
}

func (p *parser) config(c *Config) value {
	return p.object([]member{
		{"strategy", p.strategy(&c.Strategy, false)},
		{"resource_guard", oneOf(p, &c.Guard, GuardSidecar, GuardOff)},
		{"sidecar", p.sidecar(&c.Sidecar)},
		{"fuse", p.fuse(&c.Fuse)},
		{"capture", p.capture(&c.Capture)},
		{"output", p.output(&c.Output)},
	}, nil)
}

func (p *parser) strategy(s *Strategy, global bool) value {
	switches := oneOf(p, &s.Switch, SwitchOn, SwitchOff)
	if global {
		switches = oneOf(p, &s.Switch, SwitchOn, SwitchOff, SwitchForceOff)
	}
	return p.object([]member{
		{"switch", switches},
		{"interval", p.integer(&s.Interval, MinInterval, MaxInterval, "")},
		{"duration", p.integer(&s.Duration, 1, MaxInterval-1, "")},
		{"cpu_max_rate", p.rate(&s.CPUMaxRate)},
		{"mem_max_rate", p.rate(&s.MemMaxRate)},
	}, func(path string) {
		if s.Duration >= s.Interval {
			p.fault(join(path, "duration"), "want less than interval ("+itoa(s.Interval)+"), got "+itoa(s.Duration))
		}
	})
}

func (p *parser) sidecar(s *Sidecar) value {
	given := false
	staleAfter := p.duration(&s.StaleAfter, MinStaleAfter, MaxStaleAfter)
	return p.object([]member{
		{"cluster", p.name(&s.Cluster)},
		{"poll_interval", p.duration(&s.PollInterval, MinPollInterval, MaxPollInterval)},
		{"timeout", p.duration(&s.Timeout, MinTimeout, MaxTimeout)},
		{"stale_after", func(path string) { given = true; staleAfter(path) }},
	}, func(path string) {
		if !given {
			s.StaleAfter = max(s.StaleAfter, pollsUntilStale*s.PollInterval)
		}
		if s.StaleAfter < 2*s.PollInterval { // a reading must outlive the poll that follows it
			p.fault(join(path, "stale_after"),
				"want at least twice poll_interval ("+s.PollInterval.String()+"), got "+s.StaleAfter.String())
		}
	})
}

func (p *parser) fuse(f *FuseConfig) value {
	readings := int64(f.Readings)
	return p.object([]member{
		{"margin", p.number(&f.Margin, "a number from 0 to "+itoa(MaxFuseMargin), func(n float64) bool {
			return n >= 0 && n <= MaxFuseMargin
		})},
		{"readings", p.integer(&readings, 1, MaxFuseReadings, "")},
	}, func(string) { f.Readings = int(readings) })
}

func (p *parser) capture(c *Capture) value {
	given := false
	directions := p.directions(&c.Downstream, &c.Upstream)
	return p.object([]member{
		{"unit", oneOf(p, &c.Unit, UnitBytes, UnitConnections)},
		{"directions", func(path string) { given = true; directions(path) }},
		{"max_bytes_per_second", p.integer(&c.MaxBytesPerSecond, MinBytesPerSecond, MaxBytesPerSecond, orNoLimit)},
		{"max_lines_per_second", p.integer(&c.MaxLinesPerSecond, MinLinesPerSecond, MaxLinesPerSecond, orNoLimit)},
		{"max_bytes_per_connection", p.integer(&c.MaxBytesPerConnection, 1, MaxConnBytes, orNoLimit)},
	}, func(string) {
		if !given && c.Unit == UnitConnections {
			c.Upstream = true // only both directions can be replayed
		}
	})
}

func (p *parser) output(o *Output) value {
	lineBytes := int64(o.MaxLineBytes)
	return p.object([]member{
		{"format", oneOf(p, &o.Format, FormatL4dump, FormatLayotto)},
		{"level", oneOf(p, &o.Level, LevelTrace, LevelDebug, LevelInfo, LevelWarn, LevelWarning, LevelError, LevelCritical)},
		{"max_line_bytes", p.integer(&lineBytes, MinLineBytes, MaxLineBytes, "")},
	}, func(string) { o.MaxLineBytes = int(lineBytes) })
}

// parser reads one document. A value that is at fault leaves its place as it was.
type parser struct {
	scanner
	faults  Faults
	lenient bool // keys that are not known are passed over
}

// value reads one JSON value, whose path is given for its faults.
type value func(path string)

// member is a key of an object and how its value is read.
type member struct {
	name string
	read value
}

func newParser(text []byte) *parser { return &parser{scanner: scanner{text: text}} }

func (p *parser) fault(path, message string) {
	p.faults = append(p.faults, Fault{Path: path, Message: message})
}

// document reads the whole text as one value.
func (p *parser) document(read value) {
	if len(p.text) > MaxConfigBytes {
		p.fault("", "want at most "+itoa(MaxConfigBytes)+" bytes, got "+itoa(int64(len(p.text))))
		return
	}
	read("")
	if p.peek() != 0 {
		p.unexpected("want nothing after the object")
	}
	if p.scanner.fault != "" {
		p.fault("", "want valid JSON, but at byte "+itoa(int64(p.next))+": "+p.scanner.fault)
	}
}

// object reads an object by its members. Where they are without a fault, done (if not nil) looks at them together.
func (p *parser) object(members []member, done value) value {
	return func(path string) {
		if p.kind() != '{' {
			p.wrong(path, "an object")
			return
		}
		faults := len(p.faults)
		seen := make([]bool, len(members))
		p.each('}', func() {
			name := p.string()
			p.token(':')
			p.member(path, name, members, seen)
		})
		if done != nil && p.scanner.fault == "" && len(p.faults) == faults {
			done(path)
		}
	}
}

func (p *parser) member(path, name string, members []member, seen []bool) {
	for i, m := range members {
		if m.name != name {
			continue
		}
		if seen[i] {
			p.fault(join(path, name), "given twice")
			break
		}
		seen[i] = true
		m.read(join(path, name))
		return
	}
	p.value()
	if p.scanner.fault == "" && !p.lenient && !known(members, name) {
		p.fault(join(path, clip(string(appendQuoted(nil, name)))), "unknown key, want one of "+names(members))
	}
}

func known(members []member, name string) bool {
	for _, m := range members {
		if m.name == name {
			return true
		}
	}
	return false
}

// wrong passes over the next value and notes that it should have been another.
func (p *parser) wrong(path, want string) {
	if text := p.value(); p.scanner.fault == "" {
		p.fault(path, "want "+want+", got "+describe(text))
	}
}

// scalar reads a value of kind and hands its text (a string's content) to accept. Where that refuses, or it is of
// another kind, it is a fault.
func (p *parser) scalar(kind byte, want string, accept func(text string) bool) value {
	return func(path string) {
		if p.kind() != kind {
			p.wrong(path, want)
			return
		}
		start := p.next
		var text string
		if kind == '"' {
			text = p.string()
		} else {
			text = p.scanner.number()
		}
		if p.scanner.fault == "" && !accept(text) {
			p.fault(path, "want "+want+", got "+describe(p.text[start:p.next]))
		}
	}
}

// orNoLimit says that 0 is allowed besides a range.
const orNoLimit = ", or 0 for no limit"

func (p *parser) integer(to *int64, least, most int64, or string) value {
	return p.scalar('0', "a whole number from "+itoa(least)+" to "+itoa(most)+or, func(text string) bool {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ((n < least || n > most) && (or == "" || n != 0)) {
			return false
		}
		*to = n
		return true
	})
}

func (p *parser) number(to *float64, want string, accept func(n float64) bool) value {
	return p.scalar('0', want, func(text string) bool {
		n, err := strconv.ParseFloat(text, 64) // an error for what is too large
		if err != nil || !accept(n) {
			return false
		}
		*to = n
		return true
	})
}

func (p *parser) rate(to *float64) value {
	return p.number(to, "a number over 0 and under "+itoa(MaxRate), func(n float64) bool { return n > 0 && n < MaxRate })
}

func (p *parser) duration(to *Milliseconds, least, most Milliseconds) value {
	return p.scalar('"', `a duration from "`+least.String()+`" to "`+most.String()+`"`, func(text string) bool {
		d, ok := parseMilliseconds(text)
		if !ok || d < least || d > most {
			return false
		}
		*to = d
		return true
	})
}

func (p *parser) name(to *string) value {
	return p.scalar('"', "a name of 1 to "+itoa(MaxNameBytes)+" bytes", func(text string) bool {
		if text == "" || len(text) > MaxNameBytes {
			return false
		}
		*to = text
		return true
	})
}

func oneOf[T ~string](p *parser, to *T, options ...T) value {
	want := ""
	for i, option := range options {
		switch {
		case i > 0 && i == len(options)-1:
			want += " or "
		case i > 0:
			want += ", "
		}
		want += `"` + string(option) + `"`
	}
	return p.scalar('"', want, func(text string) bool {
		for _, option := range options {
			if text == string(option) {
				*to = option
				return true
			}
		}
		return false
	})
}

// directions reads a list of directions.
func (p *parser) directions(downstream, upstream *bool) value {
	return func(path string) {
		if p.kind() != '[' {
			p.wrong(path, `a list of "downstream" and "upstream"`)
			return
		}
		var down, up bool
		faults, i := len(p.faults), int64(0)
		p.each(']', func() {
			at := path + "[" + itoa(i) + "]"
			i++
			direction := ""
			oneOf(p, &direction, "downstream", "upstream")(at)
			if direction == "downstream" && down || direction == "upstream" && up {
				p.fault(at, `"`+direction+`" given twice`)
			}
			down = down || direction == "downstream"
			up = up || direction == "upstream"
		})
		switch {
		case p.scanner.fault != "" || len(p.faults) > faults:
		case !down && !up:
			p.fault(path, `want "downstream", "upstream" or both, got an empty list`)
		default:
			*downstream, *upstream = down, up
		}
	}
}

// describe shows a JSON value in a message: a short one as it is, an object or a list by its kind.
func describe(text []byte) string {
	switch text[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return clip(string(text))
}

// clip shortens text from a configuration for a message.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

// names lists the keys of an object.
func names(members []member) string {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = m.name
	}
	return strings.Join(list, ", ")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
