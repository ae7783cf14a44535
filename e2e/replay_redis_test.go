package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// installed skips the test without a program of Debian's packages, or fails it in CI.
func installed(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				require.NoError(t, err, "CI tests with all of them: run make debian")
			}
			t.Skipf("skipped without %s: run make debian", program)
		}
	}
}

// unusedAddress is one on loopback on which nobody listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// startProgram starts a service that listens on an address, and waits until it does. It is ended when the test ends.
func startProgram(t *testing.T, address, name string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = log, log
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("%s: %s", name, text[max(0, len(text)-2000):])
		}
	})
	waitFor(t, name+" to listen", func() bool {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		_ = connection.Close()
		return true
	})
}

// startRedis starts a Redis without a file, and returns its address.
func startRedis(t *testing.T) string {
	t.Helper()
	address := unusedAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	startProgram(t, address, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	return address
}

// redisSnapshot is what a Redis holds when the recording begins, as commands.
func redisSnapshot() string {
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "SET counter:%d %d\r\nRPUSH list:%d a b c d e f g h\r\nHSET hash:%d name n%d age %d\r\nSADD set:%d x y z %d\r\n", i, i*1000, i, i, i, i, i, i)
	}
	return text.String()
}

// loadRedis has redis-cli send the snapshot to an emptied Redis: a shell command, for which address is a variable.
func loadRedis(snapshot, address string) string {
	return fmt.Sprintf(`(echo FLUSHALL; cat %s) | redis-cli -h "${%s%%:*}" -p "${%s##*:}" >/dev/null`, snapshot, address, address)
}

// redisConnections is how many connections useRedis makes.
const redisConnections = 12

// useRedis sends what clients of Redis send: each connection to keys of its own, one after another and pipelined, with
// commands that fail, transactions, and such that answer a time or count connections.
func useRedis(t *testing.T, address string) {
	t.Helper()
	var clients sync.WaitGroup
	for c := range redisConnections {
		clients.Go(func() {
			connection, err := net.DialTimeout("tcp", address, deadline)
			if err != nil {
				t.Error(err)
				return
			}
			defer connection.Close()
			_ = connection.SetDeadline(time.Now().Add(deadline))
			r := &redisClient{Conn: connection, answers: bufio.NewReader(connection)}
			if c%3 == 2 {
				err = r.do("HELLO 3")
			}
			for i := 0; i < 6 && err == nil; i++ {
				err = r.do(fmt.Sprintf("SET key:%d:%d %s", c, i, strings.Repeat("v", 100*i)))
				for _, pipelined := range [][]string{
					{fmt.Sprintf("GET key:%d:%d", c, i)},
					{fmt.Sprintf("INCR counter:%d", c), fmt.Sprintf("LRANGE list:%d 0 -1", c), fmt.Sprintf("RPUSH list:%d item%d", c, i)},
					{fmt.Sprintf("HSET hash:%d field%d %d", c, i, i), fmt.Sprintf("HGETALL hash:%d", c), fmt.Sprintf("SMEMBERS set:%d", c)},
					{fmt.Sprintf("INCR hash:%d", c), "NOSUCHCOMMAND a", fmt.Sprintf("GET missing:%d", c)},
					{"MULTI", fmt.Sprintf("INCRBY counter:%d 10", c), fmt.Sprintf("GET counter:%d", c), "EXEC"},
					{"TIME", "CLIENT ID"},
				} {
					if err == nil {
						err = r.do(pipelined...)
					}
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
}

// redisClient is a connection to Redis.
type redisClient struct {
	net.Conn
	answers *bufio.Reader
}

// do sends commands at once and reads their answers.
func (r *redisClient) do(commands ...string) error {
	var text strings.Builder
	for _, command := range commands {
		words := strings.Split(command, " ")
		fmt.Fprintf(&text, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	if _, err := io.WriteString(r, text.String()); err != nil {
		return err
	}
	for range commands {
		if err := r.skip(); err != nil {
			return err
		}
	}
	return nil
}

// skip reads an answer.
func (r *redisClient) skip() error {
	line, err := r.answers.ReadString('\n')
	if err != nil {
		return err
	}
	var n int
	_, _ = fmt.Sscanf(line[1:], "%d", &n)
	switch line[0] {
	case '$':
		if n >= 0 {
			_, err = r.answers.Discard(n + 2)
		}
		return err
	case '%':
		n *= 2
	case '*', '~':
	default:
		return nil
	}
	for ; n > 0 && err == nil; n-- {
		err = r.skip()
	}
	return err
}

// TestReplayRedis plays what clients of a Redis sent to three of them, which are brought to the recording's beginning
// before each pass: they answer the same. One that was brought to another state does not, and is found.
func TestReplayRedis(t *testing.T) {
	t.Parallel()
	installed(t, "redis-server", "redis-cli")
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	require.NoError(t, os.WriteFile(snapshot, []byte(redisSnapshot()), 0o600))
	recorded := startRedis(t)
	load := exec.Command("sh", "-c", loadRedis(snapshot, "R"))
	load.Env = append(os.Environ(), "R="+recorded)
	require.NoError(t, load.Run())
	log := recordTraffic(t, newestEnvoy(t), recorded, redisConnections, func(address string) { useRedis(t, address) })

	services := []string{"--baseline", startRedis(t), "--twin", startRedis(t), "--target", startRedis(t)}
	var resets []string
	for _, address := range []string{"L4DUMP_BASELINE", "L4DUMP_TWIN", "L4DUMP_TARGET"} {
		resets = append(resets, loadRedis(snapshot, address))
	}
	reset := strings.Join(resets, " && ")
	for range rounds() {
		replay(t, log, append(services, "--reset", reset)...).requireSame(t, redisConnections)
		replay(t, log, "--target", services[5], "--reset", resets[2]).requireSame(t, redisConnections)
	}
	for _, row := range []struct {
		change string
		want   []string
	}{
		{"SET counter:7 99", []string{
			"EXEC | value:$[*] | value", "INCR | value:$ | value",
		}},
		{"LPOP list:3", []string{"LRANGE | value:$ | length", "RPUSH | value:$ | value"}},
		{"SET hash:5 text", []string{
			"HGETALL |  | error", "HGETALL | value:$ | type", "HSET |  | error", "HSET | value:$ | type", "INCR | value:$ | value",
		}},
		{"HSET hash:5 new 1", []string{"HGETALL | value:$.new | added field"}},
		{"HDEL hash:5 age", []string{"HGETALL | value:$.age | removed field"}},
		{"SREM set:2 y", []string{"SMEMBERS | value:$[*] | removed field"}},
	} {
		t.Run(row.change, func(t *testing.T) {
			change := reset + fmt.Sprintf(` && echo %s | redis-cli -h "${L4DUMP_TARGET%%:*}" -p "${L4DUMP_TARGET##*:}" >/dev/null`, row.change)
			for range rounds() {
				r := replay(t, log, append(services, "--reset", change)...)
				require.Equal(t, row.want, r.found(), "%v", r.Reasons)
				require.Equal(t, "changed", r.Outcome)
			}
		})
	}
}
