package verdict_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	. "l4dump/internal/verdict"
	"l4dump/internal/verdict/difference"
	"l4dump/internal/verdict/noise"
)

// told by hand: what a player may tell a Transcript of a connection.
type events struct {
	t      *testing.T
	script *playbook.Script
	turns  []playbook.Turn
	to     replay.Transcript
}

func observe(t *testing.T, c *Collector, book *playbook.Playbook) *events {
	t.Helper()
	script, err := book.Script(0)
	require.NoError(t, err)
	e := &events{t: t, script: script, to: c.Begin(&replay.Connection{Script: script})}
	for turns := script.Turns(); uint64(len(e.turns)) < script.Info.Turns; {
		turn, err := turns.Next()
		require.NoError(t, err)
		e.turns = append(e.turns, turn)
	}
	return e
}

// turn tells what a target answered; without an answer it did not.
func (e *events) turn(target, index int, answer string, change ...func(*replay.Turn)) {
	turn := &replay.Turn{
		Turn: e.turns[index], Index: index, Target: target, Answered: answer != "",
		Answer: replay.Answer{Bytes: []byte(answer), Length: uint64(len(answer))},
	}
	for _, c := range change {
		c(turn)
	}
	e.to.Turn(turn)
}

func (e *events) end(target int, how replay.How) {
	e.to.End(&replay.End{Target: target, How: how, By: "downstream", Reason: "a reason"})
}

// TestEnds has each way in which connections end, with and without a baseline: the numbers add up, and what the target
// alone does is found.
func TestEnds(t *testing.T) {
	two := conversation(1, "a\n", "alpha\n", "b\n", "beta\n")
	early := told{"", difference.EarlyEnd, "", 1, 1}
	silent := told{"", difference.NoAnswer, "", 1, 1}
	ending := told{"", difference.Ending, "", 1, 1}
	uncertain := func(turn *replay.Turn) { turn.Uncertain = true }
	for _, row := range []struct {
		name     string
		baseline bool
		play     func(*events)
		counts   Counts
		want     []told
	}{
		{
			"finished", false, func(e *events) { e.turn(0, 0, "alpha\n"); e.turn(0, 1, "beta\n"); e.end(0, replay.Finished) },
			Counts{Selected: 2, Equal: 2},
			nil,
		},
		{"not reached", false, func(e *events) { e.end(0, replay.DialFailed) }, Counts{Selected: 2, NotReplayed: 2}, nil},
		{"stopped before", false, func(e *events) { e.end(0, replay.Stopped) }, Counts{Selected: 2, NotReplayed: 2}, nil},
		{
			"stopped while it waits", false, func(e *events) { e.turn(0, 0, ""); e.end(0, replay.Stopped) },
			Counts{Selected: 2, NotCompared: 1, NotReplayed: 1},
			nil,
		},
		{
			"an unreadable script", false, func(e *events) { e.turn(0, 0, ""); e.end(0, replay.Faulty) },
			Counts{Selected: 2, NotCompared: 1, NotReplayed: 1},
			nil,
		},
		{
			"stalled", false, func(e *events) { e.turn(0, 0, ""); e.end(0, replay.Stalled) },
			Counts{Selected: 2, Different: 1, NotReplayed: 1},
			[]told{silent},
		},
		{
			"stalled, though all was answered", false, func(e *events) { e.turn(0, 0, "alpha\n"); e.end(0, replay.Stalled) },
			Counts{Selected: 2, Equal: 1, NotReplayed: 1},
			[]told{ending},
		},
		{
			"ended early", false, func(e *events) { e.turn(0, 0, "alpha\n"); e.end(0, replay.EndedEarly) },
			Counts{Selected: 2, Equal: 1, NotReplayed: 1},
			[]told{early},
		},
		{
			"not written", false, func(e *events) { e.turn(0, 0, "alpha\n"); e.end(0, replay.WriteFailed) },
			Counts{Selected: 2, Equal: 1, NotReplayed: 1},
			[]told{early},
		},
		{
			"put aside until the end", false, func(e *events) {
				e.turn(0, 0, "alphabe", uncertain)
				e.turn(0, 1, "ta\n", uncertain)
				e.end(0, replay.Finished)
			},
			Counts{Selected: 2, Different: 1, Dependent: 1},
			[]told{{"", difference.Value, "bytes", 1, 1}},
		},
		{
			"both finished, one after the other", true, func(e *events) {
				e.turn(1, 0, "alpha\n")
				e.turn(1, 1, "beta\n")
				e.end(1, replay.Finished)
				e.turn(0, 0, "alpha\n")
				e.turn(0, 1, "beta\n")
				e.end(0, replay.Finished)
			}, Counts{Selected: 2, Equal: 2}, nil,
		},
		{
			"both ended early, the target before", true, func(e *events) {
				e.turn(0, 0, "alpha\n")
				e.turn(0, 1, "beta\n")
				e.turn(1, 0, "alpha\n")
				e.end(1, replay.EndedEarly)
				e.end(0, replay.EndedEarly)
			},
			Counts{Selected: 2, Equal: 1, NotReplayed: 1},
			[]told{early},
		},
		{
			"both ended early, in another way", true, func(e *events) {
				e.turn(0, 0, "alpha\n")
				e.turn(1, 0, "alpha\n")
				e.end(0, replay.EndedEarly)
				e.end(1, replay.WriteFailed)
			}, Counts{Selected: 2, Equal: 1, NotReplayed: 1}, nil,
		},
		{
			"both stalled, the target before", true, func(e *events) {
				e.turn(0, 0, "alpha\n")
				e.turn(0, 1, "beta\n")
				e.turn(1, 0, "alpha\n")
				e.end(0, replay.Stalled)
				e.end(1, replay.Stalled)
			},
			Counts{Selected: 2, Equal: 1, NotReplayed: 1},
			[]told{ending},
		},
		{
			"the baseline ended early", true, func(e *events) {
				e.turn(0, 0, "alpha\n")
				e.end(0, replay.EndedEarly)
				e.turn(1, 0, "alpha\n")
				e.turn(1, 1, "beta\n")
				e.end(1, replay.Finished)
			}, Counts{Selected: 2, Equal: 1, NotCompared: 1}, nil,
		},
		{
			"the baseline was not reached", true, func(e *events) {
				e.end(0, replay.DialFailed)
				e.turn(1, 0, "alpha\n")
				e.turn(1, 1, "beta\n")
				e.end(1, replay.Finished)
			}, Counts{Selected: 2, NotCompared: 2}, nil,
		},
		{
			"the baseline did not answer", true, func(e *events) {
				e.turn(0, 0, "")
				e.turn(1, 0, "alpha\n")
				e.end(0, replay.Stalled)
				e.end(1, replay.Finished)
			}, Counts{Selected: 2, NotCompared: 1, NotReplayed: 1}, nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, nil, two)
			c := NewCollector(Options{Baseline: row.baseline, Protocol: lines{}.byName})
			row.play(observe(t, c, book))
			r := c.Results()
			require.Equal(t, row.counts, r.Turns)
			require.Equal(t, row.want, findings(r))
			require.Equal(t, uint64(1), r.Connections)
		})
	}
}

// TestNotReplayedInTheirClass has what was not sent counted where it belongs.
func TestNotReplayedInTheirClass(t *testing.T) {
	book := compile(t, []protocol.Protocol{lines{}}, conversation(1, "get\n", "a\n", "set\n", "b\n", "set\n", "c\n", "get\n", "d\n"))
	c := NewCollector(Options{Protocol: lines{}.byName})
	e := observe(t, c, book)
	e.turn(0, 1, "b\n")
	e.end(0, replay.Stopped)
	counts := map[string]Counts{}
	for _, class := range c.Results().Classes {
		counts[class.Class] = class.Counts
	}
	require.Equal(t, map[string]Counts{
		"get": {Selected: 2, NotReplayed: 2}, "set": {Selected: 2, Equal: 1, NotReplayed: 1},
	}, counts)
}

// TestNoiseHidesNothing has a length that is noise, and then a difference that does not follow from it.
func TestNoiseHidesNothing(t *testing.T) {
	book := compile(t, nil, conversation(1, "a\n", "alpha\n", "b\n", "beta\n", "c\n", "gamma\n"))
	c := NewCollector(Options{Protocol: lines{}.byName, Noise: noise.NewSet(noise.Rule{Path: "bytes", Length: []int{8, 8}, Reason: "test"})})
	e := observe(t, c, book)
	e.turn(0, 0, "alphabe\n")
	e.turn(0, 1, "better\n")
	e.turn(0, 2, "gamme\n")
	e.end(0, replay.Finished)
	r := c.Results()
	require.Equal(t, Counts{Selected: 3, Masked: 1, Different: 1, Dependent: 1}, r.Turns)
	require.Equal(t, []told{{"", difference.Value, "bytes", 1, 1}}, findings(r))
}

// TestLongAfterUncertain has a long answer after others that wait: they come first.
func TestLongAfterUncertain(t *testing.T) {
	book := compile(t, nil, conversation(1, "a\n", "alpha\n", "b\n", "beta\n"))
	c := NewCollector(Options{Baseline: true, Protocol: lines{}.byName})
	e := observe(t, c, book)
	long := func(hash uint64, length uint64) func(*replay.Turn) {
		return func(turn *replay.Turn) { turn.Answer.Blocks, turn.Answer.Length = []uint64{hash}, length }
	}
	uncertain := func(turn *replay.Turn) { turn.Uncertain = true }
	e.turn(0, 0, "alpha\n")
	e.turn(1, 0, "alphabet\n", uncertain)
	e.turn(0, 1, "b", long(1, 9<<20))
	e.turn(1, 1, "b", long(2, 10<<20))
	e.end(0, replay.Finished)
	e.end(1, replay.Finished)
	r := c.Results()
	require.Equal(t, Counts{Selected: 2, Different: 1, Dependent: 1}, r.Turns)
	require.Equal(t, 0, r.Findings[0].Examples[0].Turn)
}

// TestWaiting bounds the memory of answers that wait for the other target's: raw ones are compared by their hashes, and
// of others nothing is said unless they are equal.
func TestWaiting(t *testing.T) {
	for _, row := range []struct {
		name      string
		protocols []protocol.Protocol
		came      string
		waiting   int64
		counts    Counts
	}{
		{"equal", []protocol.Protocol{lines{}}, "id=1\n", 4, Counts{Selected: 1, Equal: 1}},
		{"different, and not known in what", []protocol.Protocol{lines{}}, "id=2\n", 4, Counts{Selected: 1, NotCompared: 1}},
		{"different, just in memory", []protocol.Protocol{lines{}}, "id=2\n", 5, Counts{Selected: 1, Different: 1}},
		{"other bytes", nil, "id=2\n", 4, Counts{Selected: 1, Different: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, row.protocols, conversation(1, "get\n", "id=1\n"))
			c := NewCollector(Options{Baseline: true, Protocol: lines{}.byName, Waiting: row.waiting})
			for range 2 { // what was compared waits no more
				e := observe(t, c, book)
				e.turn(0, 0, "id=1\n")
				e.turn(1, 0, row.came)
				e.end(0, replay.Finished)
				e.end(1, replay.Finished)
			}
			got := c.Results().Turns
			require.Equal(t, row.counts, Counts{got.Selected / 2, got.Equal / 2, 0, got.Different / 2, 0, got.NotCompared / 2, 0})
		})
	}
}

// TestManyUncertain joins as many turns as a pipelining client may send: a second, not an hour.
func TestManyUncertain(t *testing.T) {
	book := compile(t, nil, conversation(1, "a\n", strings.Repeat("x", 64)))
	c := NewCollector(Options{Baseline: true, Protocol: lines{}.byName})
	e := observe(t, c, book)
	answer := strings.Repeat("x", 64)
	const n = 100_000
	for i := range n {
		for target := range 2 {
			e.turn(target, 0, answer, func(turn *replay.Turn) { turn.Uncertain, turn.Index = true, i })
		}
	}
	e.end(0, replay.Finished)
	e.end(1, replay.Finished)
	require.Equal(t, Counts{Selected: n, Equal: n}, c.Results().Turns)
}

// TestAlike has turns that fail at both services.
func TestAlike(t *testing.T) {
	failed := func(turn *replay.Turn) { turn.Failed = true }
	for _, row := range []struct {
		name           string
		recorded       string
		baseline, came []func(*replay.Turn)
		want           uint64
	}{
		{"at both", "a=1\n", []func(*replay.Turn){failed}, []func(*replay.Turn){failed}, 1},
		{"at one", "a=1\n", nil, []func(*replay.Turn){failed}, 0},
		{"at both, as recorded", "-ERR\n", []func(*replay.Turn){failed}, []func(*replay.Turn){failed}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, []protocol.Protocol{lines{}}, conversation(1, "get\n", row.recorded))
			c := NewCollector(Options{Baseline: true, Protocol: lines{}.byName})
			e := observe(t, c, book)
			e.turn(0, 0, "-ERR\n", row.baseline...)
			e.turn(1, 0, "-ERR\n", row.came...)
			e.end(0, replay.Finished)
			e.end(1, replay.Finished)
			require.Equal(t, row.want, c.Results().Alike)
		})
	}
}

// TestManyClasses has more classes than are told apart: what is found in them has turns and connections to be counted in.
func TestManyClasses(t *testing.T) {
	client := playbooktest.NewClient(1).Open()
	const n = 1002
	for i := range n {
		client.Data(down, fmt.Sprintf("get%d\n", i)).Data(up, "a=1\n")
	}
	book := compile(t, []protocol.Protocol{lines{}}, client.Close("downstream"))
	c := NewCollector(Options{Protocol: lines{}.byName})
	e := observe(t, c, book)
	for i := range n {
		e.turn(0, i, "a=2\n")
	}
	e.end(0, replay.Finished)
	r := c.Results()
	require.Len(t, r.Classes, 1001)
	require.Len(t, r.Findings, 1001)
	require.Equal(t, OtherClasses, r.Findings[0].Class)
	require.Equal(t, []uint64{2, 1}, []uint64{r.Findings[0].Turns, r.Findings[0].Connections})
	for _, class := range r.Classes {
		require.Equal(t, uint64(1), class.Connections, class.Class)
	}
}

// TestManyPaths has more places than are told apart: they stay in their class.
func TestManyPaths(t *testing.T) {
	client := playbooktest.NewClient(1).Open()
	const n = 101
	for range n {
		client.Data(down, "get\n").Data(up, "a=1\n")
	}
	book := compile(t, []protocol.Protocol{lines{}}, client.Close("downstream"))
	c := NewCollector(Options{Protocol: lines{}.byName})
	e := observe(t, c, book)
	for i := range n {
		answer := []string{"a=1"}
		for j := range 100 {
			answer = append(answer, letters(i)+"x"+letters(j)+"=1")
		}
		e.turn(0, i, strings.Join(answer, " ")+"\n")
	}
	e.end(0, replay.Finished)
	r := c.Results()
	require.Len(t, r.Findings, 10_001)
	require.Equal(t, told{"get", difference.Added, OtherPaths, 1, 1}, findings(&Results{Findings: last(r.Findings, OtherPaths)})[0])
}

// letters are the digits of n as letters: a key with digits may be a value, which no path has.
func letters(n int) string {
	return strings.Map(func(digit rune) rune { return digit - '0' + 'a' }, strconv.Itoa(n))
}

// last are the findings of a path.
func last(all []Finding, path string) (found []Finding) {
	for _, f := range all {
		if f.Path == path {
			found = append(found, f)
		}
	}
	return found
}
