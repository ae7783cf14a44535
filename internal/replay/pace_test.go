package replay_test

import (
	"context"
	"io"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	. "l4dump/internal/replay"
)

// pipe returns a target in memory, for the clock of a test, which answers each byte after a time.
func pipe(after time.Duration) Target {
	return Target{Dial: func(context.Context, *playbook.Info) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			b := make([]byte, 1)
			for {
				if _, err := io.ReadFull(server, b); err != nil {
					return
				}
				time.Sleep(after)
				if _, err := server.Write(b); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// paced is a recording of connections that begin a second after each other and have turns after each other for a time; a
// third of each turn is the server's.
func paced(connections int, each, lasting time.Duration) (clients []*playbooktest.Client) {
	for i := range connections {
		c := playbooktest.NewClient(uint64(i + 1))
		begin := playbooktest.Start + int64(i)*int64(time.Second)
		c.Header.Time = begin
		c.Open()
		c.Events[0].Open.Started = begin
		for at := time.Duration(0); at < lasting; at += each {
			c.Header.Time = begin + int64(at)
			c.Data(down, "x")
			c.Header.Time = begin + int64(at+each/3)
			c.Data(up, "x")
		}
		c.Header.Time = begin + int64(lasting)
		clients = append(clients, c.Close("downstream"))
	}
	return clients
}

// TestSpeeds holds when each request is sent to the recorded times, over ten minutes of a simulated clock.
func TestSpeeds(t *testing.T) {
	const connections, lasting = 2, 10 * time.Minute
	book := newBook(t, playbook.Options{}, paced(connections, 1500*time.Millisecond, lasting)...)
	for _, row := range []struct {
		name  string
		pace  Pace
		after time.Duration // that the target takes
	}{
		{"half", Pace{PaceRecorded, 0.5}, 50 * time.Millisecond},
		{"as recorded", Pace{PaceRecorded, 1}, 50 * time.Millisecond},
		{"one and a half", Pace{PaceRecorded, 1.5}, 10 * time.Millisecond},
		{"37 times", Pace{PaceRecorded, 37}, time.Millisecond},
		{"thinking, one and a half", Pace{PaceThink, 1.5}, 20 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := &notes{}
				p := NewPlayer(book, []Target{pipe(row.after)}, Options{Pace: row.pace, Observer: seen})
				require.NoError(t, p.Run(t.Context()))
				stats := p.Stats()
				require.True(t, stats.AtPace())
				require.Zero(t, stats.Late)
				require.Equal(t, book.Totals.Turns, stats.Answered)
				for _, turn := range seen.turns {
					recorded := turn.At - book.Totals.Start
					want := time.Duration(math.Round(float64(recorded) / row.pace.Speed))
					if row.pace.Kind == PaceThink { // the target is not as fast as the recorded server
						think := time.Duration(math.Round(float64(time.Second) / row.pace.Speed))
						require.GreaterOrEqual(t, turn.Sent, time.Duration(turn.Index)*(row.after+think))
						continue
					}
					require.InDelta(t, want, turn.Sent, float64(time.Microsecond), "no error adds up")
					require.Equal(t, turn.Due, turn.Sent)
				}
				whole := float64(lasting+(connections-1)*time.Second) / row.pace.Speed
				if row.pace.Kind == PaceRecorded {
					require.InEpsilon(t, whole, float64(stats.Elapsed), 0.01)
				}
			})
		})
	}
}

// TestWhoIsLate has a target that cannot keep up, a limit, and too little room.
func TestWhoIsLate(t *testing.T) {
	book := newBook(t, playbook.Options{}, paced(10, 150*time.Millisecond, 3*time.Second)...)
	for _, row := range []struct {
		name    string
		options Options
		after   time.Duration
		want    func(l Lateness) bool
	}{
		{"the target", Options{Pace: Pace{PaceRecorded, 1}}, 400 * time.Millisecond, func(l Lateness) bool { return l.Target > 0 && l.Limit == 0 }},
		{"a limit of turns", Options{Pace: Pace{PaceRecorded, 1}, MaxRate: 10}, time.Millisecond, func(l Lateness) bool { return l.Target == 0 && l.Limit > 0 }},
		{"a limit of connections", Options{Pace: Pace{PaceRecorded, 1}, Connections: 1}, time.Millisecond, func(l Lateness) bool { return l.Target == 0 && l.Limit > 0 }},
		{"nobody", Options{Pace: Pace{PaceRecorded, 1}}, time.Millisecond, func(l Lateness) bool { return l == Lateness{} }},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPlayer(book, []Target{pipe(row.after)}, row.options)
				require.NoError(t, p.Run(t.Context()))
				stats := p.Stats()
				require.Zero(t, stats.Late.Player)
				require.True(t, row.want(stats.Late), "%+v", stats.Late)
				require.Equal(t, row.name == "nobody", stats.AtPace())
				require.GreaterOrEqual(t, stats.Response.Max, stats.Service.Max)
				require.Equal(t, book.Totals.Turns, stats.Answered)
			})
		})
	}
}

// TestLimits holds rates, the ramp, copies and the duration to a simulated clock.
func TestLimits(t *testing.T) {
	book := newBook(t, playbook.Options{}, paced(10, 150*time.Millisecond, 3*time.Second)...)
	turns := float64(book.Totals.Turns)
	for _, row := range []struct {
		name    string
		options Options
		turns   float64
		err     error
		elapsed time.Duration
	}{
		{"as fast as it goes", Options{}, turns, nil, 20 * time.Millisecond},
		{"ten turns a second", Options{MaxRate: 10}, turns, nil, time.Duration((turns - 1) / 10 * float64(time.Second))},
		{"one connection at a time", Options{Connections: 1}, turns, nil, 200 * time.Millisecond},
		{"three copies", Options{Copies: 3, Connections: 1}, 3 * turns, nil, 600 * time.Millisecond},
		{"ramp", Options{Ramp: 10 * time.Second, Connections: 10}, turns, nil, 9*time.Second + 20*time.Millisecond},
		{"ramp of the pace", Options{Ramp: 4 * time.Second, Pace: Pace{PaceRecorded, 1}}, turns, nil, 14 * time.Second},
		{"duration", Options{Pace: Pace{PaceRecorded, 1}, Duration: 4500 * time.Millisecond}, turns / 2, ErrDuration, 7 * time.Second},
		{"duration without a drain", Options{Pace: Pace{PaceRecorded, 1}, Duration: 500 * time.Millisecond, Drain: time.Nanosecond}, 4, ErrDuration, 500 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPlayer(book, []Target{pipe(time.Millisecond)}, row.options)
				require.ErrorIs(t, p.Run(t.Context()), row.err)
				require.InDelta(t, row.turns, float64(p.Stats().Answered), 0)
				require.InDelta(t, row.elapsed, p.Stats().Elapsed, float64(2*time.Millisecond))
			})
		})
	}
}

// TestCanceled ends a run while a target does not answer.
func TestCanceled(t *testing.T) {
	book := newBook(t, playbook.Options{}, paced(10, 150*time.Millisecond, 3*time.Second)...)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		seen := &notes{}
		p := NewPlayer(book, []Target{pipe(time.Hour)}, Options{Observer: seen, MinWait: time.Hour, TurnTimeout: time.Hour, Drain: 3 * time.Second})
		time.AfterFunc(time.Second, cancel)
		require.ErrorIs(t, p.Run(ctx), context.Canceled)
		require.Equal(t, 4*time.Second, p.Stats().Elapsed)
		require.Equal(t, map[string]uint64{"stopped": 10}, p.Stats().Ends)
		require.Len(t, seen.turns, 10)
		for _, turn := range seen.turns {
			require.False(t, turn.Answered)
		}
		time.Sleep(time.Hour) // the target ends
	})
}
