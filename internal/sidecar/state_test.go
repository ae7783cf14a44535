package sidecar

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/poll"
	"l4dump/strategy"
)

func TestStateIsWhatThePluginReads(t *testing.T) {
	c := start(t, nil)
	r := c.do(http.MethodGet, statePath, "")
	got, err := poll.ParseState([]byte(r.body))
	require.NoError(t, err)
	require.Equal(t, poll.State{
		Measured: true, Usage: strategy.Usage{CPU: 10, Memory: 20}, Age: 100,
	}, got)

	c.setGlobal(`{"switch":"FORCE_OFF","cpu_max_rate":12.5}`)
	got, err = poll.ParseState([]byte(c.do(http.MethodGet, statePath, "").body))
	require.NoError(t, err)
	require.Equal(t, &strategy.Strategy{
		Switch: strategy.SwitchForceOff, Interval: 30, Duration: 1, CPUMaxRate: 12.5, MemMaxRate: 70,
	}, got.Global)

	none := start(t, func(o *Options) { o.Usage = nil })
	got, err = poll.ParseState([]byte(none.do(http.MethodGet, statePath, "").body))
	require.NoError(t, err)
	require.Equal(t, poll.State{}, got)
}

func TestStateWhole(t *testing.T) {
	c := start(t, nil)
	c.setGlobal(on)
	global := &Strategy{Switch: strategy.SwitchOn, Interval: 30, Duration: 10, CPUMaxRate: 80, MemMaxRate: 70}
	require.Equal(t, State{
		Version: 1,
		Usage: &Usage{
			CPU:    UsageFigure{Percent: 10, Source: "host:/proc/stat", AgeMillis: 100},
			Memory: UsageFigure{Percent: 20, Source: "host:/proc/meminfo", AgeMillis: 100},
		},
		Global: global, Revision: 1, By: "api", At: epoch,
		Strategy: *global, Recording: true, Reason: "recorded",
		Window: Window{
			ID: epochWindow, Start: epoch, End: epoch.Add(10 * time.Second), Next: epoch.Add(30 * time.Second), Open: true,
		},
	}, c.state())
}

func TestDecision(t *testing.T) {
	application := func(s strategy.Switch) strategy.Strategy {
		return strategy.Strategy{Switch: s, Interval: 30, Duration: 10, CPUMaxRate: 50, MemMaxRate: 60}
	}
	tests := []struct {
		name        string
		global      string // PUT unless empty
		application *strategy.Strategy
		told        string
		at          time.Duration // after epoch
		cpu, memory float64
		age         time.Duration // of the reading
		want        strategy.Reason
	}{
		{name: "nothing is on", want: strategy.SwitchedOff},
		{name: "global on, no plugin", global: on, want: strategy.Recorded},
		{name: "global off, no plugin", global: `{"switch":"OFF"}`, want: strategy.SwitchedOff},
		{name: "application on", application: new(application(strategy.SwitchOn)), want: strategy.Recorded},
		{name: "application off", application: new(application(strategy.SwitchOff)), want: strategy.SwitchedOff},
		{
			name: "application off, global on", application: new(application(strategy.SwitchOff)), global: on,
			want: strategy.Recorded,
		},
		{
			name: "application on, global forces off", application: new(application(strategy.SwitchOn)),
			global: `{"switch":"FORCE_OFF"}`, want: strategy.ForcedOff,
		},
		{name: "window's last moment", global: on, at: 10*time.Second - 1, want: strategy.Recorded},
		{name: "window's end", global: on, at: 10 * time.Second, want: strategy.WindowClosed},
		{name: "next window", global: on, at: 30 * time.Second, want: strategy.Recorded},
		{name: "reading not yet stale", global: on, age: 5 * time.Second, want: strategy.Recorded},
		{name: "reading stale", global: on, age: 5*time.Second + 1, want: strategy.UsageUnknown},
		{name: "cpu under its limit", global: on, cpu: 79.9, want: strategy.Recorded},
		{name: "cpu at its limit", global: on, cpu: 80, want: strategy.CPULimit},
		{name: "memory under its limit", global: on, memory: 69.9, want: strategy.Recorded},
		{name: "memory at its limit", global: on, memory: 70, want: strategy.MemoryLimit},
		{
			name: "application's limit counts", application: new(application(strategy.SwitchOn)), global: on, cpu: 50,
			want: strategy.CPULimit,
		},
		{
			name: "plugin's fuse is still open", application: new(application(strategy.SwitchOn)), told: "cpu", cpu: 49,
			want: strategy.CPULimit,
		},
		{
			name: "plugin's fuse is still open for memory", application: new(application(strategy.SwitchOn)), told: "memory",
			want: strategy.MemoryLimit,
		},
		{
			name: "log level hides the lines", application: new(application(strategy.SwitchOn)), told: "log_level",
			want: strategy.LogLevel,
		},
		{
			name: "plugin has not seen the window yet", application: new(application(strategy.SwitchOn)),
			told: "window_closed", want: strategy.Recorded,
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t, nil)
			c.clock.set(epoch.Add(tc.at))
			c.meter.set(tc.cpu, tc.memory, epoch.Add(tc.at-tc.age))
			if tc.global != "" {
				c.setGlobal(tc.global)
			}
			if tc.application != nil {
				told := tc.told
				if told == "" {
					told = "recorded"
				}
				c.poll(poll.Report{Plugin: "l4dump", Reason: told, Strategy: *tc.application})
			}
			got := c.state()
			require.Equal(t, tc.want.String(), got.Reason)
			require.Equal(t, tc.want == strategy.Recorded, got.Recording)
			status := into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, ""))
			require.Equal(t, got.Reason, status.Reason)
			require.NotEqual(t, status.Reason, status.Why, "every reason has a sentence")
		})
	}
}

func TestReadingsThatAreNone(t *testing.T) {
	nan := []float64{0, 0}
	nan[0] /= nan[1]
	tests := []struct {
		name        string
		cpu, memory float64
		want        *Usage
	}{
		{"cpu is no number", nan[0], 1, nil},
		{"memory is no number", 1, nan[0], nil},
		{"over and under", 101, -1, &Usage{CPU: UsageFigure{Percent: 100}, Memory: UsageFigure{}}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := &meter{}
			m.set(tc.cpu, tc.memory, epoch)
			m.cpu.Source, m.memory.Source = "", ""
			require.Equal(t, tc.want, read(m).message(epoch))
		})
	}
}

func TestSeveralPlugins(t *testing.T) {
	c := start(t, nil)
	off := strategy.DefaultStrategy()
	active := strategy.Strategy{Switch: strategy.SwitchOn, Interval: 60, Duration: 10, CPUMaxRate: 80, MemMaxRate: 70}
	state := c.poll(
		poll.Report{Plugin: "a", Reason: "switch_off", Strategy: off},
		poll.Report{Plugin: "b", Reason: "recorded", Strategy: active},
	)
	require.True(t, state.Recording, "one of them records")
	require.Equal(t, Strategy(active), state.Strategy)

	c.clock.set(epoch.Add(time.Second))
	status := into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, ""))
	require.Equal(t, []PluginStatus{
		{
			Plugin: "a", Guard: "sidecar", Reported: "switch_off", Application: Strategy(off), Strategy: Strategy(off), Reason: "switch_off",
			AgeMillis: 1000,
		},
		{
			Plugin: "b", Guard: "sidecar", Reported: "recorded", Application: Strategy(active), Strategy: Strategy(active), Recording: true,
			Reason: "recorded", AgeMillis: 1000,
		},
	}, status.Plugins)

	// A new report of one plugin replaces its old ones only.
	c.poll(poll.Report{Plugin: "b", Reason: "switch_off", Strategy: off})
	require.False(t, c.state().Recording)
	require.Len(t, into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, "")).Plugins, 2)
}

func TestReportsGetStale(t *testing.T) {
	c := start(t, nil)
	active := strategy.Strategy{Switch: strategy.SwitchOn, Interval: 3600, Duration: 3599, CPUMaxRate: 80, MemMaxRate: 70}
	c.poll(poll.Report{Plugin: "l4dump", Reason: "recorded", Strategy: active})
	at := func(after time.Duration) string {
		c.clock.set(epoch.Add(after))
		c.meter.set(10, 20, epoch.Add(after))
		return c.state().Reason
	}
	require.Equal(t, "recorded", at(15*time.Second))
	require.Equal(t, "switch_off", at(15*time.Second+1))
}

func TestReportsThatAreRefused(t *testing.T) {
	long := make([]poll.Report, 100)
	for i := range long {
		long[i] = poll.Report{Plugin: strings.Repeat("p", 60), Reason: "recorded", Strategy: strategy.DefaultStrategy()}
	}
	most := string(poll.AppendReports(nil, long))
	require.LessOrEqual(t, len(most), poll.MaxReportBytes)
	tests := []struct {
		name, report string
		refused      bool
	}{
		{"an empty list", "[]", false},
		{"the longest that a plugin sends", most, false},
		{"longest", most + strings.Repeat(" ", poll.MaxReportBytes-len(most)), false},
		{"longer by 1", "[" + strings.Repeat(" ", poll.MaxReportBytes-1) + "]", true},
		{"not JSON", "hello", true},
		{"not a list", "{}", true},
		{"strategy out of bounds", `[{"plugin":"a","reason":"b","strategy":{"interval":1}}]`, true},
		{"application that forces off", `[{"plugin":"a","reason":"b","strategy":{"switch":"FORCE_OFF"}}]`, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t, nil)
			// The answer is there in any case.
			into[State](t, http.StatusOK, c.do(http.MethodGet, statePath, "", poll.ReportHeader, tc.report))
			metric := c.do(http.MethodGet, metricsPath, "").body
			require.Equal(t, tc.refused, strings.Contains(metric, "l4dump_sidecar_reports_refused_total 1"), metric)
			require.Equal(t, tc.refused, strings.Contains(c.log.String(), "cannot read a plugin's report"))
		})
	}
}

func TestReportsAreBounded(t *testing.T) {
	c := start(t, func(o *Options) { o.limits.retry = time.Hour }) // nothing is said between two reports
	for i := range maxReports {
		c.poll(poll.Report{Plugin: fmt.Sprint("p", i), Reason: "recorded", Strategy: strategy.DefaultStrategy()})
	}
	require.NotContains(t, c.log.String(), "at most")
	c.poll(poll.Report{Plugin: "one more", Reason: "recorded", Strategy: strategy.DefaultStrategy()})
	require.Contains(t, c.log.String(), "at most 256 in all")
	require.Len(t, c.server.reports.fresh(epoch), maxReports)

	known := poll.Report{Plugin: "p7", Reason: "recorded", Strategy: strategy.DefaultStrategy()}
	c.clock.set(epoch.Add(reportPause - 1))
	c.poll(known)
	require.NotContains(t, c.log.String(), "read again", "too soon to say")
	c.do(http.MethodGet, statePath, "", poll.ReportHeader, "hello")
	require.NotContains(t, c.log.String(), "valid JSON", "too soon to say")
	c.clock.set(epoch.Add(reportPause))
	c.poll(known)
	require.Contains(t, c.log.String(), "read again", "a known one has its place")
}

// TestReportsAreReadAgain holds that a change within the pause of its report is said after it, though no plugin polls.
func TestReportsAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := startPiped(t, nil)
		c.do(http.MethodGet, statePath, "", poll.ReportHeader, "hello")
		c.poll()
		synctest.Wait()
		require.Contains(t, c.log.String(), "cannot read a plugin's report")
		time.Sleep(reportPause - c.server.options.limits.retry)
		synctest.Wait()
		require.NotContains(t, c.log.String(), "read again", "too soon to say")
		time.Sleep(2 * c.server.options.limits.retry)
		synctest.Wait()
		require.Contains(t, c.log.String(), "read again")
	})
}

func TestReportLogsCannotBeForged(t *testing.T) {
	c := start(t, nil)
	report := `[{"plugin":"a","strategy":{"switch":"\nlevel=ERROR msg=forged"}}]`
	c.do(http.MethodGet, statePath, "", poll.ReportHeader, report)
	require.NotContains(t, c.log.String(), "\nlevel=ERROR msg=forged")
	require.Contains(t, c.log.String(), "cannot read a plugin's report")
}

func TestETag(t *testing.T) {
	c := start(t, nil)
	first := c.do(http.MethodGet, statePath, "")
	tag := first.header.Get("ETag")
	require.Regexp(t, `^W/"[0-9a-f]{24}"$`, tag)
	again := func(match string) reply { return c.do(http.MethodGet, statePath, "", "If-None-Match", match) }

	c.clock.set(epoch.Add(500 * time.Millisecond)) // the readings get older, nothing else
	for _, match := range []string{tag, strings.TrimPrefix(tag, "W/"), `"x", ` + tag, "*"} {
		r := again(match)
		require.Equal(t, http.StatusNotModified, r.status, match)
		require.Empty(t, r.body)
		require.Equal(t, tag, r.header.Get("ETag"))
	}
	require.Equal(t, http.StatusOK, again(`"x"`).status)
	require.Equal(t, http.StatusOK, c.do(http.MethodGet, statePath, "").status)

	changes := []struct {
		name   string
		change func()
	}{
		{"same usage, read anew", func() { c.meter.set(10, 20, epoch) }},
		{"other usage", func() { c.meter.set(11, 20, epoch) }},
		{"strategy", func() { c.setGlobal(on) }},
		{"the same strategy again", func() { c.setGlobal(on) }},
		{"window closes", func() { c.clock.set(epoch.Add(10 * time.Second)) }},
		{"report", func() {
			c.poll(poll.Report{Plugin: "a", Reason: "recorded", Strategy: strategy.Strategy{
				Switch: strategy.SwitchOn, Interval: 60, Duration: 59, CPUMaxRate: 1, MemMaxRate: 2,
			}})
		}},
	}
	for _, tc := range changes {
		tc.change()
		r := again(tag)
		require.Equal(t, http.StatusOK, r.status, tc.name)
		require.NotEqual(t, tag, r.header.Get("ETag"), tc.name)
		tag = r.header.Get("ETag")
		require.Equal(t, http.StatusNotModified, again(tag).status, tc.name)
	}
}

func TestMetrics(t *testing.T) {
	c := start(t, func(o *Options) { o.StrategyFile = o.Dir + "/none.json" })
	c.setGlobal(on)
	c.poll(poll.Report{Plugin: "a", Reason: "recorded", Strategy: strategy.DefaultStrategy()})
	c.do(http.MethodPost, portraitPath+"RPC?port=1", `{}`)
	c.do(http.MethodPost, portraitPath+"RPC?port=1", `{}`)
	c.do("BREW", statePath, "")
	text := c.do(http.MethodGet, metricsPath, "").body
	for _, line := range []string{
		`l4dump_sidecar_requests_total{code="200",method="GET",path="/v1/state"} 1`,
		`l4dump_sidecar_requests_total{code="200",method="PUT",path="/v1/strategy/global"} 1`,
		`l4dump_sidecar_requests_total{code="405",method="other",path="/v1/state"} 1`,
		`l4dump_sidecar_portraits_total{result="written",type="RPC"} 1`,
		`l4dump_sidecar_portraits_total{result="duplicate",type="RPC"} 1`,
		`l4dump_sidecar_cpu_percent{source="host:/proc/stat"} 10`,
		`l4dump_sidecar_memory_percent{source="host:/proc/meminfo"} 20`,
		`l4dump_sidecar_usage_age_seconds 0.1`,
		`l4dump_sidecar_recording 1`,
		`l4dump_sidecar_strategy_revision 1`,
		`l4dump_sidecar_plugins 1`,
		`l4dump_sidecar_strategy_file_valid 0`,
		`l4dump_sidecar_dump_write_failing 0`,
	} {
		require.Contains(t, text, "\n"+line+"\n")
	}
	c.setGlobal(`{"switch":"FORCE_OFF"}`)
	require.Contains(t, c.do(http.MethodGet, metricsPath, "").body, "\nl4dump_sidecar_off{reason=\"forced_off\"} 1\n")
}

// TestShedding has the sidecar say what a plugin gives up near a limit.
func TestShedding(t *testing.T) {
	active := strategy.Strategy{Switch: strategy.SwitchOn, Interval: 3600, Duration: 3599, CPUMaxRate: 80, MemMaxRate: 70}
	for _, row := range []struct {
		name        string
		cpu, memory float64
		soft        float64
		guard       poll.Guard
		want        int
		why         string
	}{
		{"nothing", 70, 10, 10, poll.GuardSidecar, 0, "a window is open and nothing is in the way"},
		{
			"a part", 71, 10, 10, poll.GuardSidecar, 1,
			"a window is open, but the plugin takes only 80 % of the new connections: CPU at 71.0 % is near its limit of 80 %",
		},
		{
			"all new ones", 74, 66, 10, poll.GuardSidecar, 2,
			"a window is open, but the plugin takes no new connections: memory at 66.0 % is near its limit of 70 %",
		},
		{
			"payload", 79, 10, 10, poll.GuardSidecar, 3,
			"a window is open, but the plugin takes no new connections, and only the first 256 bytes of each read: " +
				"CPU at 79.0 % is near its limit of 80 %",
		},
		{"a plugin that sheds nothing", 79, 10, 0, poll.GuardSidecar, 0, "a window is open and nothing is in the way"},
		{
			"one that another sidecar governs", 79, 10, 10, poll.GuardOther, 0,
			`no plugin that this sidecar governs has polled lately, and the global strategy is not ON; plugin "p" records ` +
				"anyway, since this sidecar does not govern it",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := start(t, nil)
			c.meter.set(row.cpu, row.memory, epoch)
			c.poll(poll.Report{Plugin: "p", Guard: row.guard, Reason: "recorded", Strategy: active, Soft: row.soft})
			status := into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, ""))
			require.Equal(t, row.why, status.Why)
			require.Equal(t, row.want, status.Plugins[0].Shedding)
			require.True(t, status.Plugins[0].Recording)
		})
	}
}

// TestTotals has the status say what the plugins counted, as long as the poll that told it is not stale.
func TestTotals(t *testing.T) {
	const totals = `{"connections":{"seen":90,"kept":2},"bytes":{"seen":7010,"kept":500,"dropped":{"window_closed":6500,"budget_bytes":10}}}`
	c := start(t, nil)
	got := func() *Totals { return into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, "")).Totals }
	require.Nil(t, got(), "no plugin has polled")
	send := func(totals string) {
		c.do(http.MethodGet, statePath, "", poll.ReportHeader, "[]", poll.TotalsHeader, totals)
	}
	send(totals)
	want := &Totals{ConnectionsSeen: 90, ConnectionsKept: 2, BytesSeen: 7010, BytesKept: 500}
	want.BytesDropped[strategy.WindowClosed], want.BytesDropped[strategy.BudgetBytes] = 6500, 10
	require.Equal(t, want, got())
	require.Contains(t, c.do(http.MethodGet, statusPath, "").body, `"totals":`+totals)

	for i, bad := range []string{`{"bytes":{"seen":-1}}`, "{" + strings.Repeat(" ", poll.MaxTotalsBytes-1) + "}"} {
		send(bad)
		require.Equal(t, want, got(), "the last good ones stay")
		require.Contains(t, c.do(http.MethodGet, metricsPath, "").body, fmt.Sprintf("l4dump_sidecar_reports_refused_total %d", i+1))
	}
	c.clock.set(epoch.Add(15 * time.Second))
	require.NotNil(t, got())
	c.clock.set(epoch.Add(15*time.Second + 1))
	require.Nil(t, got())
}

// TestUngoverned has plugins that the sidecar does not govern: what it says of itself is of the others, and what it says
// of them is so.
func TestUngoverned(t *testing.T) {
	active := strategy.Strategy{Switch: strategy.SwitchOn, Interval: 3600, Duration: 3599, CPUMaxRate: 80, MemMaxRate: 70}
	governed := poll.Report{Plugin: "a", Guard: poll.GuardSidecar, Reason: "recorded", Strategy: active}
	unguarded := poll.Report{Plugin: "b", Guard: poll.GuardOff, Reason: "recorded", Strategy: active}
	other := poll.Report{Plugin: "c", Guard: poll.GuardOther, Reason: "cpu", Strategy: active}
	elsewhere := poll.Report{Plugin: "", Guard: poll.GuardOther, Reason: "recorded", Strategy: strategy.DefaultStrategy()}
	for _, row := range []struct {
		name      string
		reports   []poll.Report
		recording bool
		reason    string
		why       string
		reasons   []string
	}{
		{"governed", []poll.Report{governed}, false, "forced_off", "the global strategy is FORCE_OFF", []string{"forced_off"}},
		{
			"one without a guard",
			[]poll.Report{governed, unguarded},
			true, "forced_off",
			`the global strategy is FORCE_OFF; plugin "b" records anyway, since this sidecar does not govern it`,
			[]string{"forced_off", "recorded"},
		},
		{
			"another sidecar's, which is off",
			[]poll.Report{governed, other},
			false, "forced_off",
			"the global strategy is FORCE_OFF",
			[]string{"forced_off", "cpu"},
		},
		{
			"another sidecar's without a name",
			[]poll.Report{elsewhere},
			true, "forced_off",
			`the global strategy is FORCE_OFF; a plugin without a name records anyway, since this sidecar does not govern it`,
			[]string{"recorded"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := start(t, nil)
			c.do(http.MethodPut, globalPath, `{"switch":"FORCE_OFF"}`)
			state := c.poll(row.reports...)
			require.False(t, state.Recording, "what the sidecar itself goes by, for portraits too")
			status := into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, ""))
			require.Equal(t, row.recording, status.Recording)
			require.Equal(t, row.reason, status.Reason)
			require.Equal(t, row.why, status.Why)
			var reasons []string
			for i, p := range status.Plugins {
				require.Equal(t, string(row.reports[i].Guard), p.Guard)
				require.Equal(t, p.Reason == "recorded", p.Recording)
				reasons = append(reasons, p.Reason)
			}
			require.Equal(t, row.reasons, reasons)
		})
	}
}
