package strategy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/mask"
)

func TestParseDefaults(t *testing.T) {
	want := Config{
		Strategy: Strategy{Switch: SwitchOff, Interval: 30, Duration: 1, CPUMaxRate: 80, MemMaxRate: 70},
		Guard:    GuardSidecar,
		Sidecar:  Sidecar{Cluster: "l4dump-sidecar", PollInterval: 1000, Timeout: 500, StaleAfter: 5000},
		Fuse:     FuseConfig{Margin: 5, Readings: 2, Soft: 10},
		Capture:  Capture{Unit: UnitBytes, Downstream: true, MaxBytesPerSecond: 1 << 20, MaxLinesPerSecond: 20000, MaxConnections: 1000, ConnectionRate: 1},
		Output:   Output{Format: FormatL4dump, Level: LevelInfo, MaxLineBytes: 4096, WriteBytes: 4096},
	}
	for _, text := range []string{"", " \n", "{}", `{"strategy":{},"sidecar":{},"fuse":{},"capture":{},"output":{}}`} {
		got, err := Parse([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestParseEveryKey(t *testing.T) {
	got, err := Parse([]byte(`{
		"strategy": {"switch": "ON", "interval": 60, "duration": 10, "cpu_max_rate": 55.5, "mem_max_rate": 1e1},
		"resource_guard": "off",
		"sidecar": {"cluster": "c", "poll_interval": "2s", "timeout": "100ms", "stale_after": "1m"},
		"fuse": {"margin": 0.5, "readings": 3, "soft": 7.5},
		"capture": {"unit": "connections", "directions": ["upstream"], "max_bytes_per_second": 2048,
			"max_lines_per_second": 1e1, "max_bytes_per_connection": 1, "max_connections": 2,
			"max_connections_per_window": 3, "max_bytes_per_window": 1024, "max_connection_time": "2m", "connection_rate": 0.25,
			"mask": {"patterns": ["a"], "hex_patterns": ["00FF"], "http_headers": true, "card_numbers": true, "lengths_only": true}, "next_filter": "other"},
		"output": {"format": "layotto", "level": "warn", "max_line_bytes": 8192, "write_bytes": 65536}
	}`))
	require.NoError(t, err)
	require.Equal(t, Config{
		Strategy: Strategy{Switch: SwitchOn, Interval: 60, Duration: 10, CPUMaxRate: 55.5, MemMaxRate: 10},
		Guard:    GuardOff,
		Sidecar:  Sidecar{Cluster: "c", PollInterval: 2000, Timeout: 100, StaleAfter: 60_000},
		Fuse:     FuseConfig{Margin: 0.5, Readings: 3, Soft: 7.5},
		Capture: Capture{
			Unit: UnitConnections, Upstream: true, MaxBytesPerSecond: 2048, MaxLinesPerSecond: 10, MaxBytesPerConnection: 1,
			MaxConnections: 2, MaxConnectionsPerWindow: 3, MaxBytesPerWindow: 1024, MaxConnectionTime: 120_000, ConnectionRate: 0.25,
			Mask: mask.Config{Patterns: []string{"a", "\x00\xff"}, HTTPHeaders: true, CardNumbers: true, LengthsOnly: true}, NextFilter: NextOther,
		},
		Output: Output{Format: FormatLayotto, Level: LevelWarn, MaxLineBytes: 8192, WriteBytes: 65536},
	}, got)
}

func TestStaleAfterFollowsThePollInterval(t *testing.T) {
	for interval, want := range map[string]Milliseconds{"200ms": 5000, "1s": 5000, "1001ms": 5005, "60s": 300_000} {
		got, err := Parse([]byte(`{"sidecar":{"poll_interval":"` + interval + `"}}`))
		require.NoError(t, err)
		require.Equal(t, want, got.Sidecar.StaleAfter, interval)
	}
}

func TestDirectionsByUnit(t *testing.T) {
	for _, row := range []struct {
		name                 string
		capture              string
		downstream, upstream bool
	}{
		{"bytes", `{"unit":"bytes"}`, true, false},
		{"connections", `{"unit":"connections"}`, true, true},
		{"connections, one given", `{"directions":["downstream"],"unit":"connections"}`, true, false},
		{"bytes, both given", `{"directions":["upstream","downstream"]}`, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Parse([]byte(`{"capture":` + row.capture + `}`))
			require.NoError(t, err)
			require.Equal(t, row.downstream, got.Capture.Downstream)
			require.Equal(t, row.upstream, got.Capture.Upstream)
		})
	}
}

// TestBounds has a row each side of every bound: what is allowed, and the fault of what is not.
func TestBounds(t *testing.T) {
	const (
		interval = `strategy.interval: want a whole number from 30 to 3600, got `
		duration = `strategy.duration: want a whole number from 1 to 3599, got `
		cpu      = `strategy.cpu_max_rate: want a number over 0 and under 100, got `
		mem      = `strategy.mem_max_rate: want a number over 0 and under 100, got `
		bps      = `capture.max_bytes_per_second: want a whole number from 1024 to 34359738368, or 0 for no limit, got `
		lps      = `capture.max_lines_per_second: want a whole number from 10 to 1000000, or 0 for no limit, got `
		bpc      = `capture.max_bytes_per_connection: want a whole number from 1 to 1125899906842624, or 0 for no limit, got `
		conns    = `capture.max_connections: want a whole number from 1 to 1000000, or 0 for no limit, got `
		window   = `capture.max_connections_per_window: want a whole number from 1 to 1000000, or 0 for no limit, got `
		quota    = `capture.max_bytes_per_window: want a whole number from 1024 to 549755813888, or 0 for no limit, got `
		age      = `capture.max_connection_time: want a duration from "1s" to "86400s", got `
		rate     = `capture.connection_rate: want a number over 0 and up to 1, got `
		line     = `output.max_line_bytes: want a whole number from 2048 to 65536, got `
		write    = `output.write_bytes: want `
		margin   = `fuse.margin: want a number from 0 to 50, got `
		soft     = `fuse.soft: want a number from 0 to 50, got `
		readings = `fuse.readings: want a whole number from 1 to 100, got `
		poll     = `sidecar.poll_interval: want a duration from "200ms" to "60s", got `
		timeout  = `sidecar.timeout: want a duration from "10ms" to "10s", got `
		stale    = `sidecar.stale_after: want a duration from "400ms" to "600s", got `
		cluster  = `sidecar.cluster: want a name of 1 to 256 bytes, got `
	)
	for _, row := range []struct {
		name, text, fault string
	}{
		{"interval least", `{"strategy":{"interval":30}}`, ""},
		{"interval under", `{"strategy":{"interval":29}}`, interval + "29"},
		{"interval most", `{"strategy":{"interval":3600}}`, ""},
		{"interval over", `{"strategy":{"interval":3601}}`, interval + "3601"},
		{"interval not whole", `{"strategy":{"interval":30.5}}`, interval + "30.5"},
		{"interval with an exponent", `{"strategy":{"interval":3e1}}`, ""},
		{"interval with a fraction of nothing", `{"strategy":{"interval":30.0}}`, ""},
		{"interval beyond 64 bits", `{"strategy":{"interval":99999999999999999999}}`, interval + "99999999999999999999"},
		{"duration least", `{"strategy":{"duration":1}}`, ""},
		{"duration under", `{"strategy":{"duration":0}}`, duration + "0"},
		{"duration negative", `{"strategy":{"duration":-1}}`, duration + "-1"},
		{"duration under interval", `{"strategy":{"interval":31,"duration":30}}`, ""},
		{"duration at interval", `{"strategy":{"interval":31,"duration":31}}`, `strategy.duration: want less than interval (31), got 31`},
		{"duration at default interval", `{"strategy":{"duration":30}}`, `strategy.duration: want less than interval (30), got 30`},
		{"cpu least", `{"strategy":{"cpu_max_rate":0.001}}`, ""},
		{"cpu under", `{"strategy":{"cpu_max_rate":0}}`, cpu + "0"},
		{"cpu most", `{"strategy":{"cpu_max_rate":99.999}}`, ""},
		{"cpu over", `{"strategy":{"cpu_max_rate":100}}`, cpu + "100"},
		{"cpu beyond a float", `{"strategy":{"cpu_max_rate":1e999}}`, cpu + "1e999"},
		{"mem least", `{"strategy":{"mem_max_rate":0.001}}`, ""},
		{"mem under", `{"strategy":{"mem_max_rate":-0}}`, mem + "-0"},
		{"mem most", `{"strategy":{"mem_max_rate":99.999}}`, ""},
		{"mem over", `{"strategy":{"mem_max_rate":100.0}}`, mem + "100.0"},
		{"connection rate least", `{"capture":{"connection_rate":1e-9}}`, ""},
		{"connection rate under", `{"capture":{"connection_rate":0}}`, rate + "0"},
		{"connection rate most", `{"capture":{"connection_rate":1.0}}`, ""},
		{"connection rate over", `{"capture":{"connection_rate":1.001}}`, rate + "1.001"},
		{"a mask of everything", `{"capture":{"mask":{"patterns":["a"],"hex_patterns":["00"],"http_headers":true,"card_numbers":true,"lengths_only":false}}}`, ""},
		{"mask that is no boolean", `{"capture":{"mask":{"lengths_only":1}}}`, `capture.mask.lengths_only: want true or false, got 1`},
		{"pattern empty", `{"capture":{"mask":{"patterns":[""]}}}`, `capture.mask.patterns[0]: want 1 to 256 bytes of text, got ""`},
		{"pattern longest", `{"capture":{"mask":{"patterns":["` + strings.Repeat("a", 256) + `"]}}}`, ""},
		{"hexadecimal pattern of half a byte", `{"capture":{"mask":{"hex_patterns":["0"]}}}`, `capture.mask.hex_patterns[0]: want 1 to 64 bytes in hex digits, got "0"`},
		{"most patterns", `{"capture":{"mask":{"patterns":["a"` + strings.Repeat(`,"a"`, 14) + `],"hex_patterns":["00"]}}}`, ""},
		{
			"more patterns", `{"capture":{"mask":{"patterns":["a"` + strings.Repeat(`,"a"`, 15) + `],"hex_patterns":["00"]}}}`,
			`capture.mask.patterns: want at most 16 together with hex_patterns, got 17`,
		},
		{"bytes per second none", `{"capture":{"max_bytes_per_second":0}}`, ""},
		{"bytes per second least", `{"capture":{"max_bytes_per_second":1024}}`, ""},
		{"bytes per second under", `{"capture":{"max_bytes_per_second":1023}}`, bps + "1023"},
		{"bytes per second most", `{"capture":{"max_bytes_per_second":34359738368}}`, ""},
		{"bytes per second over", `{"capture":{"max_bytes_per_second":34359738369}}`, bps + "34359738369"},
		{"lines per second none", `{"capture":{"max_lines_per_second":0}}`, ""},
		{"lines per second least", `{"capture":{"max_lines_per_second":10}}`, ""},
		{"lines per second under", `{"capture":{"max_lines_per_second":9}}`, lps + "9"},
		{"lines per second most", `{"capture":{"max_lines_per_second":1000000}}`, ""},
		{"lines per second over", `{"capture":{"max_lines_per_second":1000001}}`, lps + "1000001"},
		{"bytes per connection none", `{"capture":{"max_bytes_per_connection":0}}`, ""},
		{"bytes per connection under", `{"capture":{"max_bytes_per_connection":-1}}`, bpc + "-1"},
		{"bytes per connection most", `{"capture":{"max_bytes_per_connection":1125899906842624}}`, ""},
		{"bytes per connection over", `{"capture":{"max_bytes_per_connection":1125899906842625}}`, bpc + "1125899906842625"},
		{"connections none", `{"capture":{"max_connections":0}}`, ""},
		{"connections under", `{"capture":{"max_connections":-1}}`, conns + "-1"},
		{"connections most", `{"capture":{"max_connections":1000000}}`, ""},
		{"connections over", `{"capture":{"max_connections":1000001}}`, conns + "1000001"},
		{"connections of a window none", `{"capture":{"max_connections_per_window":0}}`, ""},
		{"connections of a window under", `{"capture":{"max_connections_per_window":-1}}`, window + "-1"},
		{"connections of a window most", `{"capture":{"max_connections_per_window":1000000}}`, ""},
		{"connections of a window over", `{"capture":{"max_connections_per_window":1000001}}`, window + "1000001"},
		{"bytes of a window none", `{"capture":{"max_bytes_per_window":0}}`, ""},
		{"bytes of a window least", `{"capture":{"max_bytes_per_window":1024}}`, ""},
		{"bytes of a window under", `{"capture":{"max_bytes_per_window":1023}}`, quota + "1023"},
		{"bytes of a window most", `{"capture":{"max_bytes_per_window":549755813888}}`, ""},
		{"bytes of a window over", `{"capture":{"max_bytes_per_window":549755813889}}`, quota + "549755813889"},
		{"time of a connection least", `{"capture":{"max_connection_time":"1s"}}`, ""},
		{"time of a connection under", `{"capture":{"max_connection_time":"999ms"}}`, age + `"999ms"`},
		{"time of a connection most", `{"capture":{"max_connection_time":"1440m"}}`, ""},
		{"time of a connection over", `{"capture":{"max_connection_time":"86401s"}}`, age + `"86401s"`},
		{"time of a connection as a number", `{"capture":{"max_connection_time":60}}`, age + `60`},
		{"line least", `{"output":{"max_line_bytes":2048}}`, ""},
		{"line under", `{"output":{"max_line_bytes":2047}}`, line + "2047"},
		{"line most", `{"output":{"max_line_bytes":65536}}`, ""},
		{"line over", `{"output":{"max_line_bytes":65537}}`, line + "65537"},
		{"write of a line", `{"output":{"write_bytes":4096}}`, ""},
		{"write under a line", `{"output":{"write_bytes":4095}}`, write + "at least max_line_bytes, 4096, got 4095"},
		{"write of a longer line", `{"output":{"write_bytes":8192,"max_line_bytes":8192}}`, ""},
		{"write under a longer line", `{"output":{"write_bytes":8191,"max_line_bytes":8192}}`, write + "at least max_line_bytes, 8192, got 8191"},
		{"write of the longest line", `{"output":{"max_line_bytes":65536}}`, ""},
		{"write least", `{"output":{"write_bytes":2048,"max_line_bytes":2048}}`, ""},
		{"write under", `{"output":{"write_bytes":2047,"max_line_bytes":2048}}`, write + "a whole number from 2048 to 1048576, got 2047"},
		{"write most", `{"output":{"write_bytes":1048576}}`, ""},
		{"write over", `{"output":{"write_bytes":1048577}}`, write + "a whole number from 2048 to 1048576, got 1048577"},
		{"margin least", `{"fuse":{"margin":0}}`, ""},
		{"margin under", `{"fuse":{"margin":-0.1}}`, margin + "-0.1"},
		{"margin most", `{"fuse":{"margin":50}}`, ""},
		{"margin over", `{"fuse":{"margin":50.1}}`, margin + "50.1"},
		{"soft least", `{"fuse":{"soft":0}}`, ""},
		{"soft under", `{"fuse":{"soft":-0.1}}`, soft + "-0.1"},
		{"soft most", `{"fuse":{"soft":50}}`, ""},
		{"soft over", `{"fuse":{"soft":50.1}}`, soft + "50.1"},
		{"readings under", `{"fuse":{"readings":0}}`, readings + "0"},
		{"readings most", `{"fuse":{"readings":100}}`, ""},
		{"readings over", `{"fuse":{"readings":101}}`, readings + "101"},
		{"poll least", `{"sidecar":{"poll_interval":"200ms"}}`, ""},
		{"poll under", `{"sidecar":{"poll_interval":"199ms"}}`, poll + `"199ms"`},
		{"poll over", `{"sidecar":{"poll_interval":"61s"}}`, poll + `"61s"`},
		{"poll without a unit", `{"sidecar":{"poll_interval":"1000"}}`, poll + `"1000"`},
		{"poll without a number", `{"sidecar":{"poll_interval":"s"}}`, poll + `"s"`},
		{"poll too long to count", `{"sidecar":{"poll_interval":"9999999999s"}}`, poll + `"9999999999s"`},
		{"timeout least", `{"sidecar":{"timeout":"10ms"}}`, ""},
		{"timeout under", `{"sidecar":{"timeout":"9ms"}}`, timeout + `"9ms"`},
		{"timeout most", `{"sidecar":{"timeout":"10s"}}`, ""},
		{"timeout over", `{"sidecar":{"timeout":"10001ms"}}`, timeout + `"10001ms"`},
		{"stale most", `{"sidecar":{"stale_after":"10m"}}`, ""},
		{"stale over", `{"sidecar":{"stale_after":"601s"}}`, stale + `"601s"`},
		{"stale least", `{"sidecar":{"poll_interval":"200ms","stale_after":"400ms"}}`, ""},
		{"stale under", `{"sidecar":{"poll_interval":"200ms","stale_after":"399ms"}}`, stale + `"399ms"`},
		{"stale at two polls", `{"sidecar":{"stale_after":"2s"}}`, ""},
		{"stale under two polls", `{"sidecar":{"stale_after":"1999ms"}}`, `sidecar.stale_after: want at least twice poll_interval (1s), got 1999ms`},
		{"cluster most", `{"sidecar":{"cluster":"` + strings.Repeat("c", 256) + `"}}`, ""},
		{"cluster over", `{"sidecar":{"cluster":"` + strings.Repeat("c", 257) + `"}}`, cluster + `"` + strings.Repeat("c", 63) + "..."},
		{"cluster empty", `{"sidecar":{"cluster":""}}`, cluster + `""`},
	} {
		t.Run(row.name, func(t *testing.T) {
			config, err := Parse([]byte(row.text))
			if row.fault == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, row.fault)
			require.Equal(t, Config{}, config)
		})
	}
}

func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name, text, want string
	}{
		{
			"every fault is named",
			`{"strategy": {"switch": "on", "interval": 5, "window": [1]}, "resource_guard": null, "capture": [], "x": 1}`,
			`strategy.switch: want "ON" or "OFF", got "on"; ` +
				`strategy.interval: want a whole number from 30 to 3600, got 5; ` +
				`strategy."window": unknown key, want one of switch, interval, duration, cpu_max_rate, mem_max_rate, placement, until; ` +
				`resource_guard: want "sidecar" or "off", got null; ` +
				`capture: want an object, got a list; ` +
				`"x": unknown key, want one of strategy, resource_guard, sidecar, fuse, capture, output`,
		},
		{"force off is global only", `{"strategy":{"switch":"FORCE_OFF"}}`, `strategy.switch: want "ON" or "OFF", got "FORCE_OFF"`},
		{"a key given twice", `{"output":{},"output":{}}`, `output: given twice`},
		{"a number as a string", `{"strategy":{"interval":"30"}}`, `strategy.interval: want a whole number from 30 to 3600, got "30"`},
		{"true", `{"strategy":{"switch":true}}`, `strategy.switch: want "ON" or "OFF", got true`},
		{"an object as a value", `{"output":{"level":{"a":[1,{}]}}}`, `output.level: want "trace", "debug", "info", "warn", "warning", "error" or "critical", got an object`},
		{"an unknown next filter", `{"capture":{"next_filter":"redis"}}`, `capture.next_filter: want "tcp_proxy", "http_connection_manager" or "other", got "redis"`},
		{"an unknown direction", `{"capture":{"directions":["down"]}}`, `capture.directions[0]: want "downstream" or "upstream", got "down"`},
		{"a direction twice", `{"capture":{"directions":["upstream","upstream"]}}`, `capture.directions[1]: "upstream" given twice`},
		{"no direction", `{"capture":{"directions":[]}}`, `capture.directions: want "downstream", "upstream" or both, got an empty list`},
		{"no list of directions", `{"capture":{"directions":"upstream"}}`, `capture.directions: want a list of "downstream" and "upstream", got "upstream"`},
		{"a list", `[]`, `want an object, got a list`},
		{"a key that would break a log line", `{"a\nb\u2028\"":1}`, `"a\u000ab\u2028\"": unknown key, want one of strategy, resource_guard, sidecar, fuse, capture, output`},
		{"no JSON", `strategy: ON`, `want valid JSON, but at byte 0: an unexpected 's', want a value`},
		{"cut", `{"strategy":{"interval":5,`, `strategy.interval: want a whole number from 30 to 3600, got 5; want valid JSON, but at byte 26: it ends too early, want '"'`},
		{"a trailing comma", `{"output":{},}`, `want valid JSON, but at byte 13: an unexpected '}', want '"'`},
		{"more after it", `{} {}`, `want valid JSON, but at byte 3: an unexpected '{', want nothing after the object`},
		{"too long", strings.Repeat(" ", MaxConfigBytes-1) + "{}", `want at most 65536 bytes, got 65537`},
		{"nested too deep", `{"x":` + strings.Repeat("[", 66) + strings.Repeat("]", 66) + `}`, `want valid JSON, but at byte 70: it is nested too deep`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse([]byte(row.text))
			require.EqualError(t, err, row.want)
		})
	}
	t.Run("as long as it may be", func(t *testing.T) {
		_, err := Parse([]byte(strings.Repeat(" ", MaxConfigBytes-2) + "{}"))
		require.NoError(t, err)
	})
}

func TestParseStrategy(t *testing.T) {
	got, err := ParseStrategy([]byte(`{"switch":"FORCE_OFF","interval":40}`), true)
	require.NoError(t, err)
	require.Equal(t, Strategy{Switch: SwitchForceOff, Interval: 40, Duration: 1, CPUMaxRate: 80, MemMaxRate: 70}, got)

	_, err = ParseStrategy([]byte(`{"switch":"FORCE_OFF","interval":4}`), false)
	require.EqualError(t, err, `switch: want "ON" or "OFF", got "FORCE_OFF"; interval: want a whole number from 30 to 3600, got 4`)

	again, err := ParseStrategy(got.AppendJSON(nil), true)
	require.NoError(t, err)
	require.Equal(t, got, again)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"strategy":{"switch":"ON"},"capture":{"directions":["upstream"]},"sidecar":{"timeout":"1s"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := Parse(text)
		if err != nil {
			require.Equal(t, Config{}, config)
			for _, c := range []byte(err.Error()) {
				if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
					t.Fatalf("fault with a control character: %q", err)
				}
			}
			return
		}
		require.Less(t, config.Strategy.Duration, config.Strategy.Interval)
		require.True(t, config.Capture.Downstream || config.Capture.Upstream)
	})
}
