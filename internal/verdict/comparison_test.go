package verdict_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	. "l4dump/internal/verdict"
	"l4dump/internal/verdict/difference"
)

// played counts the passes and the connections of each.
type played struct{ passes []string }

func (p *played) play(book *playbook.Playbook) func(context.Context, *Pass) error {
	return func(ctx context.Context, pass *Pass) error {
		player := replay.NewPlayer(book, pass.Targets, replay.Options{
			Observer: pass.Observer, Protocols: []protocol.Protocol{lines{}}, Connections: 8, Only: pass.Only,
		})
		err := player.Run(ctx)
		p.passes = append(p.passes, fmt.Sprintf("%s: %d to %d", pass.Name, player.Stats().Connections, len(pass.Targets)))
		return err
	}
}

// drawing is a service whose answers have a number that is drawn anew, and besides it what each says.
func drawing(t *testing.T, say func(line string) string) replay.Target {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		for in := bufio.NewScanner(conn); in.Scan(); {
			answer := fmt.Sprintf("id=%d name=abcdefghijklmnopqrstuvwxyz %s\n", 100+rand.IntN(900), say(in.Text()))
			if _, err := conn.Write([]byte(answer)); err != nil {
				return
			}
		}
	})
}

func many(n int) (clients []*playbooktest.Client) {
	for i := range n {
		clients = append(clients, conversation(uint64(i+1), fmt.Sprintf("get %d\n", i), "id=17 name=abcdefghijklmnopqrstuvwxyz ok\n"))
	}
	return clients
}

func TestComparison(t *testing.T) {
	ok := func(string) string { return "ok" }
	var one, draws atomic.Int64
	for _, row := range []struct {
		name    string
		target  func(line string) string
		outcome Outcome
		found   []told
		seen    int
		passes  []string
	}{
		{
			"the same but for what is drawn", ok, Same, nil, 0,
			[]string{"learn: 40 to 2", "check: 40 to 2", "compare: 40 to 2"},
		},
		{
			"another value in one connection of forty", func(line string) string {
				if line == "get 7" {
					return "no"
				}
				return "ok"
			}, Changed,
			[]told{{"get", difference.Added, "value:$.no", 1, 1}, {"get", difference.Removed, "value:$.ok", 1, 1}},
			2,
			[]string{"learn: 40 to 2", "check: 40 to 2", "compare: 40 to 2", "confirm 1: 1 to 2", "confirm 2: 1 to 2"},
		},
		{
			"a difference that does not come again", func(string) string {
				if one.Add(1) == 10 {
					return "no"
				}
				return "ok"
			}, Inconclusive,
			[]told{{"get", difference.Added, "value:$.no", 1, 1}, {"get", difference.Removed, "value:$.ok", 1, 1}},
			0,
			[]string{"learn: 40 to 2", "check: 40 to 2", "compare: 40 to 2", "confirm 1: 1 to 2", "confirm 2: 1 to 2"},
		},
		{
			"one that often comes", func(string) string {
				if n := draws.Add(1); n <= 40 && n%2 == 0 {
					return "no"
				}
				return "ok"
			}, Changed,
			[]told{{"get", difference.Added, "value:$.no", 20, 20}, {"get", difference.Removed, "value:$.ok", 20, 20}},
			0,
			[]string{"learn: 40 to 2", "check: 40 to 2", "compare: 40 to 2", "confirm 1: 3 to 2", "confirm 2: 3 to 2"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			baseline := drawing(t, ok)
			book := compile(t, []protocol.Protocol{lines{}}, many(40)...)
			var p played
			c := Comparison{Target: drawing(t, row.target), Baseline: &baseline, Protocol: lines{}.byName, Confirm: 2, Play: p.play(book)}
			found, err := c.Run(t.Context())
			require.NoError(t, err)
			require.Equal(t, row.passes, p.passes)
			require.Equal(t, row.found, findings(found.Results))
			judgment, _ := found.Judge(DefaultLimits(), nil)
			require.Equal(t, row.outcome, judgment.Outcome, "%v", judgment.Reasons)
			for _, f := range found.Findings {
				require.Equal(t, 2, f.Reruns)
				require.Equal(t, row.seen, f.Seen)
			}
			require.Len(t, found.Learned, 1)
			require.Equal(t, "value:$.id", found.Learned[0].Path)
			require.Empty(t, found.Alarms)
		})
	}
}

// TestAlarm has a baseline that differs from itself in a way that is not learned, as it begins after the first pass.
func TestAlarm(t *testing.T) {
	var asked [40]atomic.Int64
	baseline := drawing(t, func(line string) string {
		of, err := strconv.Atoi(strings.TrimPrefix(line, "get "))
		if err != nil {
			return line
		}
		return fmt.Sprintf("times=%d", max(2, asked[of].Add(1))) // twice in each pass
	})
	book := compile(t, []protocol.Protocol{lines{}}, many(40)...)
	var p played
	c := Comparison{Target: baseline, Baseline: &baseline, Protocol: lines{}.byName, Play: p.play(book)}
	found, err := c.Run(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, found.Alarms)
	judgment, _ := found.Judge(DefaultLimits(), nil)
	require.Equal(t, Inconclusive, judgment.Outcome, "the target is no worse than the baseline")
	require.Contains(t, strings.Join(judgment.Reasons, "\n"), "the baseline differs from itself")
}

// TestTwin has a service that counts what it is asked. Asked twice it differs from itself; its twin does not differ from it.
func TestTwin(t *testing.T) {
	counting := func() *replay.Target {
		var n atomic.Int64
		at := serve(t, func(conn net.Conn) {
			for in := bufio.NewScanner(conn); in.Scan(); {
				if _, err := fmt.Fprintf(conn, "count=%d\n", 100+n.Add(1)); err != nil {
					return
				}
			}
		})
		return &at
	}
	book := compile(t, []protocol.Protocol{lines{}}, conversation(1, "get 1\n", "count=1\n"))
	for _, row := range []struct {
		name    string
		twin    *replay.Target
		learned int
		want    Counts
	}{
		{"none", nil, 1, Counts{Selected: 1, Masked: 1}},
		{"one", counting(), 0, Counts{Selected: 1, Different: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var p played
			c := Comparison{Target: *counting(), Baseline: counting(), Twin: row.twin, Protocol: lines{}.byName, Play: p.play(book)}
			found, err := c.Run(t.Context())
			require.NoError(t, err)
			require.Len(t, found.Learned, row.learned)
			require.Equal(t, row.want, found.Turns, "the target has not counted what was learned from")
			require.Empty(t, found.Alarms)
		})
	}
}

func TestFrozen(t *testing.T) {
	baseline := drawing(t, func(string) string { return "ok" })
	book := compile(t, []protocol.Protocol{lines{}}, many(4)...)
	var p played
	c := Comparison{Target: baseline, Baseline: &baseline, Frozen: true, Protocol: lines{}.byName, Play: p.play(book)}
	found, err := c.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"compare: 4 to 2"}, p.passes)
	require.Empty(t, found.Learned)
	require.Equal(t, uint64(4), found.Turns.Different)
}

func TestRecordingAndReset(t *testing.T) {
	book := compile(t, []protocol.Protocol{lines{}}, conversation(1, "get\n", "a=1\n"))
	var p played
	var resets []string
	c := Comparison{
		Target: service(t, "get", "a=2\n"), Protocol: lines{}.byName, Confirm: 1, Play: p.play(book),
		Reset: func(_ context.Context, pass string) error { resets = append(resets, pass); return nil },
	}
	found, err := c.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"compare: 1 to 1", "confirm 1: 1 to 1"}, p.passes)
	require.Equal(t, []string{"compare", "confirm 1"}, resets)
	require.Equal(t, 1, found.Findings[0].Seen)

	c.Reset = func(_ context.Context, pass string) error {
		if pass == "confirm 1" {
			return errors.New("no snapshot")
		}
		return nil
	}
	found, err = c.Run(t.Context())
	require.NoError(t, err, "what was found is told")
	require.EqualError(t, found.Unconfirmed, `reset before the pass "confirm 1": no snapshot`)
	judgment, _ := found.Judge(DefaultLimits(), nil)
	require.Equal(t, Judgment{Changed, []string{
		"1 of 1 turns differ; differences of one kind and place: 1",
		`not all differences were looked for again: reset before the pass "confirm 1": no snapshot`,
	}}, judgment)

	c.Reset = nil
	c.Play = func(context.Context, *Pass) error { return errors.New("no playbook") }
	_, err = c.Run(t.Context())
	require.EqualError(t, err, "compare: no playbook")
}

// TestWritesAreNotLearned has a baseline that counts: asked twice, it answers otherwise, which says nothing of it. A twin
// has a state of its own.
func TestWritesAreNotLearned(t *testing.T) {
	counting := func() replay.Target {
		var n atomic.Int64
		return serve(t, func(conn net.Conn) {
			for in := bufio.NewScanner(conn); in.Scan(); {
				if _, err := fmt.Fprintf(conn, "count=%d\n", n.Add(1)); err != nil {
					return
				}
			}
		})
	}
	book := compile(t, []protocol.Protocol{lines{}}, conversation(1, "incr\n", "count=1\n", "incr\n", "count=2\n"))
	for _, row := range []struct {
		name    string
		twin    bool
		writes  bool
		learned int
	}{
		{"taken for a read", false, false, 1},
		{"a write", false, true, 0},
		{"a write, with a twin", true, true, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			baseline, twin := counting(), counting()
			var p played
			c := Comparison{
				Target: twin, Baseline: &baseline, Protocol: lines{}.byName, Play: p.play(book),
				Writes: func(_, class string) bool { return row.writes && class == "incr" },
			}
			if row.twin {
				c.Twin = &twin
			}
			found, err := c.Run(t.Context())
			require.NoError(t, err)
			require.Len(t, found.Learned, row.learned)
			require.Empty(t, found.Alarms)
		})
	}
}
