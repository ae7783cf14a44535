package inspect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
)

// event returns a data event.
func event(d capture.Direction, offset uint64, payload string) *capture.Event {
	return &capture.Event{Kind: capture.KindData, Direction: d, Offset: offset, Payload: []byte(payload)}
}

func TestTranscript(t *testing.T) {
	const down, up = capture.Downstream, capture.Upstream
	for _, row := range []struct {
		name      string
		events    []*capture.Event
		want      []turn
		truncated bool
	}{
		{"nothing", nil, nil, false},
		{"empty payload", []*capture.Event{event(down, 0, "")}, nil, false},
		{"one turn of two records", []*capture.Event{event(down, 0, "ab"), event(down, 2, "c")}, []turn{{down, 0, 0, []byte("abc")}}, false},
		{"a gap", []*capture.Event{event(down, 0, "ab"), event(down, 3, "c")}, []turn{{down, 0, 0, []byte("ab")}, {down, 3, 0, []byte("c")}}, false},
		{
			"in turn",
			[]*capture.Event{event(down, 0, "ab"), event(up, 0, "x"), event(down, 2, "c")},
			[]turn{{down, 0, 0, []byte("ab")}, {up, 0, 0, []byte("x")}, {down, 2, 0, []byte("c")}},
			false,
		},
		{"as much as fits", []*capture.Event{event(down, 0, strings.Repeat("a", 192))}, []turn{{down, 0, 0, []byte(strings.Repeat("a", 192))}}, false},
		{"more by 1", []*capture.Event{event(down, 0, strings.Repeat("a", 193))}, []turn{{down, 0, 0, []byte(strings.Repeat("a", 192))}}, true},
		{"nothing after what did not fit", []*capture.Event{event(down, 0, strings.Repeat("a", 193)), event(down, 193, "b")}, []turn{{down, 0, 0, []byte(strings.Repeat("a", 192))}}, true},
		{
			"no room for another turn",
			[]*capture.Event{event(down, 0, strings.Repeat("a", 128)), event(up, 0, "b")},
			[]turn{{down, 0, 0, []byte(strings.Repeat("a", 128))}},
			true,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			all := newTranscripts()
			all.each = 192 + turnCost
			one := all.begin()
			for _, e := range row.events {
				all.add(one, e)
			}
			require.Equal(t, row.want, one.turns)
			require.Equal(t, row.truncated, one.truncated)
			require.Equal(t, all.cost, one.cost)
		})
	}
}

// TestTranscriptsShare holds that many conversations take no more room than few, and that none takes it from the others.
func TestTranscriptsShare(t *testing.T) {
	all := newTranscripts()
	text := strings.Repeat("x", 2000)
	for range maxTranscripts {
		one := all.begin()
		for i := range 10 {
			all.add(one, event(capture.Direction(i%2), uint64(i/2*len(text)), text))
		}
		require.LessOrEqual(t, all.cost, maxTranscriptCost)
	}
	require.Nil(t, all.begin())
	require.Equal(t, uint64(1), all.leftOut)
	require.Equal(t, minCostEach, all.each)
	sum, some := 0, 0
	for _, one := range all.list {
		cost := 0
		for _, turn := range one.turns {
			cost += turnCost + len(turn.bytes)
			require.LessOrEqual(t, cap(turn.bytes), 4*minCostEach)
		}
		require.Equal(t, one.cost, cost)
		require.LessOrEqual(t, cost, minCostEach)
		require.True(t, one.truncated)
		if sum += cost; cost == minCostEach {
			some++
		}
	}
	require.Equal(t, all.cost, sum)
	require.Equal(t, maxTranscripts, some)
}

func TestTranscriptFaults(t *testing.T) {
	one := &transcript{}
	for range maxFaultTexts + 2 {
		one.fault(&capture.Fault{Kind: capture.FaultNoClose})
	}
	require.Len(t, one.faults, maxFaultTexts)
	require.Equal(t, uint64(2), one.more)
}
