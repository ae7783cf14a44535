package replay_test

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	. "l4dump/internal/replay"
)

// TestRateOfPipelined has requests that are sent together count as many turns.
func TestRateOfPipelined(t *testing.T) {
	c := playbooktest.NewClient(1).Open()
	for range 20 {
		c.Data(down, getA+getB+getA+getB+getA).Data(up, okay+okay+okay+okay+okay)
	}
	book := newBook(t, detected, c.Close("downstream"))
	require.Equal(t, uint64(100), book.Totals.Turns)
	synctest.Test(t, func(t *testing.T) {
		target := Target{Dial: func(context.Context, *playbook.Info) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				buf := make([]byte, 1<<12)
				for {
					if _, err := server.Read(buf); err != nil {
						return
					}
					if _, err := server.Write([]byte(okay + okay + okay + okay + okay)); err != nil {
						return
					}
				}
			}()
			return client, nil
		}}
		p := NewPlayer(book, []Target{target}, Options{MaxRate: 10, Protocols: spoken})
		require.NoError(t, p.Run(t.Context()))
		require.Equal(t, uint64(100), p.Stats().Answered)
		require.InDelta(t, 9.5*float64(time.Second), float64(p.Stats().Elapsed), float64(100*time.Millisecond))
	})
}

// TestExhausted has a machine without ports or files: that is no fault of the target.
func TestExhausted(t *testing.T) {
	var clients []*playbooktest.Client
	for i := range 10 {
		clients = append(clients, playbooktest.NewClient(uint64(i+1)).Open().Data(down, "a").Close("downstream"))
	}
	book := newBook(t, playbook.Options{}, clients...)
	for _, cause := range []error{syscall.EADDRNOTAVAIL, syscall.EMFILE} {
		target := Target{Dial: func(context.Context, *playbook.Info) (net.Conn, error) {
			return nil, fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: cause})
		}}
		_, stats, err := play(t, book, Options{}, target)
		require.NoError(t, err)
		require.Equal(t, map[string]uint64{"this machine has no port or file left": 10}, stats.Ends)
		report := NewReport("", book.Plan(), Pace{}, &stats, err)
		require.Equal(t, Inconclusive, report.Outcome)
	}
}
