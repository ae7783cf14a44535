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

// TestNamedClient has a client whose name, certificate and TLS are known.
func TestNamedClient(t *testing.T) {
	r := newRig(t, on(`"unit":"connections"`, ``))
	r.downstream(r.connect(), "x")
	require.Equal(t, openRecord(header(1, 0, r.now), "connections", r.now), r.records()[0])
}

func TestBudget(t *testing.T) {
	const rate = 100_000
	r := newRig(t, on(`"unit":"bytes","max_bytes_per_second":100000,"max_lines_per_second":0`, ``))
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
		ledger(seen, kept, record.Drop{Reason: "budget_bytes", Bytes: seen - kept}), ledger(0, 0)), records[len(records)-1])
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
	r := newRig(t, on(`"unit":"bytes","max_bytes_per_second":10000,"max_lines_per_second":0`, ``))
	kinds := map[record.Kind]int{}
	for range 50 {
		id := r.connect()
		r.downstream(id, "x")
		r.done(id)
	}
	for _, each := range r.records() {
		kinds[each.Kind]++
	}
	require.Equal(t, 50, kinds[record.KindOpen])
	require.Equal(t, 50, kinds[record.KindClose])
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
	r := newRig(t, on(`"unit":"bytes","max_bytes_per_second":0,"max_lines_per_second":100`, ``))
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

// TestRollback has a configuration come back while a connection still had it: the proxy then continues with its root
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
		require.Equal(t, uint64(1), r.gauge("window_open"), "as it was: other VMs continue")
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
			defer r.reset() // the emulator is one for the whole process
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
