package replay_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	. "l4dump/internal/replay"
)

// quick has what never comes fail soon.
var quick = Options{MinWait: 200 * time.Millisecond, TurnTimeout: 200 * time.Millisecond}

func TestRaw(t *testing.T) {
	twoTurns := func() *playbooktest.Client {
		return playbooktest.NewClient(1).Open().Data(down, "a?").Data(up, "alpha").Data(down, "b?").Data(up, "beta").Close("downstream")
	}
	for _, row := range []struct {
		name    string
		client  *playbooktest.Client
		options Options
		serve   func(conn *net.TCPConn)
		want    []string
	}{
		{"same", twoTurns(), quick, answers("a?", "alpha", "b?", "beta"), []string{
			`0: turn 0 "alpha"`, `0: turn 1 "beta"`, `0: finished after 3 steps, by downstream`,
		}},
		{"other bytes", twoTurns(), quick, answers("a?", "ALPHA", "b?", "BETA"), []string{
			`0: turn 0 "ALPHA"`, `0: turn 1 "BETA"`, `0: finished after 3 steps, by downstream`,
		}},
		{"longer", twoTurns(), quick, answers("a?", "alphabet", "b?", "beta"), []string{
			`0: turn 0 "alphabet" uncertain`, `0: turn 1 "beta"`, `0: finished after 3 steps, by downstream, diverged`,
		}},
		{"shorter", twoTurns(), quick, answers("a?", "alp", "b?", "beta"), []string{
			`0: turn 0 "alp" not answered`, `0: turn 1 "beta" forced`, `0: finished after 3 steps, by downstream, diverged`,
		}},
		{"the last one longer", twoTurns(), quick, answers("a?", "alpha", "b?", "betas"), []string{
			`0: turn 0 "alpha"`, `0: turn 1 "betas"`, `0: finished after 3 steps, by downstream, diverged`,
		}},
		{"no answer", twoTurns(), quick, answers(), []string{
			`0: turn 0 "" not answered`, `0: turn 1 "" not answered forced`, `0: finished after 3 steps, by downstream, diverged`,
		}},
		{"no answer, given up", twoTurns(), Options{MinWait: quick.MinWait, TurnTimeout: quick.TurnTimeout, OnStall: Abort}, answers(), []string{
			`0: turn 0 "" not answered`, `0: stalled after 1 steps, by downstream, diverged`,
		}},
		{"the target ends", twoTurns(), quick, func(conn *net.TCPConn) {
			_, _ = io.ReadFull(conn, make([]byte, 2))
			_, _ = conn.Write([]byte("alp"))
		}, []string{`0: turn 0 "alp" not answered`, `0: ended early by the target after 1 steps, by upstream, diverged`}},
		{"the target resets", twoTurns(), quick, func(conn *net.TCPConn) {
			_, _ = io.ReadFull(conn, make([]byte, 2))
			_ = conn.SetLinger(0)
		}, []string{`0: turn 0 "" not answered`, `0: ended early by the target after 1 steps, by upstream, diverged, reset`}},
		{
			"server first",
			playbooktest.NewClient(1).Open().Data(up, "hello").Data(down, "hi").Data(up, "you").Close("downstream"), quick,
			func(conn *net.TCPConn) {
				_, _ = conn.Write([]byte("hello"))
				answers("hi", "you")(conn)
			},
			[]string{`0: turn 0 "hello"`, `0: turn 1 "you"`, `0: finished after 2 steps, by downstream`},
		},
		{
			"server was first and is silent",
			playbooktest.NewClient(1).Open().Data(up, "hello").Data(down, "hi").Data(up, "you").Close("downstream"), quick,
			answers("hi", "you"),
			[]string{`0: turn 0 "" not answered`, `0: turn 1 "you" forced`, `0: finished after 2 steps, by downstream, diverged`},
		},
		{
			"no answer is recorded",
			playbooktest.NewClient(1).Open().Data(down, "a").Data(down, "b").End(down).End(up).Close("downstream"), quick,
			func(conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) },
			[]string{`0: turn 0 ""`, `0: finished after 3 steps, by upstream`},
		},
		{
			"half-close and answer",
			playbooktest.NewClient(1).Open().Data(down, "sum").End(down).Data(up, "3").End(up).Close("upstream"), quick,
			func(conn *net.TCPConn) {
				all, _ := io.ReadAll(conn)
				_, _ = conn.Write([]byte{'0' + byte(len(all))})
			},
			[]string{`0: turn 0 "3"`, `0: finished after 3 steps, by upstream`},
		},
		{
			"closed by the server, with another length",
			playbooktest.NewClient(1).Open().Data(down, "get").Data(up, "all").End(up).Close("upstream"), quick,
			func(conn *net.TCPConn) {
				_, _ = io.ReadFull(conn, make([]byte, 3))
				_, _ = conn.Write([]byte("it"))
			},
			[]string{`0: turn 0 "it"`, `0: finished after 2 steps, by upstream, diverged`},
		},
		{
			"closed by the server, which stays open",
			playbooktest.NewClient(1).Open().Data(down, "get").Data(up, "all").End(up).Close("upstream"), quick,
			answers("get", "all"),
			[]string{`0: turn 0 "all"`, `0: finished after 2 steps, by downstream, diverged`},
		},
		{
			"what was answered early stays in its place",
			playbooktest.NewClient(1).Open().Data(down, "ab").Data(down, "c").Data(up, "A").Data(down, "d").Data(up, "BCD").Close("downstream"), quick,
			func(conn *net.TCPConn) {
				_, _ = io.ReadFull(conn, make([]byte, 3))
				_, _ = conn.Write([]byte("AB"))
				answers("d", "CD")(conn)
			},
			[]string{`0: turn 0 "A" uncertain`, `0: turn 1 "BCD" uncertain`, `0: finished after 3 steps, by downstream`},
		},
		{
			"nothing but a connection",
			playbooktest.NewClient(1).Open().Close("downstream"), quick, answers(),
			[]string{`0: finished after 1 steps, by downstream`},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := newBook(t, playbook.Options{}, row.client)
			seen, stats, err := play(t, book, row.options, serve(t, row.serve))
			require.NoError(t, err)
			require.Equal(t, row.want, seen.lines)
			require.Equal(t, uint64(1), stats.Connections)
			require.Zero(t, stats.Playing)
			require.Equal(t, uint64(len(seen.turns)), stats.Turns)
		})
	}
}
