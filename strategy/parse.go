package strategy

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxConfigBytes is the longest document that Parse and ParseStrategy read.
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
	p.document(func() { p.config(&c) })
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
	p.document(func() { p.strategy("", &s, global) })
	if len(p.faults) > 0 {
		return Strategy{}, p.faults
	}
	return s, nil
}

func (p *parser) config(c *Config) {
	p.object("", map[string]func(path string){
		"strategy": func(path string) { p.strategy(path, &c.Strategy, false) },
		"resource_guard": func(path string) {
			c.Guard = oneOf(p, path, c.Guard, GuardSidecar, GuardOff)
		},
		"sidecar": func(path string) { p.sidecar(path, &c.Sidecar) },
		"fuse":    func(path string) { p.fuse(path, &c.Fuse) },
		"capture": func(path string) { p.capture(path, &c.Capture) },
		"output":  func(path string) { p.output(path, &c.Output) },
	})
}

func (p *parser) strategy(path string, s *Strategy, global bool) {
	ok := p.object(path, map[string]func(path string){
		"switch": func(path string) {
			if global {
				s.Switch = oneOf(p, path, s.Switch, SwitchOn, SwitchOff, SwitchForceOff)
			} else {
				s.Switch = oneOf(p, path, s.Switch, SwitchOn, SwitchOff)
			}
		},
		"interval":     func(path string) { s.Interval = p.integer(path, s.Interval, MinInterval, MaxInterval, "") },
		"duration":     func(path string) { s.Duration = p.integer(path, s.Duration, 1, MaxInterval-1, "") },
		"cpu_max_rate": func(path string) { s.CPUMaxRate = p.rate(path, s.CPUMaxRate) },
		"mem_max_rate": func(path string) { s.MemMaxRate = p.rate(path, s.MemMaxRate) },
	})
	if ok && s.Duration >= s.Interval {
		p.fault(join(path, "duration"), "want less than interval ("+itoa(s.Interval)+"), got "+itoa(s.Duration))
	}
}

func (p *parser) sidecar(path string, s *Sidecar) {
	ok := p.object(path, map[string]func(path string){
		"cluster": func(path string) { s.Cluster = p.name(path, s.Cluster) },
		"poll_interval": func(path string) {
			s.PollInterval = p.duration(path, s.PollInterval, MinPollInterval, MaxPollInterval)
		},
		"timeout": func(path string) { s.Timeout = p.duration(path, s.Timeout, MinTimeout, MaxTimeout) },
		"stale_after": func(path string) {
			s.StaleAfter = p.duration(path, s.StaleAfter, MinPollInterval, MaxStaleAfter)
		},
	})
	if ok && s.StaleAfter < s.PollInterval {
		p.fault(join(path, "stale_after"),
			"want at least poll_interval ("+s.PollInterval.String()+"), got "+s.StaleAfter.String())
	}
}

func (p *parser) fuse(path string, f *FuseConfig) {
	p.object(path, map[string]func(path string){
		"margin": func(path string) {
			f.Margin = p.number(path, f.Margin, "a number from 0 to "+itoa(MaxFuseMargin), func(n float64) bool {
				return n >= 0 && n <= MaxFuseMargin
			})
		},
		"readings": func(path string) {
			f.Readings = int(p.integer(path, int64(f.Readings), 1, MaxFuseReadings, ""))
		},
	})
}

func (p *parser) capture(path string, c *Capture) {
	directions := false
	p.object(path, map[string]func(path string){
		"unit": func(path string) { c.Unit = oneOf(p, path, c.Unit, UnitBytes, UnitConnections) },
		"directions": func(path string) {
			directions = true
			c.Downstream, c.Upstream = p.directions(path)
		},
		"max_bytes_per_second": func(path string) {
			c.MaxBytesPerSecond = p.integer(path, c.MaxBytesPerSecond, MinBytesPerSecond, MaxBytesPerSecond, orNoLimit)
		},
		"max_lines_per_second": func(path string) {
			c.MaxLinesPerSecond = p.integer(path, c.MaxLinesPerSecond, MinLinesPerSecond, MaxLinesPerSecond, orNoLimit)
		},
		"max_bytes_per_connection": func(path string) {
			c.MaxBytesPerConnection = p.integer(path, c.MaxBytesPerConnection, 1, MaxConnBytes, orNoLimit)
		},
	})
	if !directions && c.Unit == UnitConnections {
		c.Upstream = true // only both directions can be replayed
	}
}

func (p *parser) output(path string, o *Output) {
	p.object(path, map[string]func(path string){
		"format": func(path string) { o.Format = oneOf(p, path, o.Format, FormatL4dump, FormatLayotto) },
		"level": func(path string) {
			o.Level = oneOf(p, path, o.Level, LevelTrace, LevelDebug, LevelInfo, LevelWarn, LevelError, LevelCritical)
		},
		"max_line_bytes": func(path string) {
			o.MaxLineBytes = int(p.integer(path, int64(o.MaxLineBytes), MinLineBytes, MaxLineBytes, ""))
		},
	})
}

// parser reads one document. Values come back as they were given where they are at fault.
type parser struct {
	dec     *jsontext.Decoder
	faults  Faults
	failed  bool // the text is not JSON from here on: nothing more can be read
	lenient bool // keys that are not known are passed over
	length  int
}

func newParser(text []byte) *parser {
	// Repeated names are found by object, which knows their path and goes on reading.
	return &parser{dec: jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)), length: len(text)}
}

func (p *parser) fault(path, message string) {
	p.faults = append(p.faults, Fault{Path: path, Message: message})
}

// broken notes a fault of the JSON text itself.
func (p *parser) broken(path string, err error) {
	if p.failed {
		return
	}
	p.failed = true
	message := err.Error()
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		message = "it ends too early"
	case errors.As(err, &syntactic) && syntactic.Err != nil:
		message = syntactic.Err.Error()
	}
	p.fault(path, "want valid JSON, but at byte "+itoa(p.dec.InputOffset())+": "+message)
}

func (p *parser) document(read func()) {
	if p.length > MaxConfigBytes {
		p.fault("", "want at most "+itoa(MaxConfigBytes)+" bytes, got "+itoa(int64(p.length)))
		return
	}
	read()
	if p.failed {
		return
	}
	if _, err := p.dec.ReadToken(); err == nil {
		p.fault("", "want one JSON object and nothing after it")
	} else if !errors.Is(err, io.EOF) {
		p.broken("", err)
	}
}

// object reads an object and calls the function of each member by its name. It reports whether that went without a
// fault.
func (p *parser) object(path string, members map[string]func(path string)) bool {
	before := len(p.faults)
	if p.failed || !p.expect(path, '{', "an object") {
		return false
	}
	seen := make(map[string]bool, len(members))
	for !p.failed && p.dec.PeekKind() != '}' {
		token, err := p.dec.ReadToken()
		if err != nil {
			p.broken(path, err)
			return false
		}
		name := token.String()
		member := members[name]
		switch {
		case member == nil && p.lenient:
			p.skip(path)
		case member == nil:
			p.fault(join(path, clip(quoted(name))), "unknown key, want one of "+names(members))
			p.skip(path)
		case seen[name]:
			p.fault(join(path, name), "given twice")
			p.skip(path)
		default:
			seen[name] = true
			member(join(path, name))
		}
	}
	if p.failed {
		return false
	}
	if _, err := p.dec.ReadToken(); err != nil {
		p.broken(path, err)
	}
	return len(p.faults) == before
}

// expect reads a token of kind; another value is a fault and is passed over.
func (p *parser) expect(path string, kind jsontext.Kind, want string) bool {
	if p.dec.PeekKind() != kind {
		p.wrong(path, want)
		return false
	}
	if _, err := p.dec.ReadToken(); err != nil {
		p.broken(path, err)
		return false
	}
	return true
}

// wrong passes over the next value and notes that it should have been another.
func (p *parser) wrong(path, want string) {
	value, err := p.dec.ReadValue()
	if err != nil {
		p.broken(path, err)
		return
	}
	p.fault(path, "want "+want+", got "+describe(value))
}

func (p *parser) skip(path string) {
	if err := p.dec.SkipValue(); err != nil {
		p.broken(path, err)
	}
}

// scalar reads a value of kind and hands its text (a string's content) to accept. Where that refuses, or it is of
// another kind, it is a fault.
func (p *parser) scalar(path string, kind jsontext.Kind, want string, accept func(text string) bool) {
	if p.failed {
		return
	}
	if p.dec.PeekKind() != kind {
		p.wrong(path, want)
		return
	}
	value, err := p.dec.ReadValue()
	if err != nil {
		p.broken(path, err)
		return
	}
	text := string(value)
	if kind == '"' {
		plain, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			p.broken(path, err)
			return
		}
		text = string(plain)
	}
	if !accept(text) {
		p.fault(path, "want "+want+", got "+describe(value))
	}
}

// orNoLimit says that 0 is allowed besides a range.
const orNoLimit = ", or 0 for no limit"

func (p *parser) integer(path string, fallback, least, most int64, or string) int64 {
	want := "a whole number from " + itoa(least) + " to " + itoa(most) + or
	p.scalar(path, '0', want, func(text string) bool {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ((n < least || n > most) && (or == "" || n != 0)) {
			return false
		}
		fallback = n
		return true
	})
	return fallback
}

func (p *parser) number(path string, fallback float64, want string, accept func(n float64) bool) float64 {
	p.scalar(path, '0', want, func(text string) bool {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(n, 0) || !accept(n) {
			return false
		}
		fallback = n
		return true
	})
	return fallback
}

func (p *parser) rate(path string, fallback float64) float64 {
	return p.number(path, fallback, "a number over 0 and under "+itoa(MaxRate), func(n float64) bool {
		return n > 0 && n < MaxRate
	})
}

func (p *parser) duration(path string, fallback, least, most time.Duration) time.Duration {
	want := "a duration from \"" + least.String() + "\" to \"" + most.String() + "\""
	p.scalar(path, '"', want, func(text string) bool {
		d, err := time.ParseDuration(text)
		if err != nil || d < least || d > most {
			return false
		}
		fallback = d
		return true
	})
	return fallback
}

func (p *parser) name(path, fallback string) string {
	want := "a name of 1 to " + itoa(MaxClusterBytes) + " bytes"
	p.scalar(path, '"', want, func(text string) bool {
		if text == "" || len(text) > MaxClusterBytes {
			return false
		}
		fallback = text
		return true
	})
	return fallback
}

func oneOf[T ~string](p *parser, path string, fallback T, options ...T) T {
	want := ""
	for i, option := range options {
		switch {
		case i > 0 && i == len(options)-1:
			want += " or "
		case i > 0:
			want += ", "
		}
		want += quoted(string(option))
	}
	p.scalar(path, '"', want, func(text string) bool {
		for _, option := range options {
			if text == string(option) {
				fallback = option
				return true
			}
		}
		return false
	})
	return fallback
}

// directions reads a list of directions.
func (p *parser) directions(path string) (downstream, upstream bool) {
	if !p.expect(path, '[', `a list of "downstream" and "upstream"`) {
		return false, false
	}
	before := len(p.faults)
	for i := int64(0); !p.failed && p.dec.PeekKind() != ']'; i++ {
		at := path + "[" + itoa(i) + "]"
		direction := oneOf(p, at, "", "downstream", "upstream")
		if (direction == "downstream" && downstream) || (direction == "upstream" && upstream) {
			p.fault(at, quoted(direction)+" given twice")
		}
		downstream = downstream || direction == "downstream"
		upstream = upstream || direction == "upstream"
	}
	if p.failed {
		return false, false
	}
	if _, err := p.dec.ReadToken(); err != nil {
		p.broken(path, err)
	}
	if !downstream && !upstream && len(p.faults) == before {
		p.fault(path, `want "downstream", "upstream" or both, got an empty list`)
	}
	return downstream, upstream
}

// describe shows a JSON value in a message: a short one as it is, an object or a list by its kind.
func describe(value jsontext.Value) string {
	switch value.Kind() {
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return clip(string(value))
}

// clip shortens text from a configuration for a message.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// quoted returns text as a JSON string, so that nothing in it can break a log line.
func quoted(text string) string {
	q, err := jsontext.AppendQuote(nil, text)
	if err != nil { // only where text is not UTF-8, which the decoder refuses
		return "?"
	}
	return string(q)
}

// names lists the keys of an object in order.
func names(members map[string]func(path string)) string {
	list := make([]string, 0, len(members))
	for name := range members {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
