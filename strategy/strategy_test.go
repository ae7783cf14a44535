package strategy

import (
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

func TestReasons(t *testing.T) {
	var names, lasting []string
	for r := range Reasons {
		names = append(names, r.String())
		if r.Lasting() {
			lasting = append(lasting, r.String())
		}
	}
	require.Equal(t, []string{
		"recorded", "forced_off", "switch_off", "window_closed", "usage_unknown", "cpu", "memory", "log_level", "direction",
		"connection_limit", "budget", "unreadable", "queue", "sink",
	}, names)
	require.Equal(t, []string{"forced_off", "switch_off", "window_closed", "usage_unknown", "cpu", "memory", "log_level"}, lasting)
}

func TestMilliseconds(t *testing.T) {
	require.Equal(t, "0ms", Milliseconds(0).String())
	require.Equal(t, "999ms", Milliseconds(999).String())
	require.Equal(t, "1s", Milliseconds(1000).String())
	require.Equal(t, "1001ms", Milliseconds(1001).String())
	require.Equal(t, (1500 * time.Millisecond).Nanoseconds(), Milliseconds(1500).Nanoseconds())
}
