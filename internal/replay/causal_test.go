package replay_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	. "l4dump/internal/replay"
)

// overlapping is a recording of connections with turns of any length, some at the same time, some after each other.
func overlapping(random *rand.Rand, connections, turns int) (clients []*playbooktest.Client) {
	for i := range connections {
		c := playbooktest.NewClient(uint64(i + 1))
		at := playbooktest.Start + random.Int64N(int64(20*time.Millisecond))
		c.Header.Time = at
		c.Open()
		c.Events[0].Open.Started = at
		for range turns {
			at += random.Int64N(int64(10*time.Millisecond)) + 1
			c.Header.Time = at
			c.Data(down, "x")
			at += random.Int64N(int64(10*time.Millisecond)) + 1
			c.Header.Time = at
			c.Data(up, "x")
		}
		c.Header.Time = at + 1
		clients = append(clients, c.Close("downstream"))
	}
	return clients
}

// TestCausalOrder plays to a target that takes any time for each answer: no turn begins before those have ended that had
// ended before it in the recording.
func TestCausalOrder(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			book := newBook(t, playbook.Options{}, overlapping(random, 8, 12)...)
			synctest.Test(t, func(t *testing.T) {
				seen := &notes{}
				var mu sync.Mutex
				target := Target{Dial: func(context.Context, *playbook.Info) (net.Conn, error) {
					client, server := net.Pipe()
					go func() {
						defer server.Close()
						b := make([]byte, 1)
						for {
							if _, err := io.ReadFull(server, b); err != nil {
								return
							}
							mu.Lock()
							wait := time.Duration(random.Int64N(int64(time.Second)))
							mu.Unlock()
							time.Sleep(wait)
							if _, err := server.Write(b); err != nil {
								return
							}
						}
					}()
					return client, nil
				}}
				p := NewPlayer(book, []Target{target}, Options{Order: OrderCausal, Observer: seen})
				require.NoError(t, p.Run(t.Context()))
				require.Equal(t, book.Totals.Turns, p.Stats().Answered)
				require.Equal(t, [4]uint64{book.Totals.Steps}, p.Stats().Gates)
				held := 0
				for _, before := range seen.turns {
					for _, after := range seen.turns {
						if before.Done < after.At-int64(time.Millisecond) {
							held++
							require.LessOrEqual(t, before.Last, after.Sent)
						}
					}
				}
				require.NotZero(t, held)
			})
		})
	}
}

// TestCausalOrderSurvives has connections that never answer, that cannot be dialed, and limits that allow no order.
func TestCausalOrderSurvives(t *testing.T) {
	book := newBook(t, playbook.Options{}, overlapping(rand.New(rand.NewPCG(1, 2)), 8, 12)...)
	peak := book.Totals.Peak
	synctest.Test(t, func(t *testing.T) {
		dialed := 0
		answering := pipe(time.Millisecond)
		target := Target{Dial: func(ctx context.Context, of *playbook.Info) (net.Conn, error) {
			switch dialed++; dialed {
			case 2:
				return nil, io.ErrUnexpectedEOF
			case 3:
				client, server := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, server) }()
				return client, nil
			}
			return answering.Dial(ctx, of)
		}}
		p := NewPlayer(book, []Target{target}, Options{Order: OrderCausal, OnStall: Abort, Connections: peak})
		require.NoError(t, p.Run(t.Context()))
		require.Equal(t, map[string]uint64{"finished": 6, "dial failed": 1, "stalled": 1}, p.Stats().Ends)
	})
	for name, options := range map[string]Options{
		"too few connections": {Order: OrderCausal, Connections: peak - 1}, "copies": {Order: OrderCausal, Copies: 2},
	} {
		require.ErrorIs(t, NewPlayer(book, nil, options).Run(t.Context()), ErrOrder, name)
	}
}
