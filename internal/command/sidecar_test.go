package command

import (
	"context"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func unixDialer(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}

func TestSidecarRefusals(t *testing.T) {
	const hint = "Run 'l4dump sidecar --help' for the usage.\n"
	dir := t.TempDir()
	damaged := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, os.WriteFile(damaged, []byte("{"), 0o600))
	for _, row := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{
			"open to the network",
			[]string{"--listen", "0.0.0.0:9911"},
			2,
			"l4dump: listen: tls://0.0.0.0:9911 needs TLS, want tls-cert and tls-key, and client-ca or token-file\n" + hint,
		},
		{
			"token without TLS",
			[]string{"--listen", "tcp://10.1.2.3:9911", "--token-file", "x"},
			2,
			"l4dump: listen: tls://10.1.2.3:9911 needs TLS, want tls-cert and tls-key, and client-ca or token-file\n" + hint,
		},
		{
			"TLS for everybody",
			[]string{"--listen", "tls://127.0.0.1:0", "--tls-cert", "x", "--tls-key", "x"},
			2,
			"l4dump: listen: tls://127.0.0.1:0 is open to everybody, want client-ca or token-file\n" + hint,
		},
		{
			"every fault",
			[]string{
				"--listen", "x", "--socket-mode", "rw", "--socket-owner", "root", "--scope", "world", "--log-level", "loud",
				"--log-format", "xml", "--envoy-admin", "x", "--stale-after", "-1s",
			},
			2,
			`l4dump: parse address "x": want HOST:PORT or unix:///PATH
        socket-mode: want an octal number as 0660, got "rw"
        parse owner: want UID:GID, two numbers, got "root"
        stale-after: want at least 1ms, got -1s
        envoy-admin: parse Envoy's admin address: want http://HOST:PORT or unix:///PATH, got "x"
        log-level: want debug, info, warn or error, got "loud"
        parse scope: want auto, host, cgroup or pod, got "world"
` + hint,
		},
		{
			"log format",
			[]string{"--log-format", "xml"},
			2,
			"l4dump: log-format: want text or json, got \"xml\"\n" + hint,
		},
		{
			"pod without its UID",
			[]string{"--scope", "pod"},
			2,
			"l4dump: measure scope pod: want the pod's UID, got none\n" + hint,
		},
		{
			"sample interval",
			[]string{"--sample-interval", "1ms"},
			2,
			"l4dump: read sample interval: want 50ms or more, got 1ms\n" + hint,
		},
		{
			"argument",
			[]string{"now"},
			2,
			"l4dump: unknown command \"now\" for \"l4dump sidecar\"\n" + hint,
		},
		{
			"damaged state",
			[]string{"--state-file", damaged},
			1,
			"l4dump: parse state file " + damaged + ": unexpected EOF; repair it, or move it away to start without a global strategy\n",
		},
		{
			"no token file",
			[]string{"--token-file", dir + "/none"},
			1,
			"l4dump: read token file: stat " + dir + "/none: no such file or directory\n",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv(podUIDVariable, "")
			args := append([]string{"sidecar", "--dir", dir, "--listen", "127.0.0.1:0"}, row.args...)
			if row.args[0] == "--listen" {
				args = append([]string{"sidecar", "--dir", dir}, row.args...)
			}
			code, stdout, stderr := runCommand("", args...)
			require.Equal(t, []any{row.code, "", row.stderr}, []any{code, stdout, stderr})
		})
	}
}

// TestSidecar runs the sidecar with what this machine measures, until a signal.
func TestSidecar(t *testing.T) {
	// The signal must not end the test where it comes late or early.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	defer signal.Stop(signals)

	dir, err := os.MkdirTemp("", "l4dump") //nolint:usetesting // T.TempDir's paths are too long for a socket
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	address := "unix://" + filepath.Join(dir, "s")
	var stderr watched
	code := make(chan int, 1)
	go func() {
		code <- Run(strings.NewReader(""), io.Discard, &stderr, []string{
			"sidecar", "--listen", address, "--listen", "127.0.0.1:0", "--dir", filepath.Join(dir, "data"), "--scope", "host",
			"--sample-interval", "50ms", "--log-format", "json",
		})
	}()
	stderr.find(t, `"msg":"(listening)","address":"`+address)
	tcp := stderr.find(t, `"address":"tcp://(127\.0\.0\.1:\d+)"`)
	status := func() string {
		_, stdout, _ := runCommand("", "ctl", "--address", "http://"+tcp, "status")
		return stdout
	}
	require.Eventually(t, func() bool { return strings.Contains(status(), "from host:") }, 10*time.Second, 5*time.Millisecond)
	exit, stdout, _ := runCommand("", "ctl", "--address", address, "off")
	require.Zero(t, exit)
	require.Contains(t, stdout, "FORCE_OFF")
	require.Contains(t, status(), "global     FORCE_OFF (by api at ")

	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	require.Zero(t, <-code)
	require.NoFileExists(t, filepath.Join(dir, "s"))
	state, err := os.ReadFile(filepath.Join(dir, "data", "strategy.json"))
	require.NoError(t, err)
	require.Contains(t, string(state), "FORCE_OFF")
}
