package strategy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecide(t *testing.T) {
	application := Strategy{Switch: SwitchOn, Interval: 30, Duration: 10, CPUMaxRate: 80, MemMaxRate: 70}
	off, forced := DefaultStrategy(), DefaultStrategy()
	forced.Switch = SwitchForceOff
	global := Strategy{Switch: SwitchOn, Interval: 60, Duration: 10, CPUMaxRate: 50, MemMaxRate: 50}
	const start = int64(1732320000)
	usable := Inputs{Application: application, Guarded: true, Fresh: true, Now: start * nanosecondsPerSecond}
	for _, row := range []struct {
		name             string
		change           func(in *Inputs)
		applies          Strategy
		open             bool
		begin, continues Reason
	}{
		{"recorded", func(*Inputs) {}, application, true, Recorded, Recorded},
		{"off", func(in *Inputs) { in.Application = off }, off, true, SwitchedOff, SwitchedOff},
		{"off by itself, on by the global one", func(in *Inputs) { in.Application, in.Global = off, &global }, global, true, Recorded, Recorded},
		{"forced off", func(in *Inputs) { in.Global = &forced }, forced, true, ForcedOff, ForcedOff},
		{"after the window", func(in *Inputs) { in.Now += 10 * nanosecondsPerSecond }, application, false, WindowClosed, Recorded},
		{"no reading", func(in *Inputs) { in.Fresh = false }, application, true, UsageUnknown, UsageUnknown},
		{"no reading, and nobody is to give one", func(in *Inputs) { in.Fresh, in.Guarded = false, false }, application, true, Recorded, Recorded},
		{"CPU just under its limit", func(in *Inputs) { in.Usage.CPU = 79.9 }, application, true, Recorded, Recorded},
		{"CPU at its limit", func(in *Inputs) { in.Usage.CPU = 80 }, application, true, CPULimit, CPULimit},
		{"memory at its limit", func(in *Inputs) { in.Usage.Memory = 70 }, application, true, MemoryLimit, MemoryLimit},
		{"at the limits, but nobody guards", func(in *Inputs) { in.Usage, in.Guarded = Usage{100, 100}, false }, application, true, Recorded, Recorded},
		{"the fuse is open", func(in *Inputs) { in.Fuse = MemoryLimit }, application, true, MemoryLimit, MemoryLimit},
		{"the sink takes nothing", func(in *Inputs) { in.Sink = LogLevel }, application, true, LogLevel, LogLevel},
		// The order, with everything after it in the way too.
		{"1 forced off", func(in *Inputs) { *in = inTheWay(*in); in.Application, in.Global = off, &forced }, forced, false, ForcedOff, ForcedOff},
		{"2 off", func(in *Inputs) { *in = inTheWay(*in); in.Application = off }, off, false, SwitchedOff, SwitchedOff},
		{"3 after the window", func(in *Inputs) { *in = inTheWay(*in) }, application, false, WindowClosed, UsageUnknown},
		{"4 no reading", func(in *Inputs) { *in = inTheWay(*in); in.Now = start * nanosecondsPerSecond }, application, true, UsageUnknown, UsageUnknown},
		{"5 CPU", func(in *Inputs) { *in = inTheWay(*in); in.Fresh = true }, application, false, WindowClosed, CPULimit},
		{"6 memory", func(in *Inputs) { *in = inTheWay(*in); in.Fresh, in.Usage.CPU = true, 0 }, application, false, WindowClosed, MemoryLimit},
		{"7 sink", func(in *Inputs) { *in = inTheWay(*in); in.Guarded = false }, application, false, WindowClosed, LogLevel},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := usable
			row.change(&in)
			got := Decide(&in)
			window := Window{Start: start, Interval: row.applies.Interval}
			require.Equal(t, Decision{
				Strategy: row.applies, Window: window, Open: row.open, Begin: row.begin, Continue: row.continues,
			}, got)
			require.Zero(t, testing.AllocsPerRun(10, func() { got = Decide(&in) }))
		})
	}
}

// inTheWay has everything in the way but the switch: the window is closed too.
func inTheWay(in Inputs) Inputs {
	in.Fresh, in.Usage, in.Fuse, in.Sink = false, Usage{100, 100}, CPULimit, LogLevel
	in.Now += 10 * nanosecondsPerSecond
	return in
}

func TestReasonOf(t *testing.T) {
	for r := range Reasons {
		got, ok := ReasonOf(r.String())
		require.True(t, ok)
		require.Equal(t, r, got)
	}
	_, ok := ReasonOf("elsewhere")
	require.False(t, ok)
}

// TestDistance has the reasons of several plugins: what stands for all is the one that is nearest to recording.
func TestDistance(t *testing.T) {
	require.Zero(t, Recorded.Distance())
	for r := Recorded + 2; r < Reasons; r++ {
		require.Less(t, r.Distance(), (r - 1).Distance())
	}
	require.Less(t, Recorded.Distance(), (Reasons - 1).Distance())
}
