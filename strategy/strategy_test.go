package strategy

import (
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

			got, reason := Merge(application, given, 1000)
			require.Equal(t, want, got)
			require.Equal(t, row.reason, reason)
		})
	}
}

// TestMergeEnded takes strategies whose time is over, both sides of the bound.
func TestMergeEnded(t *testing.T) {
	const end = 1000
	with := func(s Switch, until Moment) Strategy { return Strategy{Switch: s, Until: until} }
	for _, row := range []struct {
		name        string
		application Strategy
		global      *Strategy
		now         int64
		want        Switch
		reason      Reason
	}{
		{"before its end", with(SwitchOn, end), nil, end - 1, SwitchOn, Recorded},
		{"at its end", with(SwitchOn, end), nil, end, SwitchOff, Ended},
		{"off and over", with(SwitchOff, end), nil, end, SwitchOff, SwitchedOff},
		{"the global one takes over", with(SwitchOn, end), &Strategy{Switch: SwitchOn}, end, SwitchOn, Recorded},
		{"the global one is over", with(SwitchOff, 0), &Strategy{Switch: SwitchOn, Until: end}, end, SwitchOff, Ended},
		{"forced off before its end", with(SwitchOn, 0), &Strategy{Switch: SwitchForceOff, Until: end}, end - 1, SwitchForceOff, ForcedOff},
		{"no longer forced off", with(SwitchOn, 0), &Strategy{Switch: SwitchForceOff, Until: end}, end, SwitchOn, Recorded},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, reason := Merge(row.application, row.global, row.now)
			require.Equal(t, row.want, got.Switch)
			require.Equal(t, row.reason, reason)
		})
	}
}

// TestSpreadWindows looks at every second of many intervals: each has one window of the whole duration, at places that
// differ.
func TestSpreadWindows(t *testing.T) {
	s := Strategy{Interval: 60, Duration: 7, Spread: true}
	const first, intervals = 1_732_320_000, 2000
	places := map[int64]int{}
	next := int64(0)
	for n := range int64(intervals) {
		var starts []int64
		opened := 0
		for second := range s.Interval {
			now := first + n*s.Interval + second
			window, open := WindowAt(now*nanosecondsPerSecond, s)
			require.LessOrEqual(t, window.Start, now)
			if !open {
				continue
			}
			opened++
			if len(starts) == 0 || starts[len(starts)-1] != window.Start {
				starts = append(starts, window.Start)
			}
		}
		require.Len(t, starts, 1)
		if n > 0 {
			require.Equal(t, next, starts[0])
		}
		next = s.Next(Window{Start: starts[0], Interval: s.Interval})
		require.EqualValues(t, s.Duration, opened, "seconds in which the window is open")
		place := starts[0] - first - n*s.Interval
		require.GreaterOrEqual(t, place, int64(0))
		require.LessOrEqual(t, place, s.Interval-s.Duration)
		places[place]++
	}
	require.Len(t, places, int(s.Interval-s.Duration+1), "each place is taken")
	for place, n := range places {
		require.Less(t, n, 3*intervals/len(places), "place %d", place)
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

func TestWindowOf(t *testing.T) {
	for _, w := range []Window{{1732320000, 3600}, {0, 1}, {1<<38 - 1, 4095}} {
		got, ok := WindowOf(w.UUID())
		require.Equal(t, []any{w, true}, []any{got, ok})
	}
	id := Window{1732320000, 30}.UUID()
	for i := range id {
		if i == 7 || i < 6 {
			continue // which are any number
		}
		other := id
		other[i] ^= 0x10
		_, ok := WindowOf(other)
		require.False(t, ok, i)
	}
	_, ok := WindowOf([16]byte{})
	require.False(t, ok)
	_, ok = WindowOf(Window{1732320000, 0}.UUID())
	require.False(t, ok)
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

func TestReasons(t *testing.T) {
	var names, lasting []string
	for r := range Reasons {
		names = append(names, r.String())
		if r.Lasting() {
			lasting = append(lasting, r.String())
		}
	}
	require.Equal(t, []string{
		"recorded", "forced_off", "switch_off", "ended", "window_closed", "usage_unknown", "cpu", "memory", "log_level", "not_selected", "sampled_out", "direction",
		"connection_limit", "budget", "budget_bytes", "budget_lines", "max_connections", "max_connections_per_window", "window_bytes", "connection_time", "unreadable", "queue", "sink",
	}, names)
	require.Equal(t, []string{"forced_off", "switch_off", "ended", "window_closed", "usage_unknown", "cpu", "memory", "log_level"}, lasting)
}

// TestKeys has each limit name its keys, which a configuration may have.
func TestKeys(t *testing.T) {
	keys := map[Reason]string{}
	for r := range Reasons {
		if key := r.Key(); key != "" {
			keys[r] = key
		}
	}
	require.Equal(t, map[Reason]string{
		CPULimit: "strategy.cpu_max_rate", MemoryLimit: "strategy.mem_max_rate",
		ConnectionLimit: "capture.max_bytes_per_connection",
		BudgetBytes:     "capture.max_bytes_per_second", BudgetLines: "capture.max_lines_per_second",
		OverBudget:  "capture.max_bytes_per_second, capture.max_lines_per_second",
		Connections: "capture.max_connections", WindowConnections: "capture.max_connections_per_window",
		WindowBytes: "capture.max_bytes_per_window", ConnectionTime: "capture.max_connection_time",
	}, keys)
	for _, names := range keys {
		for path := range strings.SplitSeq(names, ", ") {
			object, name, _ := strings.Cut(path, ".")
			value := map[string]string{"strategy": "50", "capture": "50000"}[object]
			if path == ConnectionTime.Key() {
				value = `"50s"`
			}
			_, err := Parse([]byte(`{"` + object + `":{"` + name + `":` + value + `}}`))
			require.NoError(t, err)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	require.Equal(t, "0ms", Milliseconds(0).String())
	require.Equal(t, "999ms", Milliseconds(999).String())
	require.Equal(t, "1s", Milliseconds(1000).String())
	require.Equal(t, "1001ms", Milliseconds(1001).String())
	require.Equal(t, (1500 * time.Millisecond).Nanoseconds(), Milliseconds(1500).Nanoseconds())
}
