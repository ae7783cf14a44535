package strategy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMerge(t *testing.T) {
	application := Strategy{Interval: 30, Duration: 1, CPUMaxRate: 80, MemMaxRate: 70}
	global := Strategy{Interval: 60, Duration: 2, CPUMaxRate: 50, MemMaxRate: 40}
	for _, row := range []struct {
		name        string
		application Switch
		global      Switch // "" is none
		from        string
		reason      Reason
	}{
		{"neither", SwitchOff, "", "application", SwitchedOff},
		{"application on", SwitchOn, "", "application", Recorded},
		{"both off", SwitchOff, SwitchOff, "application", SwitchedOff},
		{"application on, global off", SwitchOn, SwitchOff, "application", Recorded},
		{"application off, global on", SwitchOff, SwitchOn, "global", Recorded},
		{"both on", SwitchOn, SwitchOn, "application", Recorded},
		{"application on, forced off", SwitchOn, SwitchForceOff, "global", ForcedOff},
		{"application off, forced off", SwitchOff, SwitchForceOff, "global", ForcedOff},
	} {
		t.Run(row.name, func(t *testing.T) {
			application.Switch = row.application
			var given *Strategy
			if row.global != "" {
				global.Switch = row.global
				given = &global
			}
			want := map[string]Strategy{"application": application, "global": global}[row.from]

			got, reason := Merge(application, given)
			require.Equal(t, want, got)
			require.Equal(t, row.reason, reason)
		})
	}
}

func TestWindowAt(t *testing.T) {
	s := Strategy{Interval: 30, Duration: 10}
	at := func(second int64) int64 { return second * nanosecondsPerSecond }
	for _, row := range []struct {
		name string
		now  int64
		want Window
		open bool
	}{
		{"the epoch", 0, Window{0, 30}, true},
		{"its first nanosecond", at(1732320000), Window{1732320000, 30}, true},
		{"its last nanosecond", at(1732320010) - 1, Window{1732320000, 30}, true},
		{"its end", at(1732320010), Window{1732320000, 30}, false},
		{"the last nanosecond before the next", at(1732320030) - 1, Window{1732320000, 30}, false},
		{"the next", at(1732320030), Window{1732320030, 30}, true},
		{"before the epoch", -1, Window{0, 30}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			window, open := WindowAt(row.now, s)
			require.Equal(t, row.want, window)
			require.Equal(t, row.open, open)
		})
	}
	t.Run("no interval", func(t *testing.T) {
		_, open := WindowAt(at(5), Strategy{Duration: 1})
		require.False(t, open)
	})
}

func TestWindowUUID(t *testing.T) {
	id := Window{Start: 1732320000, Interval: 3600}.UUID()
	require.Equal(t, "01935651-7800-8e10-ac34-64756d700000", uuid.UUID(id).String())
	require.Equal(t, uuid.Version(8), uuid.UUID(id).Version())
	require.Equal(t, uuid.RFC4122, uuid.UUID(id).Variant())

	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) Window {
			interval := rapid.Int64Range(MinInterval, MaxInterval).Draw(t, label+" interval")
			n := rapid.Int64Range(0, 4e9/interval).Draw(t, label+" number")
			return Window{Start: n * interval, Interval: interval}
		}
		a, b := draw("a"), draw("b")
		x, y := a.UUID(), b.UUID()
		require.Equal(t, a == b, x == y)
		if a.Start < b.Start {
			require.Less(t, string(x[:]), string(y[:]))
		}
	})
}

func TestFuse(t *testing.T) {
	s := Strategy{CPUMaxRate: 80, MemMaxRate: 70}
	c := FuseConfig{Margin: 5, Readings: 3}
	for _, row := range []struct {
		name     string
		readings []Usage
		want     []Reason
	}{
		{"under the limits", []Usage{{79.9, 69.9}}, []Reason{Recorded}},
		{"CPU at its limit", []Usage{{80, 0}}, []Reason{CPULimit}},
		{"memory at its limit", []Usage{{0, 70}}, []Reason{MemoryLimit}},
		{"both", []Usage{{80, 70}}, []Reason{CPULimit}},
		{"closes at the margin", []Usage{{80, 0}, {75, 0}}, []Reason{CPULimit, Recorded}},
		{"stays open just over it", []Usage{{80, 0}, {75.1, 0}}, []Reason{CPULimit, CPULimit}},
		{"closes after the readings", []Usage{{80, 0}, {79, 0}, {79, 0}, {79, 0}}, []Reason{CPULimit, CPULimit, CPULimit, Recorded}},
		{"a bad one starts the count anew", []Usage{{80, 0}, {79, 0}, {79, 0}, {80, 0}, {79, 0}, {79, 0}}, []Reason{CPULimit, CPULimit, CPULimit, CPULimit, CPULimit, CPULimit}},
		{"the margin is for both", []Usage{{80, 0}, {0, 65.1}, {0, 65}}, []Reason{CPULimit, CPULimit, Recorded}},
		{"memory starts the count anew", []Usage{{80, 0}, {79, 0}, {79, 70}, {79, 0}, {79, 0}}, []Reason{CPULimit, CPULimit, MemoryLimit, MemoryLimit, MemoryLimit}},
		{"from one limit to the other", []Usage{{80, 0}, {0, 70}, {0, 65}}, []Reason{CPULimit, MemoryLimit, Recorded}},
		{"opens again", []Usage{{80, 0}, {10, 0}, {80, 0}}, []Reason{CPULimit, Recorded, CPULimit}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var f Fuse
			var got []Reason
			for _, u := range row.readings {
				f.Read(u, s, c)
				got = append(got, f.Reason())
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestTakeBudget(t *testing.T) {
	const now = int64(1e18)
	for _, row := range []struct {
		name             string
		spentUntil, want int64
		granted, next    int64
	}{
		{"never used: the burst is there", 0, BudgetShare, BudgetShare, now - BudgetBurst + BudgetShare},
		{"more than there is", 0, 2 * BudgetBurst, BudgetBurst, now},
		{"all spent", now, BudgetShare, 0, now},
		{"spent ahead", now + 5, BudgetShare, 0, now + 5},
		{"a quarter is left", now - BudgetShare/4, BudgetShare, BudgetShare / 4, now},
		{"less than a quarter is left", now - BudgetShare/4 + 1, BudgetShare, 0, now - BudgetShare/4 + 1},
		{"spent a second ahead", now + maxDebt, BudgetShare, 0, now + maxDebt},
		{"the clock was set back", now + maxDebt + 1, BudgetShare, BudgetShare, now - BudgetBurst + BudgetShare},
	} {
		t.Run(row.name, func(t *testing.T) {
			granted, next := TakeBudget(row.spentUntil, now, row.want)
			require.Equal(t, row.granted, granted)
			require.Equal(t, row.next, next)
		})
	}
}

// TestBudgetHolds has several workers take as much as they can for some seconds of a made clock.
func TestBudgetHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 8).Draw(t, "workers")
		step := rapid.Int64Range(1e4, BudgetShare/4).Draw(t, "step")
		const start, duration = int64(1e18), 5 * nanosecondsPerSecond
		var spentUntil, spent int64
		for now := start; now < start+duration; now += step {
			for range workers {
				var granted int64
				granted, spentUntil = TakeBudget(spentUntil, now, BudgetShare)
				spent += granted
			}
		}
		require.LessOrEqual(t, spent, int64(duration+BudgetBurst))
		require.GreaterOrEqual(t, spent, int64(duration-BudgetShare))
	})
}

func TestLineCost(t *testing.T) {
	for _, row := range []struct {
		name         string
		bytes, lines int64
		n            int
		cost         int64
		credit       int64
		fit          int
	}{
		{"no limit", 0, 0, 100, 0, 0, 100},
		{"bytes", 1000, 0, 100, 1e8, 1e8, 100},
		{"bytes, one too few", 1000, 0, 100, 1e8, 1e8 - 1, 99},
		{"bytes, none in hand", 1000, 0, 100, 1e8, 0, 0},
		{"bytes, in debt", 1000, 0, 100, 1e8, -1, 0},
		{"lines", 0, 10, 100, 1e8, 1e8, 100},
		{"lines, too little for one", 0, 10, 100, 1e8, 1e8 - 1, 0},
		{"a short line costs a line", 1000, 10, 5, 1e8, 1e8, 5},
		{"a short line, too little for one", 1000, 10, 5, 1e8, 1e8 - 1, 0},
		{"a long line costs its bytes", 1000, 1000, 5, 5e6, 4e6, 4},
		{"rounded up", 3, 0, 1, 333333334, 333333333, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := Capture{MaxBytesPerSecond: row.bytes, MaxLinesPerSecond: row.lines}
			require.Equal(t, row.cost, c.LineCost(row.n))
			require.Equal(t, row.fit, c.Fit(row.n, row.credit))
			require.Equal(t, row.bytes != 0 || row.lines != 0, c.Limited())
		})
	}
	require.Equal(t, int64(-5), Indebt(5, 10))
	require.Equal(t, int64(-maxDebt), Indebt(0, maxDebt+1))
}

func TestReasons(t *testing.T) {
	var names, lasting []string
	for r := range Reasons {
		names = append(names, r.String())
		if r.Lasting() {
			lasting = append(lasting, r.String())
		}
	}
	require.Equal(t, []string{
		"recorded", "switch_off", "forced_off", "window_closed", "usage_unknown", "cpu", "memory", "direction",
		"connection_limit", "budget", "log_level", "unreadable",
	}, names)
	require.Equal(t, []string{"switch_off", "forced_off", "window_closed", "usage_unknown", "cpu", "memory", "log_level"}, lasting)
}

func TestMilliseconds(t *testing.T) {
	require.Equal(t, "0ms", Milliseconds(0).String())
	require.Equal(t, "999ms", Milliseconds(999).String())
	require.Equal(t, "1s", Milliseconds(1000).String())
	require.Equal(t, "1001ms", Milliseconds(1001).String())
	require.Equal(t, (1500 * time.Millisecond).Nanoseconds(), Milliseconds(1500).Nanoseconds())
}

func TestParseState(t *testing.T) {
	const figures = `"usage":{"cpu":{"percent":12.5,"age_ms":140,"source":"host"},"memory":{"percent":100,"age_ms":30}}`
	forced := DefaultStrategy()
	forced.Switch = SwitchForceOff
	for _, row := range []struct {
		name, text string
		want       State
		fault      string
	}{
		{"usage", `{"version":1,"more":[{}],` + figures + `,"global":null}`, State{Measured: true, Usage: Usage{12.5, 100}, Age: 140}, ""},
		{"global", `{"version":1,"usage":null,"global":{"switch":"FORCE_OFF"}}`, State{Global: &forced}, ""},
		{"nothing yet", `{"version":1}`, State{}, ""},
		{"no version", `{}`, State{}, "version: want 1"},
		{"another version", `{"version":2}`, State{}, "version: want a whole number from 1 to 1, got 2"},
		{"one figure", `{"version":1,"usage":{"cpu":{"percent":1,"age_ms":1}}}`, State{}, "usage: want cpu and memory, each with percent and age_ms"},
		{"no age", `{"version":1,"usage":{"cpu":{"percent":1},"memory":{"percent":1,"age_ms":1}}}`, State{}, "usage: want cpu and memory, each with percent and age_ms"},
		{"over 100", `{"version":1,"usage":{"cpu":{"percent":100.1,"age_ms":1},"memory":{"percent":1,"age_ms":1}}}`, State{}, "usage.cpu.percent: want a number from 0 to 100, got 100.1"},
		{"under 0", `{"version":1,"usage":{"cpu":{"percent":1,"age_ms":1},"memory":{"percent":-1,"age_ms":1}}}`, State{}, "usage.memory.percent: want a number from 0 to 100, got -1"},
		{"negative age", `{"version":1,"usage":{"cpu":{"percent":1,"age_ms":-1},"memory":{"percent":1,"age_ms":1}}}`, State{}, "usage.cpu.age_ms: want a whole number from 0 to 1099511627776, got -1"},
		{"a bad global", `{"version":1,"global":{"interval":1}}`, State{}, "global.interval: want a whole number from 30 to 3600, got 1"},
		{"another service", `<html>not found</html>`, State{}, "want valid JSON, but at byte 0: an unexpected '<', want a value"},
		{"another service's JSON", `{"status":"UP"}`, State{}, "version: want 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseState([]byte(row.text))
			require.Equal(t, row.want, got)
			if row.fault != "" {
				require.EqualError(t, err, row.fault)
				return
			}
			require.NoError(t, err)
		})
	}
}

func TestReports(t *testing.T) {
	want := []Report{
		{Plugin: "l4dump\n\"é😀", Reason: "recorded", Strategy: Strategy{Switch: SwitchOn, Interval: 60, Duration: 5, CPUMaxRate: 80.25, MemMaxRate: 70}},
		{Plugin: "other", Reason: "switch_off", Strategy: DefaultStrategy()},
	}
	text := AppendReports(nil, want)
	require.True(t, json.Valid(text))
	for _, c := range text {
		require.True(t, ' ' <= c && c <= '~', "%q", text)
	}
	got, err := ParseReports(text)
	require.NoError(t, err)
	require.Equal(t, want, got)

	t.Run("no more than fit", func(t *testing.T) {
		many := make([]Report, 1000)
		for i := range many {
			many[i] = Report{Plugin: strings.Repeat("p", 100), Reason: "r", Strategy: DefaultStrategy()}
		}
		text := AppendReports(nil, many)
		require.LessOrEqual(t, len(text), MaxReportBytes)
		got, err := ParseReports(text)
		require.NoError(t, err)
		require.Equal(t, many[:len(got)], got)
		require.Greater(t, len(text)+len(text)/len(got)+2, MaxReportBytes)
	})
	for _, text := range []string{"", "{}", "[", "[1]", `[{"plugin":1}]`, `[{}`} {
		_, err := ParseReports([]byte(text))
		require.Error(t, err, text)
	}
}
