package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/record"
	"l4dump/strategy"
)

const second = int64(time.Second)

// on is a configuration that records all of a window of 10 s in 30, with more in its capture and output.
func on(capture, output string) string {
	return `{"strategy":{"switch":"ON","interval":30,"duration":10},"resource_guard":"off",` +
		`"capture":{` + capture + `},"output":{` + output + `}}`
}

func TestConnections(t *testing.T) {
	r := newRig(t, on(`"unit":"connections"`, ``))
	r.now += 3
	id := r.connect()
	r.now += 4
	r.downstream(id, "ping")
	r.now += 20 * second // the window closes; the connection is recorded to its end
	r.upstream(id, "pong!")
	r.upstream(id, "more")
	stream := r.streams[id]
	require.Equal(t, types.ActionContinue, stream.OnUpstreamData(0, true))
	require.Equal(t, types.ActionContinue, stream.OnUpstreamData(0, true)) // an end counts once
	require.Equal(t, types.ActionContinue, stream.OnDownstreamData(0, true))
	r.done(id)

	born, start, end := windowStart+3, windowStart+7, windowStart+7+20*second
	require.Equal(t, []record.Record{
		openRecord(header(1, 0, start), "connections", born),
		dataRecord(header(1, 1, start), record.Downstream, 0, "ping"),
		dataRecord(header(1, 2, end), record.Upstream, 0, "pong!"),
		dataRecord(header(1, 3, end), record.Upstream, 5, "more"),
		endRecord(header(1, 4, end), record.Upstream, 9),
		endRecord(header(1, 5, end), record.Downstream, 4),
		closeRecord(header(1, 6, end), "upstream", ledger(4, 4), ledger(9, 9)),
	}, r.records())

	t.Run("born outside the window", func(t *testing.T) {
		before := len(r.records())
		id := r.connect()
		r.now = windowStart + 30*second // a window opens; the connection was born before it
		r.downstream(id, "late")
		r.done(id)
		require.Len(t, r.records(), before)
		r.Tick()
		require.Equal(t, uint64(4), r.counter("bytes_dropped_window_closed_total"))
		require.Equal(t, uint64(1), r.counter("connections_dropped_window_closed_total"))
		require.Equal(t, uint64(2), r.counter("connections_seen_total"))
		require.Equal(t, uint64(1), r.counter("connections_kept_total"))
		require.Equal(t, uint64(13), r.counter("bytes_kept_total"))
		require.Equal(t, uint64(17), r.counter("bytes_seen_total"))
		require.Equal(t, uint64(7), r.counter("lines_total"))
	})
}

func TestWhoCloses(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(c types.TcpContext)
		by   string
	}{
		{"the client resets", func(c types.TcpContext) { c.OnDownstreamClose(types.PeerTypeRemote) }, "downstream"},
		{"the proxy closes", func(c types.TcpContext) { c.OnDownstreamClose(types.PeerTypeLocal) }, "proxy"},
		{"nobody says", func(c types.TcpContext) { c.OnDownstreamClose(types.PeerTypeUnknown) }, "unknown"},
		{"only the end is heard", func(types.TcpContext) {}, "unknown"},
		{"the client ends first", func(c types.TcpContext) {
			c.OnDownstreamData(0, true)
			c.OnUpstreamData(0, true)
			c.OnUpstreamClose(types.PeerTypeUnknown)
			c.OnDownstreamClose(types.PeerTypeLocal)
		}, "downstream"},
		{"the service ends first", func(c types.TcpContext) {
			c.OnUpstreamData(0, true)
			c.OnDownstreamClose(types.PeerTypeRemote)
		}, "upstream"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, on(`"unit":"connections"`, ``))
			id := r.connect()
			row.run(r.streams[id])
			r.CompleteConnection(id)

			records := r.records()
			require.Equal(t, record.KindOpen, records[0].Kind)
			last := records[len(records)-1]
			require.Equal(t, closeRecord(header(1, uint64(len(records)-1), r.now), row.by, ledger(0, 0), ledger(0, 0)), last)
		})
	}
}

func TestBytes(t *testing.T) {
	r := newRig(t, on(`"unit":"bytes","directions":["downstream","upstream"]`, ``))
	r.now = windowStart - 1 // the window before is closed
	id := r.connect()
	r.downstream(id, "early")
	r.now = windowStart
	r.downstream(id, "first")
	r.upstream(id, "answer")
	r.now = windowStart + 10*second - 1
	r.downstream(id, "last")
	r.now = windowStart + 10*second
	r.downstream(id, "after")
	r.now = windowStart + 30*second
	r.downstream(id, "next")
	r.done(id)

	next := func(seq uint64) record.Header {
		h := header(1, seq, windowStart+30*second)
		h.Window = strategy.Window{Start: windowStart/second + 30, Interval: 30}.UUID()
		return h
	}
	require.Equal(t, []record.Record{
		openRecord(header(1, 0, windowStart), "bytes", windowStart-1),
		dataRecord(header(1, 1, windowStart), record.Downstream, 5, "first"),
		dataRecord(header(1, 2, windowStart), record.Upstream, 0, "answer"),
		dataRecord(header(1, 3, windowStart+10*second-1), record.Downstream, 10, "last"),
		dataRecord(next(4), record.Downstream, 19, "next"),
		closeRecord(next(5), "proxy", ledger(23, 13, record.Drop{Reason: "window_closed", Bytes: 10}), ledger(6, 6)),
	}, r.records())
}

func TestNothingIsRecorded(t *testing.T) {
	for _, row := range []struct {
		name, config, reason string
		at                   int64
	}{
		{"by default", ``, "switch_off", windowStart},
		{"switched off", `{"strategy":{"switch":"OFF"},"resource_guard":"off"}`, "switch_off", windowStart},
		{"outside the window", on(``, ``), "window_closed", windowStart + 10*second},
		{"no usage", `{"strategy":{"switch":"ON"}}`, "usage_unknown", windowStart},
		{"no usage, whole connections", `{"strategy":{"switch":"ON"},"capture":{"unit":"connections"}}`, "usage_unknown", windowStart},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, row.config)
			r.now = row.at
			id := r.connect()
			r.downstream(id, "hello")
			r.upstream(id, "world!")
			r.done(id)
			r.Tick()
			require.Empty(t, r.lines())
			require.Equal(t, uint64(11), r.counter("bytes_seen_total"))
			require.Zero(t, r.counter("bytes_kept_total"))
			require.Equal(t, uint64(11), r.counter("bytes_dropped_"+row.reason+"_total"))
			require.Equal(t, uint64(1), r.counter("connections_dropped_"+row.reason+"_total"))
			require.Equal(t, uint64(1), r.gauge("off_"+row.reason))
			require.Zero(t, r.counter("lines_total"))
		})
	}
}

func TestDirections(t *testing.T) {
	for _, row := range []struct {
		name, capture string
		want          record.Direction
	}{
		{"bytes record the downstream", `"unit":"bytes"`, record.Downstream},
		{"upstream only", `"unit":"connections","directions":["upstream"]`, record.Upstream},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, on(row.capture, ``))
			id := r.connect()
			r.downstream(id, "same")
			r.upstream(id, "same")
			r.done(id)
			records := r.records()
			require.Len(t, records, 3)
			require.Equal(t, dataRecord(header(1, 1, r.now), row.want, 0, "same"), records[1])
			ledgers := [2]record.Ledger{ledger(4, 0, record.Drop{Reason: "direction", Bytes: 4}), ledger(4, 0, record.Drop{Reason: "direction", Bytes: 4})}
			ledgers[row.want] = ledger(4, 4)
			require.Equal(t, closeRecord(header(1, 2, r.now), "proxy", ledgers[0], ledgers[1]), records[2])
		})
	}
}

func TestEmptyConnectionsInBytes(t *testing.T) {
	r := newRig(t, on(`"unit":"bytes"`, ``))
	r.done(r.connect())
	upstreamOnly := r.connect()
	r.upstream(upstreamOnly, "x")
	r.done(upstreamOnly)
	r.Tick()
	require.Empty(t, r.lines())
	require.Equal(t, uint64(2), r.counter("connections_seen_total"))
	require.Equal(t, uint64(1), r.counter("connections_dropped_direction_total"))
	require.Zero(t, r.counter("connections_dropped_window_closed_total"))
}

// TestLongReads has reads around the length of a line and of a block, up to the most that a proxy hands out at a time.
func TestLongReads(t *testing.T) {
	const noLimit = `"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0`
	for _, lineBytes := range []int{2048, 4096, 65536} {
		payload := (lineBytes - linePrefixBytes - len("recorder"+"root"+"vm") - record.MaxDataOverhead) / 2 / record.HexTurn * record.HexTurn
		block := blockBytes - blockBytes%payload
		if block == 0 {
			block = payload
		}
		for _, size := range []int{1, payload - 1, payload, payload + 1, block, block + 1, 1 << 20} {
			t.Run(fmt.Sprintf("%d in lines of %d", size, lineBytes), func(t *testing.T) {
				r := newRig(t, on(noLimit, fmt.Sprintf(`"max_line_bytes":%d`, lineBytes)))
				id := r.connect()
				data := strings.Repeat("0123456789abcde", size/15+1)[:size]
				r.downstream(id, data)
				r.done(id)

				records := r.records()
				require.Len(t, records, 2+(size+payload-1)/payload)
				var got strings.Builder
				for i, rec := range records[1 : len(records)-1] {
					require.Equal(t, uint64(got.Len()), rec.Offset)
					require.Equal(t, uint64(i+1), rec.Seq)
					got.Write(rec.Payload)
				}
				require.Equal(t, data, got.String())
				for _, line := range r.lines() {
					require.LessOrEqual(t, len(line), lineBytes-linePrefixBytes-len("recorder"+"root"+"vm"))
				}
			})
		}
	}
}

func TestConnectionLimit(t *testing.T) {
	r := newRig(t, on(`"unit":"connections","max_bytes_per_connection":10`, ``))
	exact := r.connect()
	r.downstream(exact, "12345")
	r.upstream(exact, "67890")
	over := r.connect()
	r.downstream(over, "12345")
	r.upstream(over, "678901")
	r.downstream(over, "x")
	r.done(exact)
	r.done(over)

	records := r.records()
	require.Equal(t, closeRecord(header(1, 3, r.now), "proxy", ledger(5, 5), ledger(5, 5)), records[6])
	require.Equal(t, closeRecord(header(2, 3, r.now), "proxy",
		ledger(6, 5, record.Drop{Reason: "connection_limit", Bytes: 1}),
		ledger(6, 5, record.Drop{Reason: "connection_limit", Bytes: 1})), records[7])
	require.Equal(t, dataRecord(header(2, 2, r.now), record.Upstream, 0, "67890"), records[5])
}

func TestBudget(t *testing.T) {
	const rate = 100_000
	r := newRig(t, on(`"unit":"connections","max_bytes_per_second":100000,"max_lines_per_second":0`, ``))
	id := r.connect()
	var seen, kept uint64
	const seconds = 5
	for range seconds * 100 {
		r.now += second / 100
		r.downstream(id, strings.Repeat("x", 5000))
		seen += 5000
	}
	r.done(id)
	records := r.records()
	for _, rec := range records[1 : len(records)-1] {
		kept += uint64(len(rec.Payload))
	}
	require.Equal(t, closeRecord(header(1, uint64(len(records)-1), r.now), "proxy",
		ledger(seen, kept, record.Drop{Reason: "budget", Bytes: seen - kept}), ledger(0, 0)), records[len(records)-1])
	require.InEpsilon(t, rate*seconds, kept, 0.05)

	t.Run("unspent allowance does not add up", func(t *testing.T) {
		r.now += 20*second + 10*second // into the next window
		id := r.connect()
		r.now += 3 * second
		r.downstream(id, strings.Repeat("y", 100_000))
		r.done(id)
		records := r.records()
		closed := records[len(records)-1].Close.Downstream
		require.LessOrEqual(t, closed.Kept, uint64(rate/10+rate/64+1))
		require.GreaterOrEqual(t, closed.Kept, uint64(rate/20))
	})
}

// TestRecordsOnAccount has so many short connections that their open and close records spend what data then lacks.
func TestRecordsOnAccount(t *testing.T) {
	r := newRig(t, on(`"unit":"connections","max_bytes_per_second":10000,"max_lines_per_second":0`, ``))
	for range 50 {
		r.done(r.connect())
	}
	require.Len(t, r.records(), 100)
	id := r.connect()
	kept := func() uint64 {
		r.now += second / 10
		before := r.streams[id].(*connection).kept
		r.downstream(id, strings.Repeat("x", 5000))
		return r.streams[id].(*connection).kept - before
	}
	debt := 0
	for kept() == 0 {
		debt++
	}
	require.InDelta(t, 10, debt, 2, "a second's allowance is owed, not more")
	require.InDelta(t, 1000, kept(), 200, "and paid back once")
}

func TestBudgetAfterTheClockWasSetBack(t *testing.T) {
	r := newRig(t, on(`"unit":"bytes","max_bytes_per_second":10000`, ``))
	id := r.connect()
	r.downstream(id, strings.Repeat("x", 50_000)) // all is spent
	r.downstream(id, "y")
	before := r.streams[id].(*connection).kept
	r.now -= 3600 * second
	r.downstream(id, strings.Repeat("x", 500))
	require.Equal(t, before+500, r.streams[id].(*connection).kept)
}

// TestLineBudget has reads so small that their lines, not their bytes, are what costs.
func TestLineBudget(t *testing.T) {
	r := newRig(t, on(`"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":100`, ``))
	id := r.connect()
	for range 4000 {
		r.now += second / 1000
		r.downstream(id, "x")
	}
	r.done(id)
	records := r.records()
	require.InEpsilon(t, 4*100, len(records), 0.1)
	closed := records[len(records)-1].Close.Downstream
	require.Equal(t, uint64(4000), closed.Seen)
	require.Equal(t, uint64(len(records)-2), closed.Kept)
}

func TestLogLevelHidesLines(t *testing.T) {
	r := newRig(t, on(`"unit":"connections"`, `"level":"info"`))
	r.level = abi.LevelWarn
	r.Tick()
	id := r.connect()
	r.downstream(id, "hidden")
	r.done(id)
	require.Empty(t, r.lines())
	r.Tick()
	require.Equal(t, uint64(6), r.counter("bytes_dropped_log_level_total"))
	require.Equal(t, uint64(1), r.gauge("off_log_level"))

	r.level = abi.LevelInfo
	r.Tick()
	id = r.connect()
	r.downstream(id, "seen")
	require.Len(t, r.records(), 2)
	require.Zero(t, r.gauge("off_log_level"))

	t.Run("in the middle of a connection", func(t *testing.T) {
		r.level = abi.LevelError
		r.Tick()
		r.downstream(id, "gone")
		r.level = abi.LevelInfo
		r.Tick()
		r.downstream(id, "back")
		r.done(id)
		records := r.records()
		require.Equal(t, dataRecord(header(1, 2, r.now), record.Downstream, 8, "back"), records[2])
		require.Equal(t, closeRecord(header(1, 3, r.now), "proxy",
			ledger(12, 8, record.Drop{Reason: "log_level", Bytes: 4}), ledger(0, 0)), records[3])
	})
}

func TestLevels(t *testing.T) {
	for _, level := range []string{"trace", "debug", "info", "warn", "warning", "error", "critical"} {
		t.Run(level, func(t *testing.T) {
			r := newRig(t, on(``, `"level":"`+level+`"`))
			r.downstream(r.connect(), "x")
			logs := map[string][]string{
				"trace": r.GetTraceLogs(), "debug": r.GetDebugLogs(), "info": r.GetInfoLogs(),
				"warn": r.GetWarnLogs(), "error": r.GetErrorLogs(), "critical": r.GetCriticalLogs(),
			}
			for name, lines := range logs {
				got := strings.Count(strings.Join(lines, "\n"), " L4D1 ")
				if name == strings.TrimSuffix(level, "ing") {
					require.Equal(t, 2, got, name)
				} else {
					require.Zero(t, got, name)
				}
			}
		})
	}
}

func TestLayotto(t *testing.T) {
	r := newRig(t, on(``, `"format":"layotto","max_line_bytes":2048`))
	id := r.connect()
	payload := (2048 - linePrefixBytes - len("recorder"+"root"+"vm") - record.LayottoOverhead) / 3 / record.HexTurn * record.HexTurn
	r.downstream(id, "hi!")
	r.downstream(id, strings.Repeat("a", payload+1))
	r.streams[id].OnDownstreamData(0, true)
	r.done(id)
	const prefix = "[01935651-7800-801e-ac34-64756d700000][8080]"
	require.Equal(t, []string{
		prefix + "68 69 21",
		prefix + strings.TrimSuffix(strings.Repeat("61 ", payload), " "),
		prefix + "61",
	}, r.lines())
}

func TestUnreadable(t *testing.T) {
	r := newRig(t, on(`"unit":"connections"`, ``))
	id := r.connect()
	c := r.streams[id].(*connection)
	c.read(record.Downstream, func(int, int) ([]byte, error) { return nil, errors.New("gone") }, 7, false)
	c.read(record.Downstream, func(int, int) ([]byte, error) { return nil, nil }, 3, false)
	r.done(id)
	records := r.records()
	require.Equal(t, closeRecord(header(1, 1, r.now), "proxy",
		ledger(10, 0, record.Drop{Reason: "unreadable", Bytes: 10}), ledger(0, 0)), records[1])
}

func TestConfigurations(t *testing.T) {
	const refused = `{"strategy":{"switch":"maybe","interval":1}}`
	r := newRig(t, refused)
	require.Equal(t, []string{
		`l4dump: configuration: strategy.switch: want "ON" or "OFF", got "maybe"`,
		`l4dump: configuration: strategy.interval: want a whole number from 30 to 3600, got 1`,
		`l4dump: the configuration is refused: the last valid one stays, or nothing is recorded if there is none`,
	}, r.GetErrorLogs())
	r.Tick()
	require.Zero(t, r.gauge("configuration_valid"))
	r.downstream(r.connect(), "x")
	require.Empty(t, r.lines())

	r.configure(on(`"unit":"connections"`, ``))
	r.Tick()
	require.Equal(t, uint64(1), r.gauge("configuration_valid"))
	require.Equal(t, uint64(1), r.gauge("window_open"))
	require.Equal(t, "l4dump: configured: switch ON, 10 s of every 30 s, unit connections, guard off, digest b381107f", r.GetInfoLogs()[0])
	r.downstream(r.connect(), "x")
	require.Len(t, r.records(), 2)

	r.configure(refused)
	require.Equal(t, "l4dump: the configuration is refused: the last valid one stays, or nothing is recorded if there is none", r.GetErrorLogs()[2])
	r.Tick()
	require.Zero(t, r.gauge("configuration_valid"))
	r.downstream(r.connect(), "x")
	require.Len(t, r.records(), 2, "recorded by the last valid configuration")

	r.configure(`[]`)
	r.downstream(r.connect(), "x")
	require.Len(t, r.records(), 2, "and after another one that is not valid")

	r.configure(`{}`)
	r.Tick()
	require.Equal(t, uint64(1), r.gauge("configuration_valid"))
	r.downstream(r.connect(), "x")
	require.Empty(t, r.lines())
}

func TestNeverValidHasNoSidecar(t *testing.T) {
	r := newRig(t, `[]`)
	r.Tick()
	require.Empty(t, r.GetCalloutAttributesFromContext(proxytest.PluginContextID), "a global ON could switch it on")
}

func TestVMStartsOnce(t *testing.T) {
	r := newRig(t, `{}`)
	counters := len(r.vm.metrics.counters)
	random := uint64(1)
	r.vm.Random = func() uint64 { random++; return random }
	require.Equal(t, types.OnVMStartStatusOK, r.StartVM()) // as Envoy does for each plugin
	require.Len(t, r.vm.metrics.counters, counters)
	require.Equal(t, uint64(testVM), r.vm.id)
}

// TestRollback has a configuration come back while a connection still had it: the proxy then goes on with its root
// context, without configuring it again.
func TestRollback(t *testing.T) {
	r := newRig(t, on(``, ``))
	first := r.vm.newest["recorder\x00root"]
	r.configure(`{}`)
	second := r.vm.newest["recorder\x00root"]
	require.True(t, second.OnPluginDone())
	require.Same(t, first, r.vm.newest["recorder\x00root"])
	require.Zero(t, first.replacedAt)
	first.OnTick()
	require.Equal(t, uint64(1), r.gauge("window_open"))
}

// TestGaugesOfSeveral has a valid and an invalid configuration in use, under different names.
func TestGaugesOfSeveral(t *testing.T) {
	r := newRig(t, on(``, ``))
	other := r.vm.NewPluginContext(2).(*plugin)
	require.NoError(t, r.SetProperty([]string{"plugin_name"}, []byte("other")))
	other.OnPluginStart(0)
	other.valid = false
	r.Tick()
	require.Zero(t, r.gauge("configuration_valid"))
	require.Equal(t, uint64(1), r.gauge("window_open"))
	require.Equal(t, uint64(1), r.gauge("off_switch_off"))
	other.OnPluginDone()
	r.Tick()
	require.Equal(t, uint64(1), r.gauge("configuration_valid"))

	t.Run("none is left", func(t *testing.T) {
		require.True(t, r.FinishVM())
		require.Equal(t, uint64(1), r.gauge("window_open"), "as it was: other VMs go on")
	})
}

func TestWindowGaugeIsOffWithTheSwitch(t *testing.T) {
	r := newRig(t, `{"resource_guard":"off"}`)
	r.Tick()
	require.Zero(t, r.gauge("window_open"))
}

// TestSameNames has two listeners whose plugins have the same name: that the second's configuration replaces the first's
// is believed only until the first gets another connection.
func TestSameNames(t *testing.T) {
	r := newRig(t, on(`"unit":"connections"`, ``))
	first := r.vm.newest["recorder\x00root"]
	r.configure(`{"strategy":{"switch":"maybe"}}`)
	second := r.vm.newest["recorder\x00root"]
	require.NotSame(t, first, second)
	require.Equal(t, first.config, second.config)

	r.now += takeoverTime
	first.NewTcpContext(0)
	require.Equal(t, first.config, second.config, "a worker may still be changing over")
	r.now++
	first.NewTcpContext(0)
	require.Equal(t, inert(), second.config)
	require.Equal(t, strategy.SwitchOn, first.config.Strategy.Switch)
	require.Equal(t, []string{
		"l4dump: an older configuration of the same name is still in use: if two listeners have it, give each plugin a name of its own",
	}, r.GetWarnLogs())
	r.downstream(r.connect(), "x")
	require.Empty(t, r.lines())

	r.Tick()
	require.Zero(t, r.gauge("configuration_valid"))
	require.Equal(t, uint64(1), r.gauge("off_switch_off"))
	require.Equal(t, uint64(1), r.gauge("off_window_closed"), "the first counts again")
}

func TestLineLengthLeavesRoom(t *testing.T) {
	names := len("recorder" + "root" + "vm")
	least := linePrefixBytes + names + record.MaxOpenBytes
	require.LessOrEqual(t, least, strategy.MinLineBytes, "the least line length leaves room with ordinary names")

	r := newRig(t, `{}`)
	r.reset()
	r.host(`{"output":{"max_line_bytes":2048}}`)
	long := strings.Repeat("n", strategy.MinLineBytes-least+len("recorder")+1)
	require.NoError(t, r.SetProperty([]string{"plugin_name"}, []byte(long)))
	require.Equal(t, types.OnPluginStartStatusOK, r.StartPlugin())
	require.Equal(t, []string{
		"l4dump: configuration: output.max_line_bytes: want at least 2049 with the names that the proxy puts before each line, got 2048",
		"l4dump: the configuration is refused: the last valid one stays, or nothing is recorded if there is none",
	}, r.GetErrorLogs())
}

func TestConnectionKeepsItsConfiguration(t *testing.T) {
	r := newRig(t, on(`"unit":"connections"`, ``))
	old := r.connect()
	c := r.streams[old]
	r.configure(`{}`)
	c.(*connection).read(record.Downstream, func(int, int) ([]byte, error) { return []byte("still"), nil }, 5, false)
	require.Len(t, r.records(), 2)
	r.downstream(r.connect(), "new")
	require.Len(t, r.records(), 2)
}

func TestPluginDone(t *testing.T) {
	r := newRig(t, on(``, ``))
	r.downstream(r.connect(), "x")
	require.Zero(t, r.counter("bytes_seen_total"), "not handed in yet")
	require.True(t, r.FinishVM())
	require.Equal(t, uint64(1), r.counter("bytes_seen_total"))
	require.Empty(t, r.vm.plugins)
	require.Empty(t, r.vm.newest)
}

func TestPortOf(t *testing.T) {
	for address, want := range map[string]uint16{
		"": 0, "10.0.0.1": 0, "10.0.0.1:80": 80, "[::1]:65535": 65535, "[::1]:65536": 0, "10.0.0.1:": 0, "/run/x.sock": 0,
		":1": 1, "a:99999999999999999999": 0, "a:0080": 80,
	} {
		require.Equal(t, want, portOf(address), address)
	}
}

// TestReadAllocatesNothing counts the bytes that went out too, so that doing nothing fails.
func TestReadAllocatesNothing(t *testing.T) {
	r := newRig(t, on(`"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0`, ``))
	written := 0
	r.vm.newest["recorder\x00root"].sink.(*logSink).write = func(_ abi.Level, line []byte) { written += len(line) }
	c := r.streams[r.connect()].(*connection)
	buffer := []byte(strings.Repeat("payload!", blockBytes/8))
	data := func(start, size int) ([]byte, error) { return buffer[:min(size, len(buffer)-start)], nil }
	c.read(record.Downstream, data, 10, false) // the open record
	written = 0
	const size = 10_000
	require.Zero(t, testing.AllocsPerRun(100, func() { c.read(record.Downstream, data, size, false) }))
	require.Greater(t, written, 101*2*size)
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			r := newRig(&testing.T{}, on(`"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0`, ``))
			r.vm.newest["recorder\x00root"].sink.(*logSink).write = func(abi.Level, []byte) {}
			c := r.streams[r.connect()].(*connection)
			buffer := make([]byte, size)
			data := func(start, size int) ([]byte, error) { return buffer[start : start+size], nil }
			b.SetBytes(int64(size))
			for b.Loop() {
				c.read(record.Downstream, data, size, false)
			}
		})
	}
}
