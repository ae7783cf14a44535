package poll

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

func TestParseState(t *testing.T) {
	const figures = `"usage":{"cpu":{"percent":12.5,"age_ms":140,"source":"host"},"memory":{"percent":100,"age_ms":30}}`
	forced := strategy.DefaultStrategy()
	forced.Switch = strategy.SwitchForceOff
	for _, row := range []struct {
		name, text string
		want       State
		fault      string
	}{
		{"usage", `{"version":1,"more":[{}],` + figures + `,"global":null}`, State{Measured: true, Usage: strategy.Usage{CPU: 12.5, Memory: 100}, Age: 140}, ""},
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
		{Plugin: "l4dump\n\"é😀", Guard: GuardSidecar, Reason: "recorded", Strategy: strategy.Strategy{Switch: strategy.SwitchOn, Interval: 60, Duration: 5, CPUMaxRate: 80.25, MemMaxRate: 70}, Soft: 7.5},
		{Plugin: "other", Guard: GuardOff, Reason: "switch_off", Strategy: strategy.DefaultStrategy()},
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
			many[i] = Report{Plugin: strings.Repeat("p", 100), Guard: GuardSidecar, Reason: "r", Strategy: strategy.DefaultStrategy()}
		}
		text := AppendReports(nil, many)
		require.LessOrEqual(t, len(text), MaxReportBytes)
		got, err := ParseReports(text)
		require.NoError(t, err)
		require.Equal(t, many[:len(got)], got)
		require.Greater(t, len(text)+len(text)/len(got)+2, MaxReportBytes)
	})
	t.Run("a name longer than a report", func(t *testing.T) {
		long := Report{Plugin: strings.Repeat("n", MaxReportBytes), Guard: GuardOff, Reason: "recorded", Strategy: strategy.DefaultStrategy()}
		got, err := ParseReports(AppendReports(nil, []Report{long, want[0]}))
		require.NoError(t, err)
		long.Plugin = long.Plugin[:strategy.MaxNameBytes]
		require.Equal(t, []Report{long, want[0]}, got)
	})
	t.Run("names", func(t *testing.T) {
		const most = strategy.MaxNameBytes
		for _, row := range []struct{ name, plugin, want string }{
			{"none", "", ""},
			{"at the limit", strings.Repeat("n", most), strings.Repeat("n", most)},
			{"over it by 1", strings.Repeat("n", most+1), strings.Repeat("n", most)},
			{"of whole characters", strings.Repeat("n", most-1) + "é", strings.Repeat("n", most-1)},
			{"not UTF-8", strings.Repeat("\x80", most), strings.Repeat("\ufffd", most/3)},
		} {
			t.Run(row.name, func(t *testing.T) {
				report := Report{Plugin: row.plugin, Guard: GuardOther, Reason: "recorded", Strategy: strategy.DefaultStrategy()}
				got, err := ParseReports(AppendReports(nil, []Report{report}))
				require.NoError(t, err)
				report.Plugin = row.want
				require.Equal(t, []Report{report}, got)
			})
		}
	})
}

// TestBadReports has a bad report among good ones: the others are read.
func TestBadReports(t *testing.T) {
	const good = `{"plugin":"p","reason":"recorded"}`
	want := Report{Plugin: "p", Guard: GuardSidecar, Reason: "recorded", Strategy: strategy.DefaultStrategy()}
	for _, row := range []struct {
		name, text string
		good       int
		fault      string
	}{
		{"nothing", "", 0, "want valid JSON, but at byte 0: it ends too early, want a value"},
		{"an object", "{}", 0, "want a list, got an object"},
		{"cut", "[" + good + `,{`, 1, "want valid JSON, but at byte 37: it ends too early, want '\"'"},
		{"no object", "[1," + good + "]", 1, "[0]: want an object, got 1"},
		{"a number as a name", `[` + good + `,{"plugin":1,"reason":"x"},` + good + `]`, 2, "[1].plugin: want a string, got 1"},
		{"shedding out of bounds", `[{"reason":"x","soft":50.1},` + good + `]`, 1, "[0].soft: want a number from 0 to 50, got 50.1"},
		{"no reason", `[{"plugin":"p"}]`, 0, "[0].reason: want a word"},
		{"a guard of another version", `[{"guard":"cat","reason":"x"},` + good + `]`, 1, `[0].guard: want "sidecar", "other" or "off", got "cat"`},
		{"a bad strategy", `[{"reason":"x","strategy":{"interval":1}},` + good + `]`, 1, "[0].strategy.interval: want a whole number from 30 to 3600, got 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseReports([]byte(row.text))
			require.EqualError(t, err, row.fault)
			require.Len(t, got, row.good)
			for _, each := range got {
				require.Equal(t, want, each)
			}
		})
	}
}
