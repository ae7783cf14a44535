package strategy

import (
	"bytes"
	"strconv"

	"l4dump/internal/fault"
	"l4dump/internal/scan"
)

// MaxConfigBytes is the longest document that is read.
const MaxConfigBytes = scan.MaxTextBytes

// Parse reads the plugin's configuration, a JSON object (docs/CONFIGURATION.md). Absent keys have their defaults; an
// empty document is an empty object. Unknown and repeated keys, wrong types and values out of bounds are faults: the
// error is a fault.Faults that names each, and Config is then the zero value.
func Parse(text []byte) (Config, error) {
	c := DefaultConfig()
	if len(bytes.TrimSpace(text)) == 0 {
		return c, nil
	}
	p := reader{scan.NewParser(text)}
	if err := p.Document(p.config(&c)); err != nil {
		return Config{}, err
	}
	return c, nil
}

// ParseStrategy reads a strategy, a JSON object as the configuration's "strategy". A global one may be FORCE_OFF too.
// The error is a fault.Faults that names each fault, and Strategy is then the zero value.
func ParseStrategy(text []byte, global bool) (Strategy, error) {
	s := DefaultStrategy()
	p := scan.NewParser(text)
	if err := p.Document(Read(p, &s, global)); err != nil {
		return Strategy{}, err
	}
	return s, nil
}

func (p reader) config(c *Config) scan.Value {
	return p.Object([]scan.Member{
		scan.Key("strategy", Read(p.Parser, &c.Strategy, false)),
		scan.Key("resource_guard", scan.OneOf(p.Parser, &c.Guard, GuardSidecar, GuardOff)),
		scan.Key("sidecar", p.sidecar(&c.Sidecar)),
		scan.Key("fuse", p.fuse(&c.Fuse)),
		scan.Key("capture", p.capture(&c.Capture)),
		scan.Key("output", p.output(&c.Output)),
	}, nil)
}

// Read reads a strategy as a part of another document.
func Read(parser *scan.Parser, s *Strategy, global bool) scan.Value {
	p := reader{parser}
	switches := scan.OneOf(p.Parser, &s.Switch, SwitchOn, SwitchOff)
	if global {
		switches = scan.OneOf(p.Parser, &s.Switch, SwitchOn, SwitchOff, SwitchForceOff)
	}
	return p.Object([]scan.Member{
		scan.Key("switch", switches),
		scan.Key("interval", p.Integer(&s.Interval, MinInterval, MaxInterval, "")),
		scan.Key("duration", p.Integer(&s.Duration, 1, MaxInterval-1, "")),
		scan.Key("cpu_max_rate", p.rate(&s.CPUMaxRate)),
		scan.Key("mem_max_rate", p.rate(&s.MemMaxRate)),
		scan.Key("placement", p.placement(&s.Spread)),
		scan.Key("until", p.moment(&s.Until)),
	}, func(path string) {
		if s.Duration >= s.Interval {
			p.Fault(fault.Join(path, "duration"), "want less than interval ("+itoa(s.Interval)+"), got "+itoa(s.Duration))
		}
	})
}

func (p reader) sidecar(s *Sidecar) scan.Value {
	given := false
	staleAfter := p.duration(&s.StaleAfter, MinStaleAfter, MaxStaleAfter)
	return p.Object([]scan.Member{
		scan.Key("cluster", p.name(&s.Cluster)),
		scan.Key("poll_interval", p.duration(&s.PollInterval, MinPollInterval, MaxPollInterval)),
		scan.Key("timeout", p.duration(&s.Timeout, MinTimeout, MaxTimeout)),
		scan.Key("stale_after", func(path string) { given = true; staleAfter(path) }),
	}, func(path string) {
		if !given {
			s.StaleAfter = max(s.StaleAfter, pollsUntilStale*s.PollInterval)
		}
		if s.StaleAfter < 2*s.PollInterval { // a reading must outlive the poll that follows it
			p.Fault(fault.Join(path, "stale_after"),
				"want at least twice poll_interval ("+s.PollInterval.String()+"), got "+s.StaleAfter.String())
		}
	})
}

func (p reader) fuse(f *FuseConfig) scan.Value {
	readings := int64(f.Readings)
	return p.Object([]scan.Member{
		scan.Key("margin", p.points(&f.Margin, MaxFuseMargin)),
		scan.Key("readings", p.Integer(&readings, 1, MaxFuseReadings, "")),
		scan.Key("soft", p.points(&f.Soft, MaxFuseSoft)),
	}, func(string) { f.Readings = int(readings) })
}

func (p reader) capture(c *Capture) scan.Value {
	given := false
	directions := p.directions(&c.Downstream, &c.Upstream)
	return p.Object([]scan.Member{
		scan.Key("unit", scan.OneOf(p.Parser, &c.Unit, UnitBytes, UnitConnections)),
		scan.Key("directions", func(path string) { given = true; directions(path) }),
		scan.Key("max_bytes_per_second", p.Integer(&c.MaxBytesPerSecond, MinBytesPerSecond, MaxBytesPerSecond, scan.OrNoLimit)),
		scan.Key("max_lines_per_second", p.Integer(&c.MaxLinesPerSecond, MinLinesPerSecond, MaxLinesPerSecond, scan.OrNoLimit)),
		scan.Key("max_bytes_per_connection", p.Integer(&c.MaxBytesPerConnection, 1, MaxConnBytes, scan.OrNoLimit)),
		scan.Key("max_connections", p.Integer(&c.MaxConnections, 1, MaxConnections, scan.OrNoLimit)),
		scan.Key("max_connections_per_window", p.Integer(&c.MaxConnectionsPerWindow, 1, MaxConnections, scan.OrNoLimit)),
		scan.Key("max_bytes_per_window", p.Integer(&c.MaxBytesPerWindow, MinWindowBytes, MaxWindowBytes, scan.OrNoLimit)),
		scan.Key("max_connection_time", p.duration(&c.MaxConnectionTime, MinConnectionTime, MaxConnectionTime)),
		scan.Key("connection_rate", p.Number(&c.ConnectionRate, "a number over 0 and up to 1", func(n float64) bool {
			return n > 0 && n <= 1
		})),
		scan.Key("match", p.criteria(&c.Selection.Match)),
		scan.Key("except", p.criteria(&c.Selection.Except)),
		scan.Key("mask", p.mask(&c.Mask)),
		scan.Key("next_filter", scan.OneOf(p.Parser, &c.NextFilter, NextTCPProxy, NextHTTPConnectionManager, NextOther)),
	}, func(string) {
		if !given && c.Unit == UnitConnections {
			c.Upstream = true // only both directions can be replayed
		}
	})
}

func (p reader) output(o *Output) scan.Value {
	lineBytes, writeBytes := int64(o.MaxLineBytes), int64(0)
	return p.Object([]scan.Member{
		scan.Key("format", scan.OneOf(p.Parser, &o.Format, FormatL4dump, FormatLayotto)),
		scan.Key("level", scan.OneOf(p.Parser, &o.Level, LevelTrace, LevelDebug, LevelInfo, LevelWarn, LevelWarning, LevelError, LevelCritical)),
		scan.Key("max_line_bytes", p.Integer(&lineBytes, MinLineBytes, MaxLineBytes, "")),
		scan.Key("write_bytes", p.Integer(&writeBytes, MinLineBytes, MaxWriteBytes, "")),
	}, func(path string) {
		switch {
		case writeBytes == 0:
			writeBytes = lineBytes
		case writeBytes < lineBytes:
			p.Fault(path+".write_bytes", "want at least max_line_bytes, "+itoa(lineBytes)+", got "+itoa(writeBytes))
		}
		o.MaxLineBytes, o.WriteBytes = int(lineBytes), int(writeBytes)
	})
}

// reader adds this package's values to a parser.
type reader struct{ *scan.Parser }

// directions reads a list of directions.
func (p reader) directions(downstream, upstream *bool) scan.Value {
	var down, up bool
	return p.List(`a list of "downstream" and "upstream"`, func(path string) {
		direction := ""
		scan.OneOf(p.Parser, &direction, "downstream", "upstream")(path)
		if direction == "downstream" && down || direction == "upstream" && up {
			p.Fault(path, `"`+direction+`" given twice`)
		}
		down = down || direction == "downstream"
		up = up || direction == "upstream"
	}, func(path string) {
		if !down && !up {
			p.Fault(path, `want "downstream", "upstream" or both, got an empty list`)
			return
		}
		*downstream, *upstream = down, up
	})
}

func (p reader) rate(to *float64) scan.Value {
	return p.Number(to, "a number over 0 and under "+itoa(MaxRate), func(n float64) bool { return n > 0 && n < MaxRate })
}

// points reads percentage points.
func (p reader) points(to *float64, most float64) scan.Value {
	return p.Number(to, "a number from 0 to "+itoa(int64(most)), func(n float64) bool { return n >= 0 && n <= most })
}

func (p reader) duration(to *Milliseconds, least, most Milliseconds) scan.Value {
	return p.Text(`a duration from "`+least.String()+`" to "`+most.String()+`"`, func(text string) bool {
		d, ok := parseMilliseconds(text)
		if !ok || d < least || d > most {
			return false
		}
		*to = d
		return true
	})
}

func (p reader) placement(spread *bool) scan.Value {
	return p.Text(`"aligned" or "spread"`, func(text string) bool {
		*spread = text == "spread"
		return *spread || text == "aligned"
	})
}

func (p reader) moment(to *Moment) scan.Value {
	return p.Text(`a time such as "2026-11-25T18:00:00Z"`, func(text string) (ok bool) {
		*to, ok = parseMoment(text)
		return ok
	})
}

func (p reader) name(to *string) scan.Value {
	return p.Text("a name of 1 to "+itoa(MaxNameBytes)+" bytes", func(text string) bool {
		if text == "" || len(text) > MaxNameBytes {
			return false
		}
		*to = text
		return true
	})
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
