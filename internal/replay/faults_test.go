package replay_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	. "l4dump/internal/replay"
)

// TestBothWrite has a target that reads nothing before it has written more than sockets hold, as the client does.
func TestBothWrite(t *testing.T) {
	const size = 32 << 20
	bytes := strings.Repeat("x", size)
	c := playbooktest.NewClient(1).Open().Data(down, bytes).Data(up, bytes).Close("downstream")
	target := serve(t, func(conn *net.TCPConn) {
		if _, err := io.WriteString(conn, bytes); err == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	seen, stats, err := play(t, newBook(t, playbook.Options{}, c), Options{}, target)
	require.NoError(t, err)
	require.Equal(t, []uint64{size, size}, []uint64{stats.Sent, stats.Received})
	require.Len(t, seen.turns, 1)
	require.Equal(t, uint64(size), seen.turns[0].Answer.Length)
	require.Len(t, seen.turns[0].Answer.Blocks, size/BlockBytes)
	require.Len(t, seen.turns[0].Answer.Bytes, BlockBytes)
	require.True(t, seen.turns[0].Answered)
}

// TestTargetTakesNothing has a target that neither reads nor writes.
func TestTargetTakesNothing(t *testing.T) {
	c := playbooktest.NewClient(1).Open().Data(down, strings.Repeat("x", 64<<20)).Data(up, "done").Close("downstream")
	end := make(chan struct{})
	target := serve(t, func(*net.TCPConn) { <-end })
	t.Cleanup(func() { close(end) })
	seen, _, err := play(t, newBook(t, playbook.Options{}, c), quick, target)
	require.NoError(t, err)
	require.Equal(t, []string{`0: turn 0 "" not answered`, `0: write failed after 0 steps, by downstream`}, seen.lines)
	require.Contains(t, seen.ends[0].Reason, "timeout")
}

// TestTwoTargets has one that answers differently and one that ends early; each has its transcript.
func TestTwoTargets(t *testing.T) {
	c := playbooktest.NewClient(1).Open().Data(down, "a?").Data(up, "alpha").Data(down, "b?").Data(up, "beta").Close("downstream")
	once := func(conn *net.TCPConn) {
		_, _ = io.ReadFull(conn, make([]byte, 2))
		_, _ = conn.Write([]byte("alpha"))
	}
	seen, stats, err := play(t, newBook(t, playbook.Options{}, c), quick, serve(t, answers("a?", "alpha", "b?", "beta")), serve(t, once))
	require.NoError(t, err)
	require.Equal(t, []string{
		`0: turn 0 "alpha"`, `0: turn 1 "beta"`, `0: finished after 3 steps, by downstream`,
		`1: turn 0 "alpha"`, `1: turn 1 "" not answered`, `1: ended early by the target after 2 steps, by upstream`,
	}, strings.Split(strings.ReplaceAll(strings.Join(seen.sorted(), "\n"), ", diverged", ""), "\n"))
	require.Equal(t, map[string]uint64{"finished": 1, "ended early by the target": 1}, stats.Ends)
}

// TestUnreachable has the run stop if nothing can be dialed.
func TestUnreachable(t *testing.T) {
	var clients []*playbooktest.Client
	for i := range 20 {
		clients = append(clients, playbooktest.NewClient(uint64(i+1)).Open().Data(down, "a").Close("downstream"))
	}
	refused := errors.New("connection refused")
	target := Target{Dial: func(context.Context, *playbook.Info) (net.Conn, error) { return nil, refused }}
	_, stats, err := play(t, newBook(t, playbook.Options{}, clients...), Options{Connections: 1}, target)
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorIs(t, err, refused)
	require.LessOrEqual(t, stats.Connections, uint64(6))
	require.Equal(t, map[string]uint64{"dial failed": stats.Connections}, stats.Ends)

	_, stats, err = play(t, newBook(t, playbook.Options{}, clients...), Options{MaxDialFailures: -1}, target)
	require.NoError(t, err)
	require.Equal(t, uint64(20), stats.Connections)
}

// TestManyConnections plays connections that are all open at a time.
func TestManyConnections(t *testing.T) {
	const n = 500
	var clients []*playbooktest.Client
	for i := range n {
		clients = append(clients, playbooktest.NewClient(uint64(i+1)).Open().Data(down, "a?").Data(up, "alpha").Data(down, "b?").Data(up, "beta").Close("downstream"))
	}
	open := make(chan struct{}, n)
	all := make(chan struct{})
	target := serve(t, func(conn *net.TCPConn) {
		open <- struct{}{}
		if len(open) == n {
			close(all)
		}
		<-all
		answers("a?", "alpha", "b?", "beta")(conn)
	})
	seen := &notes{}
	p := NewPlayer(newBook(t, playbook.Options{}, clients...), []Target{target}, Options{Connections: n, MinWait: 30 * time.Second, Observer: seen})
	watched := make(chan struct{})
	go func() { // as a progress bar does
		defer close(watched)
		for p.Stats().Answered < 2*n {
			time.Sleep(time.Millisecond)
		}
	}()
	require.NoError(t, p.Run(t.Context()))
	<-watched
	stats := p.Stats()
	require.Equal(t, uint64(2*n), stats.Answered)
	require.Equal(t, map[string]uint64{"finished": n}, stats.Ends)
	require.Len(t, seen.turns, 2*n)
	require.Equal(t, [4]uint64{3 * n}, stats.Gates)
}
