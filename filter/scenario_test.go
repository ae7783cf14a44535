package filter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/record"
	"l4dump/strategy"
)

const (
	down = record.Downstream
	up   = record.Upstream
)

// The times of the scenarios: a window of 10 s in 30 begins at windowStart.
const (
	windowEnd  = windowStart + 10*second
	nextWindow = windowStart + 30*second
)

// in returns header for a window of another start.
func in(start int64, h record.Header) record.Header {
	h.Window = strategy.Window{Start: start / second, Interval: 30}.UUID()
	return h
}

// anonymous is openRecord for a client that shows neither a name nor a certificate.
func anonymous(h record.Header, unit string, started int64, next string) record.Record {
	return record.Record{Kind: record.KindOpen, Header: h, Open: &record.Open{
		Unit: unit, Started: started, ProxyConn: 42, HasProxyConn: true, Source: "10.0.0.7:40112", Destination: "10.0.0.8:8080",
		Next: next,
	}}
}

func dropped(reason string, bytes uint64) record.Drop {
	return record.Drop{Reason: reason, Bytes: bytes}
}

// kilobyte is 1000 bytes.
var kilobyte = strings.Repeat("k", 1000)

// scenario is what a subject with a configuration sees, and what it records of it.
type scenario struct {
	name   string
	config string
	run    func(s subject)
	want   []record.Record
	// counters are those over 0, without "l4dump_" and "_total"; they are looked at if there are any.
	counters map[string]uint64
}

// TestScenarios runs each row natively and on the built module.
func TestScenarios(t *testing.T) {
	const now = windowStart
	runScenarios(t, []scenario{
		{
			name:   "a connection, whole",
			config: on(`"unit":"connections"`, ``),
			run: func(s subject) {
				s.setNow(now + 3)
				c := s.connect()
				s.setNow(now + 7)
				c.send(down, "ping")
				s.setNow(windowEnd + 7) // the window closes; the connection is recorded to its end
				c.send(up, "pong!")
				c.send(up, "more")
				c.end(up)
				c.end(up) // an end counts once
				c.end(down)
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now+7), "connections", now+3, ""),
				dataRecord(header(1, 1, now+7), down, 0, "ping"),
				dataRecord(header(1, 2, windowEnd+7), up, 0, "pong!"),
				dataRecord(header(1, 3, windowEnd+7), up, 5, "more"),
				endRecord(header(1, 4, windowEnd+7), up, 9),
				endRecord(header(1, 5, windowEnd+7), down, 4),
				closeRecord(header(1, 6, windowEnd+7), "upstream", ledger(4, 4), ledger(9, 9)),
			},
			counters: map[string]uint64{
				"connections_seen": 1, "connections_kept": 1, "bytes_seen": 13, "bytes_kept": 13, "lines": 7,
			},
		},
		{
			name:   "a connection born outside the window",
			config: on(`"unit":"connections"`, ``),
			run: func(s subject) {
				s.setNow(windowEnd)
				c := s.connect()
				s.setNow(nextWindow) // a window opens; the connection was born before it
				c.send(down, "late")
				c.close(types.PeerTypeLocal)
			},
			counters: map[string]uint64{
				"connections_seen": 1, "connections_dropped_window_closed": 1, "bytes_seen": 4, "bytes_dropped_window_closed": 4,
			},
		},
		{
			name:   "bytes of windows",
			config: on(`"unit":"bytes","directions":["downstream","upstream"],"next_filter":"tcp_proxy"`, ``),
			run: func(s subject) {
				s.setNow(now - 1)
				c := s.connect()
				c.send(down, "early")
				s.setNow(now)
				c.send(down, "first")
				c.send(up, "answer")
				s.setNow(windowEnd - 1)
				c.send(down, "last")
				s.setNow(windowEnd)
				c.send(down, "after")
				s.setNow(nextWindow)
				c.send(down, "next")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "bytes", now-1, "tcp_proxy"),
				dataRecord(header(1, 1, now), down, 5, "first"),
				dataRecord(header(1, 2, now), up, 0, "answer"),
				dataRecord(header(1, 3, windowEnd-1), down, 10, "last"),
				dataRecord(in(nextWindow, header(1, 4, nextWindow)), down, 19, "next"),
				closeRecord(in(nextWindow, header(1, 5, nextWindow)), "proxy", ledger(23, 13, dropped("window_closed", 10)), ledger(6, 6)),
			},
		},
		{
			name:   "bytes are the downstream's, by default",
			config: on(`"unit":"bytes"`, ``),
			run: func(s subject) {
				c := s.connect()
				c.send(down, "same")
				c.send(up, "same")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "bytes", now, ""),
				dataRecord(header(1, 1, now), down, 0, "same"),
				closeRecord(header(1, 2, now), "proxy", ledger(4, 4), ledger(4, 0, dropped("direction", 4))),
			},
		},
		{
			name:   "upstream only",
			config: on(`"unit":"connections","directions":["upstream"]`, ``),
			run: func(s subject) {
				c := s.connect()
				c.send(down, "same")
				c.send(up, "same")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				dataRecord(header(1, 1, now), up, 0, "same"),
				closeRecord(header(1, 2, now), "proxy", ledger(4, 0, dropped("direction", 4)), ledger(4, 4)),
			},
		},
		{
			name:   "bytes of connections that have none to record",
			config: on(`"unit":"bytes"`, ``),
			run: func(s subject) {
				s.connect().close(types.PeerTypeLocal)
				c := s.connect()
				c.send(up, "x")
				c.close(types.PeerTypeLocal)
			},
			counters: map[string]uint64{
				"connections_seen": 2, "connections_dropped_direction": 1, "bytes_seen": 1, "bytes_dropped_direction": 1,
			},
		},
		{
			name:   "the limit of a connection",
			config: on(`"unit":"connections","max_bytes_per_connection":10`, ``),
			run: func(s subject) {
				exact := s.connect()
				exact.send(down, "12345")
				exact.send(up, "67890")
				exact.close(types.PeerTypeLocal)
				over := s.connect()
				over.send(down, "12345")
				over.send(up, "678901")
				over.send(down, "x")
				over.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				dataRecord(header(1, 1, now), down, 0, "12345"),
				dataRecord(header(1, 2, now), up, 0, "67890"),
				closeRecord(header(1, 3, now), "proxy", ledger(5, 5), ledger(5, 5)),
				anonymous(header(2, 0, now), "connections", now, ""),
				dataRecord(header(2, 1, now), down, 0, "12345"),
				dataRecord(header(2, 2, now), up, 0, "67890"),
				closeRecord(header(2, 3, now), "proxy", ledger(6, 5, dropped("connection_limit", 1)), ledger(6, 5, dropped("connection_limit", 1))),
			},
			counters: map[string]uint64{
				"connections_seen": 2, "connections_kept": 2, "bytes_seen": 22, "bytes_kept": 20,
				"bytes_dropped_connection_limit": 2, "lines": 8,
			},
		},
		{
			name:   "the log level raised and lowered between reads",
			config: on(`"unit":"connections"`, `"level":"info"`),
			run: func(s subject) {
				c := s.connect()
				c.send(down, "seen")
				s.setLevel(abi.LevelError)
				c.send(down, "hidden")
				c.end(down)
				s.setLevel(abi.LevelInfo)
				c.send(up, "again")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				dataRecord(header(1, 1, now), down, 0, "seen"),
				dataRecord(header(1, 2, now), up, 0, "again"),
				closeRecord(header(1, 3, now), "downstream", ledger(10, 4, dropped("log_level", 6)), ledger(5, 5)),
			},
			counters: map[string]uint64{
				"connections_seen": 1, "connections_kept": 1, "bytes_seen": 15, "bytes_kept": 9, "bytes_dropped_log_level": 6, "lines": 4,
			},
		},
		{
			name:   "a log level that hides all",
			config: on(`"unit":"connections"`, `"level":"info"`),
			run: func(s subject) {
				s.setLevel(abi.LevelWarn)
				c := s.connect()
				c.send(down, "hidden")
				c.close(types.PeerTypeLocal)
			},
			counters: map[string]uint64{
				"connections_seen": 1, "connections_dropped_log_level": 1, "bytes_seen": 6, "bytes_dropped_log_level": 6,
			},
		},
		{
			name:   "the budget",
			config: on(`"unit":"connections","max_bytes_per_second":1024,"max_lines_per_second":0`, ``),
			run: func(s subject) {
				c := s.connect()
				c.send(down, strings.Repeat("x", 50_000)) // the open record has spent the burst
				c.close(types.PeerTypeRemote)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				closeRecord(header(1, 1, now), "downstream", ledger(50_000, 0, dropped("budget", 50_000)), ledger(0, 0)),
			},
		},
		{
			name:   "more connections than the budget allows",
			config: on(`"unit":"connections"`, ``),
			run: func(s subject) {
				first, second := s.connect(), s.connect() // what they will cost is not known yet
				second.send(down, "second")
				first.send(down, "first")
				second.end(down)
				second.close(types.PeerTypeRemote)
				first.close(types.PeerTypeRemote)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				dataRecord(header(1, 1, now), down, 0, "first"),
				closeRecord(header(1, 2, now), "downstream", ledger(5, 5), ledger(0, 0)),
			},
			counters: map[string]uint64{
				"connections_seen": 2, "connections_kept": 1, "connections_dropped_budget_bytes": 1,
				"bytes_seen": 11, "bytes_kept": 5, "bytes_dropped_budget_bytes": 6, "lines": 3,
			},
		},
		{
			name:   "the youngest is given up",
			config: on(`"unit":"connections","max_bytes_per_second":1024,"max_lines_per_second":0`, ``),
			run: func(s subject) {
				old := s.connect()
				s.setNow(now + 2*second)
				young := s.connect()
				young.send(down, "x")
				for range 5 { // the debt reaches 5 s with the last
					old.send(up, kilobyte)
				}
				young.send(down, "yz")
				young.close(types.PeerTypeRemote)
				old.close(types.PeerTypeRemote)
			},
			want: []record.Record{
				anonymous(header(1, 0, now+2*second), "connections", now+2*second, ""),
				dataRecord(header(1, 1, now+2*second), down, 0, "x"),
				anonymous(header(2, 0, now+2*second), "connections", now, ""),
				dataRecord(header(2, 1, now+2*second), up, 0, kilobyte),
				dataRecord(header(2, 2, now+2*second), up, 1000, kilobyte),
				dataRecord(header(2, 3, now+2*second), up, 2000, kilobyte),
				dataRecord(header(2, 4, now+2*second), up, 3000, kilobyte),
				dataRecord(header(2, 5, now+2*second), up, 4000, kilobyte),
				closeRecord(header(1, 2, now+2*second), "downstream", ledger(3, 1, dropped("budget", 2)), ledger(0, 0)),
				closeRecord(header(2, 6, now+2*second), "downstream", ledger(0, 0), ledger(5000, 5000)),
			},
		},
		{
			name:   "one connection at a time",
			config: on(`"unit":"connections","max_connections":1,"max_bytes_per_second":0,"max_lines_per_second":0`, ``),
			run: func(s subject) {
				first, second := s.connect(), s.connect()
				second.send(down, "second")
				first.close(types.PeerTypeRemote)
				second.close(types.PeerTypeRemote)
				s.connect().close(types.PeerTypeRemote)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				closeRecord(header(1, 1, now), "downstream", ledger(0, 0), ledger(0, 0)),
				anonymous(header(2, 0, now), "connections", now, ""),
				closeRecord(header(2, 1, now), "downstream", ledger(0, 0), ledger(0, 0)),
			},
			counters: map[string]uint64{
				"connections_seen": 3, "connections_kept": 2, "connections_dropped_max_connections": 1,
				"bytes_seen": 6, "bytes_dropped_max_connections": 6, "lines": 4,
			},
		},
		{
			name:   "one connection of a window",
			config: on(`"unit":"connections","max_connections_per_window":1,"max_bytes_per_second":0,"max_lines_per_second":0`, ``),
			run: func(s subject) {
				s.connect().close(types.PeerTypeRemote)
				s.connect().close(types.PeerTypeRemote)
				s.setNow(nextWindow)
				s.connect().close(types.PeerTypeRemote)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				closeRecord(header(1, 1, now), "downstream", ledger(0, 0), ledger(0, 0)),
				anonymous(in(nextWindow, header(2, 0, nextWindow)), "connections", nextWindow, ""),
				closeRecord(in(nextWindow, header(2, 1, nextWindow)), "downstream", ledger(0, 0), ledger(0, 0)),
			},
			counters: map[string]uint64{
				"connections_seen": 3, "connections_kept": 2, "connections_dropped_max_connections_per_window": 1, "lines": 4,
			},
		},
		{
			name:   "the time of connections",
			config: on(`"unit":"connections","max_connection_time":"5s","max_connections":1`, ``),
			run: func(s subject) {
				c := s.connect()
				s.setNow(now + 5*second - 1)
				c.send(down, "last")
				s.setNow(now + 5*second)
				c.send(down, "late")
				next := s.connect() // in the place of the other
				next.send(up, "next")
				next.close(types.PeerTypeRemote)
				c.send(up, "later")
				c.end(down)
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now+5*second-1), "connections", now, ""),
				dataRecord(header(1, 1, now+5*second-1), down, 0, "last"),
				anonymous(header(2, 0, now+5*second), "connections", now+5*second, ""),
				dataRecord(header(2, 1, now+5*second), up, 0, "next"),
				closeRecord(header(2, 2, now+5*second), "downstream", ledger(0, 0), ledger(4, 4)),
				endRecord(header(1, 2, now+5*second), down, 8),
				closeRecord(header(1, 3, now+5*second), "downstream",
					ledger(8, 4, dropped("connection_time", 4)), ledger(5, 0, dropped("connection_time", 5))),
			},
			counters: map[string]uint64{
				"connections_seen": 2, "connections_kept": 2, "bytes_seen": 17, "bytes_kept": 8, "bytes_dropped_connection_time": 9, "lines": 7,
			},
		},
		{
			name:   "the time of connections, of bytes",
			config: on(`"unit":"bytes","max_connection_time":"5s"`, ``),
			run: func(s subject) {
				s.setNow(now - 3*second)
				c := s.connect()
				quiet := s.connect()
				s.setNow(now + 2*second - 1)
				c.send(down, "last")
				s.setNow(now + 2*second)
				c.send(down, "late")
				quiet.send(down, "too late")
				c.close(types.PeerTypeLocal)
				quiet.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now+2*second-1), "bytes", now-3*second, ""),
				dataRecord(header(1, 1, now+2*second-1), down, 0, "last"),
				closeRecord(header(1, 2, now+2*second), "proxy", ledger(8, 4, dropped("connection_time", 4)), ledger(0, 0)),
			},
			counters: map[string]uint64{
				"connections_seen": 2, "connections_kept": 1, "connections_dropped_connection_time": 1,
				"bytes_seen": 16, "bytes_kept": 4, "bytes_dropped_connection_time": 12, "lines": 3,
			},
		},
		{
			name:   "the bytes of a window, of connections",
			config: on(`"unit":"connections","max_bytes_per_window":8192,"max_bytes_per_second":0,"max_lines_per_second":0`, ``),
			run: func(s subject) {
				c := s.connect()
				for range 8 {
					c.send(up, kilobyte)
				}
				second := s.connect() // the last eighth is for those that have begun
				c.send(down, kilobyte[:192])
				c.send(down, "x")
				second.send(down, "y")
				s.setNow(windowEnd)
				c.send(down, "z")
				s.setNow(nextWindow)
				third := s.connect()
				third.send(down, "3")
				c.send(up, "given up")
				for _, each := range []flow{c, second, third} {
					each.close(types.PeerTypeRemote)
				}
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				dataRecord(header(1, 1, now), up, 0, kilobyte),
				dataRecord(header(1, 2, now), up, 1000, kilobyte),
				dataRecord(header(1, 3, now), up, 2000, kilobyte),
				dataRecord(header(1, 4, now), up, 3000, kilobyte),
				dataRecord(header(1, 5, now), up, 4000, kilobyte),
				dataRecord(header(1, 6, now), up, 5000, kilobyte),
				dataRecord(header(1, 7, now), up, 6000, kilobyte),
				dataRecord(header(1, 8, now), up, 7000, kilobyte),
				dataRecord(header(1, 9, now), down, 0, kilobyte[:192]),
				anonymous(in(nextWindow, header(2, 0, nextWindow)), "connections", nextWindow, ""),
				dataRecord(in(nextWindow, header(2, 1, nextWindow)), down, 0, "3"),
				closeRecord(header(1, 10, nextWindow), "downstream",
					ledger(194, 192, dropped("window_bytes", 2)), ledger(8008, 8000, dropped("window_bytes", 8))),
				closeRecord(in(nextWindow, header(2, 2, nextWindow)), "downstream", ledger(1, 1), ledger(0, 0)),
			},
			counters: map[string]uint64{
				"connections_seen": 3, "connections_kept": 2, "connections_dropped_window_bytes": 1,
				"bytes_seen": 8204, "bytes_kept": 8193, "bytes_dropped_window_bytes": 11, "lines": 14,
			},
		},
		{
			name:   "the bytes of a window",
			config: on(`"unit":"bytes","max_bytes_per_window":1024`, ``),
			run: func(s subject) {
				c := s.connect()
				c.send(down, kilobyte)
				c.send(down, kilobyte[:25]) // a byte more than there are
				later := s.connect()
				later.send(down, "later")
				s.setNow(nextWindow)
				c.send(down, "next")
				c.close(types.PeerTypeRemote)
				later.close(types.PeerTypeRemote)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "bytes", now, ""),
				dataRecord(header(1, 1, now), down, 0, kilobyte),
				dataRecord(header(1, 2, now), down, 1000, kilobyte[:24]),
				dataRecord(in(nextWindow, header(1, 3, nextWindow)), down, 1025, "next"),
				closeRecord(in(nextWindow, header(1, 4, nextWindow)), "downstream", ledger(1029, 1028, dropped("window_bytes", 1)), ledger(0, 0)),
			},
			counters: map[string]uint64{
				"connections_seen": 2, "connections_kept": 1, "connections_dropped_window_bytes": 1,
				"bytes_seen": 1034, "bytes_kept": 1028, "bytes_dropped_window_bytes": 6, "lines": 5,
			},
		},
	})
}

func runScenarios(t *testing.T, rows []scenario) {
	for _, row := range rows {
		for _, each := range subjects {
			t.Run(row.name+"/"+each.name, func(t *testing.T) {
				s := each.start(t, row.config)
				row.run(s)
				require.Equal(t, row.want, recordsOf(t, s))
				if row.counters == nil {
					return
				}
				s.finish()
				counters := map[string]uint64{}
				for _, name := range counterNames() {
					if n := s.metric("l4dump_" + name + "_total"); n != 0 {
						counters[name] = n
					}
				}
				require.Equal(t, row.counters, counters)
			})
		}
	}
}

// counterNames are the names of the counters but those of polls, without "l4dump_" and "_total".
func counterNames() (names []string) {
	names = []string{"connections_seen", "connections_kept", "bytes_seen", "bytes_kept", "lines"}
	for r := strategy.Recorded + 1; r < strategy.Reasons; r++ {
		names = append(names, "bytes_dropped_"+r.String())
		if r != strategy.ConnectionLimit && r != strategy.SinkLost {
			names = append(names, "connections_dropped_"+r.String())
		}
	}
	return names
}

// recordLines are the lines but the plugin's own messages.
func recordLines(s subject) []string {
	return slices.DeleteFunc(s.lines(), func(line string) bool { return strings.HasPrefix(line, "l4dump: ") })
}

// recordsOf reads the records that a subject has logged. Their VM, which is random, is the rig's.
func recordsOf(t *testing.T, s subject) (records []record.Record) {
	return parsed(t, recordLines(s))
}

// parsed reads records. Their VM, which is random, is the rig's.
func parsed(t *testing.T, lines []string) (records []record.Record) {
	for _, line := range lines {
		got, n, err := record.Parse([]byte(line), nil)
		require.NoError(t, err, line)
		require.Equal(t, len(line), n)
		if len(records) > 0 {
			require.Equal(t, records[0].Conn.VM, got.Conn.VM)
		}
		records = append(records, got)
	}
	for i := range records {
		records[i].Conn.VM = testVM
	}
	return records
}

func TestNothingIsRecorded(t *testing.T) {
	for _, row := range []struct {
		name, config, reason string
		at                   int64
	}{
		{"by default", ``, "switch_off", windowStart},
		{"switched off", `{"strategy":{"switch":"OFF"},"resource_guard":"off"}`, "switch_off", windowStart},
		{"outside the window", on(``, ``), "window_closed", windowEnd},
		{"no usage", `{"strategy":{"switch":"ON"}}`, "usage_unknown", windowStart},
		{"no usage, whole connections", `{"strategy":{"switch":"ON"},"capture":{"unit":"connections"}}`, "usage_unknown", windowStart},
		{"a configuration that is not valid", `{"strategy":{"switch":"maybe"}}`, "switch_off", windowStart},
	} {
		for _, each := range subjects {
			t.Run(row.name+"/"+each.name, func(t *testing.T) {
				s := each.start(t, row.config)
				s.setNow(row.at)
				c := s.connect()
				c.send(down, "hello")
				c.send(up, "world!")
				c.close(types.PeerTypeLocal)
				s.finish()
				require.Empty(t, recordLines(s))
				for name, want := range map[string]uint64{
					"bytes_seen_total": 11, "bytes_kept_total": 0, "bytes_dropped_" + row.reason + "_total": 11,
					"connections_dropped_" + row.reason + "_total": 1, "lines_total": 0,
				} {
					require.Equal(t, want, s.metric("l4dump_"+name), name)
				}
			})
		}
	}
}

func TestWhoCloses(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(c flow)
		by   string
	}{
		{"the client resets", func(c flow) { c.close(types.PeerTypeRemote) }, "downstream"},
		{"the proxy closes", func(c flow) { c.close(types.PeerTypeLocal) }, "proxy"},
		{"nobody says", func(c flow) { c.close(types.PeerTypeUnknown) }, "unknown"},
		{"the client ends first", func(c flow) {
			c.end(down)
			c.end(up)
			c.close(types.PeerTypeLocal)
		}, "downstream"},
		{"the service ends first", func(c flow) {
			c.end(up)
			c.close(types.PeerTypeRemote)
		}, "upstream"},
	} {
		for _, each := range subjects {
			t.Run(row.name+"/"+each.name, func(t *testing.T) {
				s := each.start(t, on(`"unit":"connections"`, ``))
				row.run(s.connect())
				records := recordsOf(t, s)
				require.Equal(t, record.KindOpen, records[0].Kind)
				last := records[len(records)-1]
				require.Equal(t, closeRecord(header(1, uint64(len(records)-1), windowStart), row.by, ledger(0, 0), ledger(0, 0)), last)
			})
		}
	}
}

// TestLongReads has reads around the length of a line and of a block, up to the most that a proxy gives at a time.
func TestLongReads(t *testing.T) {
	const noLimit = `"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0`
	for _, lineBytes := range []int{2048, 4096, 65536} {
		payload := (lineBytes - linePrefixBytes - len("recorder"+"root"+"vm") - record.MaxDataOverhead) / 2 / record.HexTurn * record.HexTurn
		block := blockBytes - blockBytes%payload
		if block == 0 {
			block = payload
		}
		for _, each := range subjects {
			t.Run(fmt.Sprintf("lines of %d/%s", lineBytes, each.name), func(t *testing.T) {
				s := each.start(t, on(noLimit, fmt.Sprintf(`"max_line_bytes":%d`, lineBytes)))
				for _, size := range []int{1, payload - 1, payload, payload + 1, block, block + 1, 1 << 20} {
					before := len(recordLines(s))
					c := s.connect()
					data := strings.Repeat("0123456789abcde", size/15+1)[:size]
					c.send(down, data)
					c.close(types.PeerTypeLocal)

					records := recordsOf(t, s)[before:]
					require.Len(t, records, 2+(size+payload-1)/payload)
					var got strings.Builder
					for i, rec := range records[1 : len(records)-1] {
						require.Equal(t, uint64(got.Len()), rec.Offset)
						require.Equal(t, uint64(i+1), rec.Seq)
						got.Write(rec.Payload)
					}
					require.Equal(t, data, got.String())
				}
				for _, line := range recordLines(s) {
					require.LessOrEqual(t, len(line), lineBytes-linePrefixBytes-len("recorder"+"root"+"vm"))
				}
			})
		}
	}
}

// TestWrites has the writes that lines are joined into: each line is one, or they wait until no more fits.
func TestWrites(t *testing.T) {
	const (
		prefix = linePrefixBytes + len("recorder"+"root"+"vm")
		long   = 1 << 20
	)
	for _, writeBytes := range []int{4096, 4097, 8192, 65536, 1 << 20} {
		for _, each := range subjects {
			t.Run(fmt.Sprintf("%d/%s", writeBytes, each.name), func(t *testing.T) {
				s := each.start(t, on(`"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0`,
					fmt.Sprintf(`"write_bytes":%d`, writeBytes)))
				c := s.connect()
				records := 0 // that were given to the sink
				// given is called after a callback that makes so many records.
				given := func(more int) {
					records += more
					if writeBytes == 4096 { // a callback keeps none back
						require.Len(t, recordLines(s), records)
					}
				}
				c.send(down, "hi!")
				given(2)
				c.send(down, strings.Repeat("a", long))
				most := (4096 - prefix - record.MaxDataOverhead) / 2 / record.HexTurn * record.HexTurn
				given((long + most - 1) / most)
				c.end(down)
				given(1)
				c.close(types.PeerTypeRemote)
				given(1)
				s.finish()
				require.Equal(t, uint64(records), s.metric("l4dump_lines_total"))

				var lines []string
				list := recordLines(s)
				for i, write := range list {
					require.LessOrEqual(t, prefix+len(write), writeBytes)
					if i > 0 { // else the line before would have fitted
						require.Greater(t, prefix+len(list[i-1])+len("\n")+4096-prefix, writeBytes)
					}
					lines = append(lines, strings.Split(write, "\n")...)
				}
				all := parsed(t, lines)
				require.Len(t, all, records)
				size := uint64(0)
				for i, r := range all {
					require.Equal(t, uint64(i), r.Seq)
					require.LessOrEqual(t, prefix+len(lines[i]), 4096)
					if r.Kind == record.KindData {
						require.Equal(t, size, r.Offset)
						size += uint64(len(r.Payload))
					}
				}
				require.Equal(t, uint64(3+long), size)
				require.Equal(t, record.KindClose, all[records-1].Kind)
			})
		}
	}
}

func TestLayotto(t *testing.T) {
	payload := (2048 - linePrefixBytes - len("recorder"+"root"+"vm") - record.LayottoOverhead) / 3 / record.HexTurn * record.HexTurn
	const prefix = "[01935651-7800-801e-ac34-64756d700000][8080]"
	for _, each := range subjects {
		t.Run(each.name, func(t *testing.T) {
			s := each.start(t, on(``, `"format":"layotto","max_line_bytes":2048`))
			c := s.connect()
			c.send(down, "hi!")
			c.send(down, strings.Repeat("a", payload+1))
			c.end(down)
			c.close(types.PeerTypeLocal)
			require.Equal(t, []string{
				prefix + "68 69 21",
				prefix + strings.TrimSuffix(strings.Repeat("61 ", payload), " "),
				prefix + "61",
			}, recordLines(s))
			s.finish()
			require.Equal(t, uint64(1), s.metric("l4dump_connections_kept_total"))
			require.Equal(t, uint64(3), s.metric("l4dump_lines_total"))
		})
	}
}
