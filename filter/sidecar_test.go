package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/internal/poll"
	"l4dump/record"
	"l4dump/strategy"
)

const guarded = `{"strategy":{"switch":"ON","interval":3600,"duration":3599},"capture":{"unit":"connections"},` +
	`"sidecar":{"cluster":"sidecar","poll_interval":"1s","timeout":"250ms","stale_after":"5s"}}`

func state(cpu, memory, ageMilliseconds int, global string) string {
	return fmt.Sprintf(`{"version":1,"usage":{"cpu":{"percent":%d,"age_ms":%d},"memory":{"percent":%d,"age_ms":0}},"global":%s}`,
		cpu, ageMilliseconds, memory, global)
}

// wait moves the clock on and ticks.
func (r *rig) wait(duration int64) {
	r.now += duration
	r.Tick()
}

func TestPollRequest(t *testing.T) {
	r := newRig(t, guarded)
	require.Equal(t, uint32(250), r.GetTickPeriod())
	require.Empty(t, r.GetCalloutAttributesFromContext(proxytest.PluginContextID), "none from start")
	r.Tick()
	calls := r.GetCalloutAttributesFromContext(proxytest.PluginContextID)
	require.Len(t, calls, 1)
	require.Equal(t, proxytest.HttpCalloutAttribute{
		CalloutID: calls[0].CalloutID,
		Upstream:  "sidecar",
		Headers: [][2]string{
			{":method", "GET"},
			{":path", "/v1/state"},
			{":authority", "localhost"},
			{"accept", "application/json"},
			{"l4dump-report", `[{"plugin":"recorder","guard":"sidecar","reason":"usage_unknown","strategy":{"switch":"ON","interval":3600,"duration":3599,"cpu_max_rate":80,"mem_max_rate":70},"soft":10}]`},
			{"l4dump-totals", `{"connections":{"seen":0,"kept":0},"bytes":{"seen":0,"kept":0}}`},
		},
		Trailers: [][2]string{},
		Body:     []byte{},
	}, calls[0])
}

// TestTotals has another VM of the process count too: the proxy adds up. What this one has not given it yet is there.
func TestTotals(t *testing.T) {
	r := newRig(t, guarded)
	id := r.connect()
	r.downstream(id, "not yet")
	r.Tick()
	r.answer("200", state(10, 10, 0, "null"))
	r.wait(second)
	other, err := abi.DefineCounter("l4dump_bytes_seen_total")
	require.NoError(t, err)
	other.Add(1000)
	r.downstream(r.connect(), "recorded")
	r.done(id)
	require.Equal(t, &poll.Totals{
		ConnectionsSeen: 2, ConnectionsKept: 1, BytesSeen: 1015, BytesKept: 8,
		BytesDropped: [strategy.Reasons]uint64{strategy.UsageUnknown: 7},
	}, r.vm.metrics.totals())
	r.Tick()
	require.Equal(t, uint64(1015), r.vm.metrics.totals().BytesSeen, "given to the proxy, and once")
}

func TestFreshness(t *testing.T) {
	r := newRig(t, guarded)
	r.Tick()
	r.answer("200", state(10, 10, 400, "null"))
	id := r.connect()
	r.downstream(id, "early")
	require.Empty(t, r.lines(), "the poll was answered, the plugin takes it over with the next tick")

	r.wait(second)
	id = r.connect()
	r.downstream(id, "a")
	require.Len(t, r.records(), 2)
	require.Equal(t, uint64(1), r.gauge("sidecar_fresh"))

	measured := r.now - second - 400_000_000
	r.now = measured + 5*second
	r.downstream(id, "b")
	require.Len(t, r.records(), 3, "as old as it may be")
	r.now++
	r.downstream(id, "c")
	require.Len(t, r.records(), 3, "too old")
	r.vm.handIn(r.now)
	require.Zero(t, r.gauge("sidecar_fresh"))
	require.Equal(t, uint64(1), r.gauge("off_usage_unknown"))

	r.answer("200", state(10, 10, 0, "null"))
	r.wait(second)
	r.downstream(id, "d")
	records := r.records()
	require.Equal(t, "d", string(records[3].Payload), "fresh again")
	r.done(id)
	records = r.records()
	require.Equal(t, ledger(4, 3, record.Drop{Reason: "usage_unknown", Bytes: 1}), records[4].Close.Downstream)
}

// answer answers the poll that is under way.
func (r *rig) answer(status, body string) {
	calls := r.GetCalloutAttributesFromContext(proxytest.PluginContextID)
	require.NotEmpty(r.t, calls)
	r.CallOnHttpCallResponse(calls[len(calls)-1].CalloutID, [][2]string{{":status", status}}, nil, []byte(body))
}

func TestLimits(t *testing.T) {
	r := newRig(t, guarded)
	r.Tick()
	r.answer("200", state(10, 10, 0, "null"))
	id := r.connect()
	expect := func(reason string) {
		t.Helper()
		r.wait(second) // takes the answer over, and polls again
		before := len(r.records())
		r.downstream(id, "x")
		if reason == "" {
			require.Len(t, r.records(), before+1)
			return
		}
		require.Len(t, r.records(), before)
		require.Equal(t, uint64(1), r.gauge("off_"+reason))
	}
	r.wait(second)
	id = r.connect()
	r.downstream(id, "open")

	r.answer("200", state(80, 10, 0, "null"))
	expect("cpu")
	r.answer("200", state(79, 10, 0, "null"))
	expect("cpu")
	r.answer("200", state(79, 10, 0, "null"))
	expect("") // two good readings
	r.answer("200", state(10, 70, 0, "null"))
	expect("memory")
	r.answer("200", state(75, 65, 0, "null"))
	expect("") // the margin
	require.Equal(t, []string{
		"l4dump: recording stops: CPU usage is at its limit",
		"l4dump: recording continues",
		"l4dump: recording stops: memory usage is at its limit",
		"l4dump: recording continues",
	}, r.GetWarnLogs())
}

func TestGlobalStrategy(t *testing.T) {
	r := newRig(t, guarded)
	r.Tick()
	r.answer("200", state(1, 1, 0, "null"))
	r.wait(second)
	id := r.connect()
	r.downstream(id, "on")
	require.Len(t, r.records(), 2)

	r.answer("200", state(1, 1, 0, `{"switch":"FORCE_OFF"}`))
	r.wait(second)
	r.downstream(id, "off")
	require.Len(t, r.records(), 2, "a live connection too")
	require.Equal(t, uint64(1), r.gauge("off_forced_off"))
	require.Equal(t, []string{"l4dump: recording stops: the global strategy forces it off; l4dump ctl clear ends that"}, r.GetWarnLogs())
	other := r.connect()
	r.downstream(other, "off")
	require.Len(t, r.records(), 2)

	r.answer("503", "")
	r.wait(100 * second)
	require.Equal(t, uint64(1), r.gauge("off_forced_off"), "it stays in force while the sidecar is silent")

	r.answer("200", state(1, 1, 0, "null"))
	r.wait(second)
	r.downstream(id, "again")
	require.Len(t, r.records(), 3)

	t.Run("on, where the application is off", func(t *testing.T) {
		r.configure(`{"sidecar":{"cluster":"sidecar"}}`)
		r.wait(second) // the call of the old root context is lost with it
		r.answer("200", state(1, 1, 0, `{"switch":"ON","interval":3600,"duration":3599}`))
		r.wait(second)
		r.downstream(r.connect(), "x")
		require.Len(t, r.records(), 2)
	})
}

func TestForcedOffIsSaidEachTime(t *testing.T) {
	r := newRig(t, `{"sidecar":{"cluster":"sidecar"}}`)
	r.Tick()
	for _, global := range []string{`{"switch":"FORCE_OFF"}`, "null", `{"switch":"FORCE_OFF"}`, `{"switch":"ON"}`} {
		r.answer("200", state(1, 1, 0, global))
		r.wait(second)
	}
	require.Equal(t, []string{
		"l4dump: recording stops: the global strategy forces it off; l4dump ctl clear ends that",
		"l4dump: recording is no longer forced off, but its switch is off",
		"l4dump: recording stops: the global strategy forces it off; l4dump ctl clear ends that",
		"l4dump: recording continues",
	}, r.GetWarnLogs())
}

// TestBadSidecars has everything that may answer on the sidecar's port: nothing is recorded, and each is said once.
func TestBadSidecars(t *testing.T) {
	for _, row := range []struct {
		name, status, body string
		counter, said      string
	}{
		{"nobody listens", "503", "upstream connect error or disconnect/reset before headers", "unreachable", "no answer from cluster sidecar (status 503)"},
		{"it hangs", "504", "upstream request timeout", "unreachable", "no answer from cluster sidecar (status 504)"},
		{"another service", "404", "<html>", "unreachable", "no answer from cluster sidecar (status 404)"},
		{"another service that likes all paths", "200", "<html>", "invalid", "the answer of cluster sidecar is not the sidecar's: want valid JSON, but at byte 0: an unexpected '<', want a value"},
		{"an empty answer", "200", "", "invalid", "the answer of cluster sidecar is not the sidecar's: want valid JSON, but at byte 0: it ends too early, want a value"},
		{"garbage", "200", "\x00\n\xff", "invalid", "the answer of cluster sidecar is not the sidecar's: want valid JSON, but at byte 0: a zero byte"},
		{"as large as it may be", "200", "1" + strings.Repeat(" ", maxStateBytes-1), "invalid", "the answer of cluster sidecar is not the sidecar's: want an object, got 1"},
		{"too large", "200", "1" + strings.Repeat(" ", maxStateBytes), "invalid", "the answer of cluster sidecar is too large"},
		{"not measured yet", "200", `{"version":1,"usage":null}`, "unmeasured", "the sidecar has not measured yet"},
		{"measured too long ago", "200", state(1, 1, 5001, "null"), "unmeasured", "the sidecar's last measurement is too old"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, guarded)
			r.Tick()
			const polls = 5
			for range polls {
				r.answer(row.status, row.body)
				r.wait(second)
				r.downstream(r.connect(), "x")
			}
			require.Empty(t, r.lines())
			require.Equal(t, []string{"l4dump: " + row.said + withoutFigures}, r.GetWarnLogs())
			require.Equal(t, uint64(polls), r.counter("polls_"+row.counter+"_total"))
			require.Equal(t, uint64(1), r.gauge("off_usage_unknown"))
			require.Zero(t, r.gauge("sidecar_fresh"))

			r.answer("200", state(1, 1, 0, "null"))
			r.wait(second)
			require.Equal(t, uint64(1), r.gauge("sidecar_fresh"))
			r.downstream(r.connect(), "x")
			require.Len(t, r.records(), 2)
			require.Contains(t, r.GetInfoLogs(), "l4dump: the sidecar reports")
		})
	}
}

// withoutFigures ends the line about each fault of a sidecar.
const withoutFigures = "; nothing is recorded without fresh figures"

// TestFaultsAreSaidOnce has another service on the sidecar's port, whose answer is never the same.
func TestFaultsAreSaidOnce(t *testing.T) {
	r := newRig(t, guarded)
	r.Tick()
	for i := range 20 {
		r.answer("200", fmt.Sprintf(`{"served":%d}`, i))
		r.wait(second)
		r.answer("200", fmt.Sprintf(`{"version":%d}`, i+2))
		r.wait(second)
	}
	require.Equal(t, []string{"l4dump: the answer of cluster sidecar is not the sidecar's: version: want 1" + withoutFigures}, r.GetWarnLogs())
}

// TestReadingsNotTicks has a plugin look at one answer several times: it is one reading.
func TestReadingsNotTicks(t *testing.T) {
	r := newRig(t, guarded)
	p := r.vm.newest["recorder\x00root"]
	r.Tick()
	for _, row := range []struct {
		cpu  int
		want strategy.Reason
	}{{90, strategy.CPULimit}, {79, strategy.CPULimit}, {79, strategy.Recorded}} {
		r.answer("200", state(row.cpu, 1, 0, "null"))
		for range 4 {
			r.wait(second / 4)
			require.Equal(t, row.want, p.fuse.Reason())
		}
	}
}

// TestUnmeasuredIsNoReading has an answer without usage come after the fuse has opened: nothing says that it may close.
func TestUnmeasuredIsNoReading(t *testing.T) {
	r := newRig(t, guarded)
	p := r.vm.newest["recorder\x00root"]
	r.Tick()
	r.answer("200", state(90, 1, 0, "null"))
	p.sidecar.load() // another plugin of the VM is first with both answers
	_, cas, err := abi.SharedData(p.sidecar.stateKey)
	require.NoError(t, err)
	require.NoError(t, abi.SetSharedData(p.sidecar.stateKey, []byte("01234567"+`{"version":1,"usage":null}`), cas))
	p.sidecar.load()
	p.refresh()
	require.Equal(t, strategy.CPULimit, p.fuse.Reason())
}

func TestStaleAfterTheClockWasSetBack(t *testing.T) {
	r := newRig(t, guarded)
	p := r.vm.newest["recorder\x00root"]
	r.Tick()
	r.answer("200", state(1, 1, 0, "null"))
	r.Tick()
	require.Equal(t, strategy.Recorded, p.decide(r.now, true).Continue)
	require.Equal(t, strategy.Recorded, p.decide(r.now-second, true).Continue)
	require.Equal(t, strategy.UsageUnknown, p.decide(r.now-second-1, true).Continue)
}

// TestPollsDoNotPileUp has an answer that takes longer than a poll interval.
func TestPollsDoNotPileUp(t *testing.T) {
	r := newRig(t, strings.Replace(guarded, `"250ms"`, `"3s"`, 1))
	polls := func() int { return len(r.GetCalloutAttributesFromContext(proxytest.PluginContextID)) }
	r.Tick()
	for range 2 {
		r.wait(second)
		require.Equal(t, 1, polls())
	}
	r.wait(second) // the timeout: the answer will not come
	require.Equal(t, 2, polls())
	r.answer("200", state(1, 1, 0, "null"))
	r.wait(second)
	require.Equal(t, 3, polls(), "an answer ends the waiting")

	t.Run("a replaced plugin does not poll", func(t *testing.T) {
		p := r.vm.newest["recorder\x00root"]
		p.replacedAt = r.now
		r.answer("200", state(1, 1, 0, "null"))
		r.wait(second)
		require.Equal(t, 3, polls())
	})
}

// TestOffBeforeTheFirstByte has a connection that was selected, and that was forced off before it had a record.
func TestOffBeforeTheFirstByte(t *testing.T) {
	r := newRig(t, guarded)
	r.Tick()
	r.answer("200", state(1, 1, 0, "null"))
	r.wait(second)
	id := r.connect()
	r.answer("200", state(1, 1, 0, `{"switch":"FORCE_OFF"}`))
	r.wait(second)
	r.done(id)
	require.Empty(t, r.lines())
}

// TestOnePollForAllVMs has four VMs tick at their own moments with one shared data space.
func TestOnePollForAllVMs(t *testing.T) {
	r := newRig(t, guarded)
	r.Tick()
	r.answer("200", state(1, 1, 0, "null"))
	const vms, periods = 4, 30
	c := r.vm.sidecars["sidecar"]
	polls := 0
	for i := range vms * periods {
		r.now += second / vms
		other := &sidecar{cluster: c.cluster, lease: c.lease, stateKey: c.stateKey}
		if i%vms == 0 {
			other = c
		}
		if other.turn(r.now, 1000) {
			polls++
		}
	}
	require.LessOrEqual(t, polls, periods*12/10)
	require.GreaterOrEqual(t, polls, periods*8/10)
}

func TestLease(t *testing.T) {
	r := newRig(t, guarded)
	c := r.vm.sidecars["sidecar"]
	r.Tick()
	start := r.now // the tick took it
	for _, row := range []struct {
		name string
		now  int64
		want bool
	}{
		{"just taken", start, false},
		{"before its end", start + 900_000_000 - 1, false},
		{"at its end", start + 900_000_000, true},
		{"taken again", start + 900_000_000, false},
		{"the clock was set back", start - 10*second, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, c.turn(row.now, 1000))
		})
	}
}

// TestSharedFromTheStart has two VMs come at once for whatever they share: both have read it before either writes.
func TestSharedFromTheStart(t *testing.T) {
	r := newRig(t, guarded)
	name := r.vm.newest["recorder\x00root"].name
	for _, key := range []string{
		"l4dump/spent_until", "l4dump/connections/" + name, "l4dump/window_connections/" + name,
		"l4dump/lease/sidecar", "l4dump/state/sidecar", said + "l4dump/state/sidecar",
		said + name, said + name + aboutName, said + name + aboutStop,
	} {
		t.Run(strings.ReplaceAll(key, "\x00", "-"), func(t *testing.T) {
			_, version, err := abi.SharedData(key)
			require.NoError(t, err)
			require.NoError(t, abi.SetSharedData(key, []byte("one's"), version))
			require.Equal(t, types.ErrorStatusCasMismatch, abi.SetSharedData(key, []byte("the other's"), version))
		})
	}
}

// TestReports has plugins of every kind in a VM: each sidecar is told which of them it governs, and those come first.
func TestReports(t *testing.T) {
	r := newRig(t, guarded)
	start := func(name, config string) {
		r.title = name
		r.configure(config)
	}
	start("", guarded)
	start("unguarded", on(``, ``))
	start("elsewhere", strings.Replace(guarded, `"cluster":"sidecar"`, `"cluster":"other"`, 1))
	application := r.vm.newest["recorder\x00root"].config.Strategy
	short := r.vm.newest["unguarded\x00root"].config.Strategy
	for _, row := range []struct {
		cluster          string
		governed, others []poll.Report
	}{
		{
			"sidecar",
			[]poll.Report{
				{Plugin: "recorder", Guard: poll.GuardSidecar, Reason: "usage_unknown", Strategy: application, Soft: 10},
				{Plugin: "", Guard: poll.GuardSidecar, Reason: "usage_unknown", Strategy: application, Soft: 10},
			},
			[]poll.Report{
				{Plugin: "unguarded", Guard: poll.GuardOff, Reason: "recorded", Strategy: short},
				{Plugin: "elsewhere", Guard: poll.GuardOther, Reason: "usage_unknown", Strategy: application},
			},
		},
		{
			"other",
			[]poll.Report{{Plugin: "elsewhere", Guard: poll.GuardSidecar, Reason: "usage_unknown", Strategy: application, Soft: 10}},
			[]poll.Report{
				{Plugin: "recorder", Guard: poll.GuardOther, Reason: "usage_unknown", Strategy: application},
				{Plugin: "", Guard: poll.GuardOther, Reason: "usage_unknown", Strategy: application},
				{Plugin: "unguarded", Guard: poll.GuardOff, Reason: "recorded", Strategy: short},
			},
		},
	} {
		t.Run(row.cluster, func(t *testing.T) {
			got := r.vm.sidecars[row.cluster].reports(r.vm, r.now)
			require.ElementsMatch(t, row.governed, got[:len(row.governed)])
			require.ElementsMatch(t, row.others, got[len(row.governed):])
		})
	}
}
