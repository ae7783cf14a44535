package command

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// serveEach serves a listener on loopback until the test ends, and returns its address.
func serveEach(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		conns.Wait()
	})
	return listener.Addr().String()
}

// answering answers "hello", and ends.
func answering(answer string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, 5)); err == nil {
			_, _ = io.WriteString(conn, answer)
		}
	}
}

func replayLog(t *testing.T, lines ...[]string) string {
	t.Helper()
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(strings.Join(l, ""))
	}
	path := filepath.Join(t.TempDir(), "envoy.log")
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

// TestReplayPlan holds what --dry-run prints.
func TestReplayPlan(t *testing.T) {
	const get = "GET /users/7 HTTP/1.1\r\nhost: a\r\n\r\n"
	const okay = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
	post := strings.Replace(get, "GET", "POST", 1)
	broken := dumpLinesOf(4, "", "hello", "world")
	log := replayLog(t, dumpLinesOf(1, "", "hello", "world"), dumpLinesOf(2, "", get, okay), dumpLinesOf(3, "", post, okay), append(broken[:1:1], broken[2:]...))
	for _, row := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"all", nil, 0, `connections  4 recorded, 3 to play, at most 3 at a time, within 0s
refused           1  broken: records are missing (as 9f0c6a1be3d2a417-4)
protocol          2  http1
protocol          1  raw
turns        3, 1 of which may write; 74 bytes to send, 85 came back; 1000000000.0 turns/s
                  1  "GET /users/{}"
                  1  "POST /users/{}"  may write
`},
		{"raw", []string{"--protocol", "raw", "--conn", "9f0c6a1be3d2a417-2"}, 0, `connections  1 recorded, 1 to play, at most 1 at a time, within 0s
protocol          1  raw
turns        1, 0 of which may write; 34 bytes to send, 40 came back; 333333333.3 turns/s
`},
		{"none of that kind", []string{"--conn", "9f0c6a1be3d2a417-4"}, 3, `connections  1 recorded, 0 to play, at most 0 at a time, within 0s
refused           1  broken: records are missing (as 9f0c6a1be3d2a417-4)
turns        0, 0 of which may write; 0 bytes to send, 0 came back
`},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := runCommand("", append([]string{"replay", log, "--dry-run"}, row.args...)...)
			require.Equal(t, row.want, stdout)
			require.Equal(t, row.code, code)
			require.Empty(t, stderr)
		})
	}
}

// TestReplay plays a connection to targets that serve it, or do not.
func TestReplay(t *testing.T) {
	log := replayLog(t, dumpLines())
	closed := serveEach(t, func(net.Conn) {})
	for _, row := range []struct {
		name    string
		target  string
		args    []string
		code    int
		outcome string
		ends    map[string]uint64
		stderr  string
	}{
		{"played", serveEach(t, answering("world\n")), nil, 0, "played", map[string]uint64{"finished": 1}, ""},
		{"three copies", serveEach(t, answering("world\n")), []string{"--copies", "3"}, 0, "played", map[string]uint64{"finished": 3}, ""},
		{"in causal order", serveEach(t, answering("world\n")), []string{"--order", "causal"}, 0, "played", map[string]uint64{"finished": 1}, ""},
		{"another length", serveEach(t, answering("worlds\n")), nil, 0, "played", map[string]uint64{"finished": 1}, ""},
		{"closed at once", closed, nil, 1, "failed", map[string]uint64{"ended early by the target": 1}, ""},
		{"nobody there", "127.0.0.1:1", nil, 1, "failed", map[string]uint64{"dial failed": 1}, ""},
		{"no answer", serveEach(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }), []string{"--turn-timeout", "100ms"}, 3, "inconclusive", map[string]uint64{"finished": 1}, ""},
		{"no answer, given up", serveEach(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }), []string{"--turn-timeout", "100ms", "--on-stall", "abort"}, 1, "failed", map[string]uint64{"stalled": 1}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := runCommand("", append([]string{"replay", log, "--json", "--no-compare", "--target", row.target}, row.args...)...)
			require.Equal(t, row.stderr, stderr)
			var got struct {
				Target, Outcome string
				Ends            map[string]uint64
			}
			require.NoError(t, json.Unmarshal([]byte(stdout), &got))
			require.Equal(t, []any{row.code, row.target, row.outcome, row.ends}, []any{code, got.Target, got.Outcome, got.Ends}, stdout)

			code, stdout, _ = runCommand("", append([]string{"replay", log, "--no-compare", "--target", row.target}, row.args...)...)
			require.Equal(t, row.code, code)
			require.Contains(t, stdout, "outcome      "+row.outcome+"\n")
		})
	}
}

func TestReplayUsage(t *testing.T) {
	log := replayLog(t, dumpLines())
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"no target", nil, "--target is missing; wanted HOST:PORT, or --dry-run"},
		{"not allowed", []string{"--target", "10.0.0.1:80"}, "--target 10.0.0.1:80 is not on this machine; if it may get what was recorded, say --allow 10.0.0.1/32"},
		{"recorded", []string{"--target", "10.0.0.9:8080", "--allow", "10.0.0.9"}, "--target 10.0.0.9:8080 is the service that was recorded; if it may get its own recording, say --allow-recorded-destination"},
		{"pace", []string{"--dry-run", "--pace", "fast"}, `--pace is "fast"; wanted none, recorded or think, and xN to play N times as fast, 0.01 to 1000`},
		{"too slow", []string{"--dry-run", "--pace", "recordedx0.009"}, `--pace is "recordedx0.009"; wanted none, recorded or think, and xN to play N times as fast, 0.01 to 1000`},
		{"not a number", []string{"--dry-run", "--pace", "thinkxNaN"}, `--pace is "thinkxNaN"; wanted none, recorded or think, and xN to play N times as fast, 0.01 to 1000`},
		{"a speed of none", []string{"--dry-run", "--pace", "nonex2"}, `--pace is "nonex2"; wanted none, recorded or think, and xN to play N times as fast, 0.01 to 1000`},
		{"shard", []string{"--dry-run", "--shard", "4/4"}, `--shard is "4/4"; wanted I/N, I from 0 and less than N`},
		{"two faults", []string{"--dry-run", "--allow", "here", "--proxy-protocol", "v3"}, "--allow is \"here\"; wanted addresses like 10.1.0.0/16\n        --proxy-protocol is \"v3\"; wanted v1 or v2"},
		{"out of range", []string{"--dry-run", "--copies", "0"}, "--copies is 0, which is out of range"},
		{"TLS without TLS", []string{"--dry-run", "--tls-ca", "x"}, "--tls-server-name, --tls-ca, --tls-cert and --tls-key belong to --tls"},
		{"no file", []string{"--dry-run", "--tls", "--tls-ca", "/none"}, `--tls-ca is "/none"; wanted a file of certificates in PEM`},
		{"protocol", []string{"--dry-run", "--protocol", "gopher"}, `--protocol: protocol "gopher": want one of http1, redis, bolt, dubbo, memcached, thrift, raw, or a file that ends with .yaml`},
		{"order", []string{"--dry-run", "--order", "serial"}, `--order is "serial"; wanted connection or causal`},
		{"order of copies", []string{"--target", "127.0.0.1:1", "--order", "causal", "--copies", "2"}, "the causal order cannot be kept: each connection is played 2 times"},
		{"stall", []string{"--dry-run", "--on-stall", "wait"}, `--on-stall is "wait"; wanted auto, abort or send`},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := runCommand("", append([]string{"replay", log}, row.args...)...)
			require.Equal(t, "l4dump: "+row.want+"\nRun 'l4dump replay --help' for the usage.\n", stderr)
			require.Equal(t, []any{2, ""}, []any{code, stdout})
		})
	}
}

// TestReplayInterrupted interrupts a run whose target does not answer: what has begun may continue for a while, and the
// report is written.
func TestReplayInterrupted(t *testing.T) {
	begun := make(chan struct{}, 3)
	target := serveEach(t, func(conn net.Conn) {
		begun <- struct{}{}
		_, _ = io.Copy(io.Discard, conn)
	})
	log := replayLog(t, dumpLinesOf(1, "", "hello", "world"), dumpLinesOf(2, "", "hello", "world"), dumpLinesOf(3, "", "hello", "world"))
	interrupted := make(chan error, 1)
	go func() {
		<-begun
		interrupted <- syscall.Kill(os.Getpid(), syscall.SIGINT)
	}()
	code, stdout, stderr := runCommand("", "replay", log, "--no-compare", "--json", "--target", target, "--connections", "1", "--drain", "50ms")
	require.NoError(t, <-interrupted)
	require.Contains(t, stderr, "l4dump: stopping; connections may continue for 50ms, another interrupt ends them\n")
	var got struct {
		Outcome string
		Why     []string
		Ends    map[string]uint64
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Equal(t, map[string]uint64{"stopped": 1}, got.Ends)
	require.Equal(t, []any{3, "inconclusive", []string{"1 connection: stopped", "interrupted"}}, []any{code, got.Outcome, got.Why})
}
