package sidecar

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/poll"
	"l4dump/strategy"
)

func TestWarnings(t *testing.T) {
	const disbelief = `plugin "p" does not believe a measurement that is fresh here: if this lasts, its stale_after is too short, ` +
		"want at least 2s and its poll_interval together"
	tests := []struct {
		name       string
		sample     time.Duration
		staleAfter time.Duration
		note       string
		unmeasured bool // nothing yet
		failure    string
		age        time.Duration // of the measurement
		reason     strategy.Reason
		want       []string
	}{
		{name: "fine", sample: time.Second, staleAfter: 5 * time.Second, reason: strategy.Recorded, want: []string{}},
		{name: "just enough", sample: time.Second, staleAfter: 2 * time.Second, reason: strategy.Recorded, want: []string{}},
		{
			name: "too short", sample: time.Second, staleAfter: 2*time.Second - 1, reason: strategy.Recorded,
			want: []string{"stale-after is 1.999999999s, so that recording flaps: want at least 2s, twice sample-interval"},
		},
		{name: "interval not known", staleAfter: time.Millisecond, reason: strategy.UsageUnknown, want: []string{}},
		{
			name: "part is missing", sample: time.Second, staleAfter: 5 * time.Second, note: "no node", reason: strategy.Recorded,
			want: []string{"usage is measured in part: no node"},
		},
		{name: "nothing yet", sample: time.Second, staleAfter: 5 * time.Second, unmeasured: true, reason: strategy.UsageUnknown, want: []string{}},
		{
			name: "nothing ever", sample: time.Second, staleAfter: 5 * time.Second, unmeasured: true, failure: "no node",
			reason: strategy.UsageUnknown, want: []string{"usage cannot be measured: no node"},
		},
		{
			name: "nothing any more", sample: time.Second, staleAfter: 5 * time.Second, note: "no cgroup", failure: "no node",
			reason: strategy.Recorded, want: []string{"usage cannot be measured: no node"},
		},
		{
			name: "a plugin that believes nothing", sample: time.Second, staleAfter: 5 * time.Second, age: 5 * time.Second,
			reason: strategy.UsageUnknown, want: []string{disbelief},
		},
		{
			name: "a plugin that is right", sample: time.Second, staleAfter: 5 * time.Second, age: 5*time.Second + 1,
			reason: strategy.UsageUnknown, want: []string{},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, func(o *Options) { o.SampleInterval, o.UsageStaleAfter = tt.sample, tt.staleAfter })
			c.meter.set(10, 20, epoch.Add(-tt.age))
			c.meter.note, c.meter.failure, c.meter.ok = tt.note, tt.failure, !tt.unmeasured
			c.poll(poll.Report{Plugin: "p", Reason: tt.reason.String(), Strategy: strategy.DefaultStrategy()})
			require.Equal(t, tt.want, c.server.warnings(c.server.view()))
		})
	}
}
