package replay_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/catalog"
	. "l4dump/internal/replay"
)

// redis starts a Redis and returns a target; the test is skipped if there is none.
func redis(t *testing.T) Target {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	socket := filepath.Join(t.TempDir(), "redis")
	server := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no")
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		require.NoError(t, server.Process.Signal(os.Interrupt))
		_ = server.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	return Target{Dial: func(ctx context.Context, _ *playbook.Info) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
}

// recordedConn is a connection to a service that makes a recording of what passes. All share a clock, on which events are
// 5 ms apart: what happens sooner after something counts as concurrent with it.
type recordedConn struct {
	net.Conn
	now *int64
	c   *playbooktest.Client
}

func dialRecorded(t *testing.T, target Target, now *int64, number uint64) *recordedConn {
	t.Helper()
	conn, err := target.Dial(t.Context(), nil)
	require.NoError(t, err)
	r := &recordedConn{conn, now, playbooktest.NewClient(number)}
	r.tick()
	r.c.Open()
	r.c.Events[0].Open.Started = r.c.Events[0].Time
	return r
}

func (r *recordedConn) tick() {
	*r.now += int64(5 * time.Millisecond)
	r.c.Header.Time = *r.now
}

func (r *recordedConn) note(d capture.Direction, bytes string) {
	r.tick()
	r.c.Data(d, bytes)
}

// say sends commands, a line each, and reads until all of what is wanted came.
func (r *recordedConn) say(t *testing.T, commands, want string) {
	t.Helper()
	if commands != "" {
		r.note(down, commands)
		_, err := io.WriteString(r.Conn, commands)
		require.NoError(t, err)
	}
	var got strings.Builder
	buf := make([]byte, 1<<16)
	for got.Len() < len(want) {
		n, err := r.Read(buf)
		require.NoError(t, err)
		got.Write(buf[:n])
		r.note(up, string(buf[:n]))
	}
	require.Equal(t, want, got.String())
}

func (r *recordedConn) end(t *testing.T) *playbooktest.Client {
	require.NoError(t, r.Close())
	r.tick()
	return r.c.Close("downstream")
}

// TestRedis records conversations with a real Redis and plays them to an empty one, with and without the protocol.
func TestRedis(t *testing.T) {
	recorded := redis(t)
	now := playbooktest.Start
	a, b, c := dialRecorded(t, recorded, &now, 1), dialRecorded(t, recorded, &now, 2), dialRecorded(t, recorded, &now, 3)
	a.say(t, "SET k 1\r\n", "+OK\r\n")
	a.say(t, "INCR k\r\nINCR k\r\nGET none\r\n", ":2\r\n:3\r\n$-1\r\n")
	a.say(t, "MULTI\r\nINCR k\r\nGET k\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:4\r\n$1\r\n4\r\n")
	b.say(t, "SUBSCRIBE news\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
	a.say(t, "PUBLISH news hello\r\n", ":1\r\n")
	b.say(t, "", "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n")
	c.note(down, "BLPOP list 0\r\n")
	_, err := io.WriteString(c.Conn, "BLPOP list 0\r\n")
	require.NoError(t, err)
	a.say(t, "PING\r\n", "+PONG\r\n")
	a.say(t, "LPUSH list x\r\n", ":1\r\n")
	c.say(t, "", "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n")
	c.say(t, "GET k\r\n", "$1\r\n4\r\n")
	large := strings.Repeat("v", 3<<20)
	a.say(t, "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$3145728\r\n"+large+"\r\n", "+OK\r\n")
	a.say(t, "GET large\r\n", "$3145728\r\n"+large+"\r\n")
	clients := []*playbooktest.Client{a.end(t), b.end(t), c.end(t)}

	for _, row := range []struct {
		name    string
		options playbook.Options
		order   Order
	}{
		{"by messages, in causal order", playbook.Options{Detector: &protocol.Detector{Protocols: catalog.All()}}, OrderCausal},
		{"by bytes, in causal order", playbook.Options{}, OrderCausal},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := newBook(t, row.options, clients...)
			seen, stats, err := play(t, book, Options{Order: row.order, Protocols: catalog.All(), MinWait: 5 * time.Second, TurnTimeout: 5 * time.Second}, redis(t))
			require.NoError(t, err)
			require.Equal(t, map[string]uint64{"finished": 3}, stats.Ends, "%+v", stats.Reasons)
			require.Equal(t, book.Totals.Turns, stats.Answered)
			require.Zero(t, stats.Gates[Forced]+stats.Gates[Quiet], "%+v", stats.Forced)
			require.Empty(t, stats.Fallbacks)
			for _, turn := range seen.turns {
				require.Equal(t, turn.AnswerBytes(), turn.Answer.Length)
			}
		})
	}
}
