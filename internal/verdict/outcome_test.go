package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	good := func(change func(*Results)) *Results {
		r := &Results{
			Connections: 100, Played: 100, Turns: Counts{Selected: 1000, Equal: 1000},
			Classes: []Class{{Protocol: "http1", Class: "GET /", Counts: Counts{Selected: 1000, Equal: 1000}, Bytes: 10_000}},
		}
		if change != nil {
			change(r)
		}
		return r
	}
	const ms = time.Millisecond
	for _, row := range []struct {
		name   string
		r      *Results
		faults []string
		want   Judgment
	}{
		{"all is equal", good(nil), nil, Judgment{Outcome: Same}},
		{"nothing was compared", &Results{}, nil, Judgment{Inconclusive, []string{"nothing was compared"}}},
		{"just enough", good(func(r *Results) { r.Turns.Equal, r.Turns.NotReplayed = 950, 50 }), nil, Judgment{Outcome: Same}},
		{
			"just too little", good(func(r *Results) { r.Turns.Equal, r.Turns.NotCompared = 949, 51 }), nil,
			Judgment{Inconclusive, []string{"949 of 1000 turns were compared, want 95 %"}},
		},
		{"a difference, though too little was compared", good(func(r *Results) {
			r.Turns = Counts{Selected: 1000, Equal: 9, Different: 1, NotReplayed: 990}
			r.Findings = make([]Finding, 1)
		}), nil, Judgment{Changed, []string{"1 of 1000 turns differ; differences of one kind and place: 1", "10 of 1000 turns were compared, want 95 %"}}},
		{
			"a connection that ends otherwise", good(func(r *Results) { r.Findings = make([]Finding, 1) }), nil,
			Judgment{Changed, []string{"0 of 1000 turns differ; differences of one kind and place: 1"}},
		},
		{
			"no target", &Results{Connections: 3, Unreached: 3, Turns: Counts{Selected: 9, NotReplayed: 9}}, nil,
			Judgment{Failed, []string{"the target could not be reached", "0 of 9 turns were compared, want 95 %"}},
		},
		{"few forced gates", good(func(r *Results) { r.Forced = 10 }), nil, Judgment{Outcome: Same}},
		{
			"forced gates", good(func(r *Results) { r.Forced = 11 }), nil,
			Judgment{Inconclusive, []string{"turns that were sent before the target had answered what the recorded client had waited for: 11"}},
		},
		{
			"some connections could not be made", good(func(r *Results) { r.Unreached = 1 }), nil,
			Judgment{Inconclusive, []string{"1 of 100 connections could not be made"}},
		},
		{
			"a turn could not be read", good(func(r *Results) { r.Unread = 1 }), nil,
			Judgment{Inconclusive, []string{"the playbook could not be read: 1 turns, 0 connections"}},
		},
		{
			"a script could not be read", good(func(r *Results) { r.Hows = map[string]uint64{"playbook unreadable": 1} }), nil,
			Judgment{Inconclusive, []string{"the playbook could not be read: 0 turns, 1 connections"}},
		},
		{
			"the target ended the run", good(func(r *Results) { r.Failure = "too many failed" }), nil,
			Judgment{Failed, []string{"too many failed"}},
		},
		{"few fail at both", good(func(r *Results) { r.Alike = 50 }), nil, Judgment{Outcome: Same}},
		{
			"many fail at both", good(func(r *Results) { r.Alike = 51 }), nil,
			Judgment{Inconclusive, []string{"turns that fail at the baseline and at the target, and did not when they were recorded: 51; do both have the recording's state?"}},
		},
		{"few raw answers", good(func(r *Results) { r.Raw = 5 }), nil, Judgment{Outcome: Same}},
		{
			"raw answers", good(func(r *Results) { r.Raw = 6 }), nil,
			Judgment{Inconclusive, []string{"the answers of 6 of 100 connections were not the protocol's"}},
		},
		{"some noise", good(func(r *Results) { r.Classes[0].MaskedBytes = 2000 }), nil, Judgment{Outcome: Same}},
		{
			"much noise", good(func(r *Results) { r.Classes[0].MaskedBytes = 2001 }), nil,
			Judgment{Inconclusive, []string{"GET /: 2001 of 10000 bytes of the answers are noise"}},
		},
		{
			"whole answers", good(func(r *Results) { r.Classes[0].WholeMasked, r.Classes[0].MaskedBytes = 1, 10 }), nil,
			Judgment{Inconclusive, []string{"GET /: 1 answers are noise as a whole"}},
		},
		{"a faulty recording", good(nil), []string{"the recording has 3 faults"}, Judgment{Inconclusive, []string{"the recording has 3 faults"}}},
		{"slower", good(func(r *Results) {
			r.Latencies = []Latency{{Class: "GET /", P50: [2]time.Duration{10 * ms, 20 * ms}, Shift: 10 * ms, Least: 9 * ms}}
		}), nil, Judgment{Slower, []string{"GET / is slower: the median is 20ms instead of 10ms, at least 9ms more"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, row.r.Judge(DefaultLimits(), row.faults))
		})
	}
}

func TestCodes(t *testing.T) {
	codes := map[string]int{}
	for o := Same; o <= Inconclusive; o++ {
		codes[o.String()] = o.Code()
	}
	require.Equal(t, map[string]int{"same": 0, "changed": 1, "slower": 1, "failed": 1, "inconclusive": 3}, codes)
}

func TestSlower(t *testing.T) {
	const ms = time.Millisecond
	l := Latency{P50: [2]time.Duration{10 * ms, 13 * ms}, Shift: 3 * ms, Least: 2*ms + 1}
	require.True(t, l.Slower(0.2, 0))
	require.True(t, l.Slower(0.2, ms-1))
	require.False(t, l.Slower(0.2, ms), "the baseline differs as much from itself")
	l.Least = 2 * ms
	require.False(t, l.Slower(0.2, 0))
}

// TestLatency has a target that takes as long as the baseline, and one that takes half as long again.
func TestLatency(t *testing.T) {
	times := func(n int, each func(int) time.Duration) (s sample) {
		for i := range n {
			s.add(each(i))
		}
		return s
	}
	base := func(i int) time.Duration { return time.Duration(1000+i*7919%1000) * time.Microsecond }
	late := func(i int) time.Duration { return base(i) * 3 / 2 }
	same := Class{times: [2]sample{times(300, base), times(300, base)}}
	l, ok := same.latency()
	require.True(t, ok)
	require.Equal(t, [2]uint64{300, 300}, l.N)
	require.Zero(t, l.Shift)
	require.Less(t, l.Least, time.Duration(0))
	require.NotZero(t, l.P90[0])
	require.Zero(t, l.P99[0], "too few")
	require.False(t, l.Slower(0.2, 0))

	slower := Class{times: [2]sample{times(2500, base), times(2500, late)}}
	l, ok = slower.latency()
	require.True(t, ok)
	require.Equal(t, [2]uint64{2500, 2500}, l.N, "all count, though not all are kept")
	require.Len(t, slower.times[0].times, maxSamples)
	require.NotZero(t, l.P99[1])
	require.InDelta(t, 0.75, l.Shift.Seconds()*1000, 0.1, "milliseconds")
	require.True(t, l.Slower(0.2, 0))

	for n, want := range map[int]bool{minP50 - 1: false, minP50: true} {
		few := Class{times: [2]sample{times(n, base), times(300, base)}}
		_, ok = few.latency()
		require.Equal(t, want, ok)
	}
}

// TestLeastOf has a class that is slower once, one that is slower twice, and one that is gone.
func TestLeastOf(t *testing.T) {
	r := &Results{Latencies: []Latency{{Class: "a", Shift: 9, Least: 8}, {Class: "b", Shift: 9, Least: 8}, {Class: "c", Shift: 9, Least: 8}}}
	r.leastOf(&Results{Latencies: []Latency{{Class: "b", Shift: 10, Least: 7}, {Class: "a", Shift: 1, Least: -1}}})
	require.Equal(t, []Latency{{Class: "a", Shift: 1, Least: -1}, {Class: "b", Shift: 9, Least: 7}, {Class: "c"}}, r.Latencies)
}
