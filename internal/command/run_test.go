package command

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/guest"
)

func TestRunRefusals(t *testing.T) {
	dir := t.TempDir()
	faulty := filepath.Join(dir, "faulty.yaml")
	require.NoError(t, os.WriteFile(faulty, []byte("foo: 1\nstatic_resources: {secrets: [{name: a}]}\n"), 0o600))
	failing := filepath.Join(dir, "envoy")
	require.NoError(t, os.WriteFile(failing, []byte("#!/bin/sh\necho no luck >&2\nexit 3\n"), 0o700))
	const hint = "Run 'l4dump run --help' for the usage.\n"
	tests := []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"argument", []string{"x"}, 2, "l4dump: unknown command \"x\" for \"l4dump run\"\n" + hint},
		{
			"every flag",
			[]string{"--log-level", "loud", "--concurrency", "-1", "--drain-time", "-1s", "--format", "json", "--color", "red", "--ignore-load"},
			2,
			`l4dump: --log-level is "loud"; wanted trace, debug, info, warning, error, critical or off
        --concurrency is -1; wanted 0 or more
        --drain-time is -1s; wanted 0 or more
        --ignore-load belongs to --sidecar
        --format is "json"; wanted text or log
        --color is "red"; wanted auto, always or never
` + hint,
		},
		{"no file", []string{"-c", dir + "/none.yaml", "--format", "log"}, 1, "l4dump: read configuration: open " + dir + "/none.yaml: no such file or directory\n"},
		{"faults", []string{"-c", faulty, "--format", "log"}, 1, "l4dump: read " + faulty + `:
foo: unknown field
static_resources.secrets: not supported by the embedded engine; use Envoy
static_resources.listeners: want at least one listener: none is not supported by the embedded engine; use Envoy
`},
		{"echo address", []string{"--echo", "nowhere", "--format", "log"}, 1, "l4dump: start the echo service: listen tcp: address nowhere: missing port in address\n"},
		{"no Envoy", []string{"--envoy", dir + "/none", "--format", "log"}, 1, "l4dump: start Envoy: fork/exec " + dir + "/none: no such file or directory\n"},
		{"Envoy fails", []string{"-c", faulty, "--envoy", failing, "--format", "log"}, 1, fmt.Sprintf("l4dump: %s runs %s\nno luck\nl4dump: run Envoy: exit status 3\n", failing, faulty)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr watched
			code := Run(strings.NewReader(""), &stdout, &stderr, append([]string{"run"}, test.args...))
			require.Equal(t, test.code, code)
			require.Empty(t, stdout.String())
			if test.name == "Envoy fails" {
				// The two writers of standard error do not wait for each other.
				require.ElementsMatch(t, strings.SplitAfter(test.stderr, "\n"), strings.SplitAfter(stderr.String(), "\n"))
				return
			}
			require.Equal(t, test.stderr, stderr.String())
		})
	}
}

// runFile is a configuration for the echo service at upstream. With lines there is a plugin that logs them for each
// connection.
func runFile(t *testing.T, upstream string, lines []string) string {
	t.Helper()
	dir := t.TempDir()
	plugin := ""
	if len(lines) > 0 {
		plugin = loggingPlugin(t, dir, lines)
	}
	host, port, err := net.SplitHostPort(upstream)
	require.NoError(t, err)
	file := filepath.Join(dir, "envoy.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
static_resources:
  listeners:
  - name: tcp
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:%s
      - name: tcp
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: tcp, cluster: echo}
  clusters:
  - name: echo
    load_assignment: {cluster_name: echo, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}]}
`, plugin, host, port), 0o600))
	return file
}

// loggingPlugin is a filter that logs lines for each connection, and counts it; its module is built in dir.
func loggingPlugin(t *testing.T, dir string, lines []string) string {
	t.Helper()
	module := filepath.Join(dir, "probe.wasm")
	require.NoError(t, guest.Build(t.Context(), module, "../host/testdata/probe"))
	script := "quiet\\non_connect define_metric 0 l4dump_connections_seen_total;increment_metric 4 1;"
	for _, line := range lines {
		_, message, _ := strings.Cut(strings.TrimSpace(line), "l4dump-v1: ")
		script += "log 2 " + message + ";"
	}
	return fmt.Sprintf(`
      - name: probe
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            name: probe
            configuration: {"@type": type.googleapis.com/google.protobuf.StringValue, value: "%s"}
            vm_config: {code: {local: {filename: %q}}}`, script, module)
}

// find waits for pattern and returns its first group.
func (w *watched) find(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	require.Eventually(t, func() bool { return expression.MatchString(w.String()) }, 20*time.Second, 2*time.Millisecond, "%s", pattern)
	return expression.FindStringSubmatch(w.String())[1]
}

// echoed sends a line through address, and its end, and wants it back.
func echoed(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, "hello\n")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(got))
}

func TestRun(t *testing.T) {
	// Whoever else waits for the signal does not end the test.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())

	service, err := listenEcho("127.0.0.1:0")
	require.NoError(t, err)
	defer service.close()
	file := runFile(t, service.listener.Addr().String(), dumpLines())
	for _, format := range []string{formatText, formatLog} {
		t.Run(format, func(t *testing.T) {
			var stdout, stderr watched
			code := make(chan int)
			go func() {
				code <- Run(strings.NewReader(""), &stdout, &stderr, []string{"run", "-c", file, "--echo", "127.0.0.1:0", "--format", format, "--color", "never", "--concurrency", "1", "--sidecar", "127.0.0.1:0", "--sidecar-dir", t.TempDir()})
			}()
			ctl, _, errs := runCommand("", "ctl", "get", "--address", "http://"+stderr.find(t, `l4dump: sidecar on tcp://(\S+)\n`))
			require.Zero(t, ctl, errs)
			echoed(t, stderr.find(t, `l4dump: echo service on (\S+)\n`))
			listener := stderr.find(t, `l4dump: listener tcp on (\S+)\n`)
			_, port, err := net.SplitHostPort(listener)
			require.NoError(t, err)
			require.Equal(t, "exec 3<>/dev/tcp/127.0.0.1/"+port+"; echo hello >&3; head -n 1 <&3", stderr.find(t, `bash -c '(.*)'\nCtrl-C stops.\n`))
			echoed(t, listener)
			if format == formatText {
				stdout.waitFor(t, dumpText)
			}
			require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
			require.Zero(t, <-code)
			require.True(t, strings.HasSuffix(stderr.String(), "l4dump: recorded 0 of 1 connection, 0 of 0 bytes\n"), stderr.String())
			if format == formatLog {
				require.Empty(t, stdout.String())
				require.Equal(t, len(dumpLines()), strings.Count(stderr.String(), "wasm log probe: ["))
			}
		})
	}
}

func TestRunIgnoresTheLoad(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())

	file := runFile(t, "127.0.0.1:1", nil)
	var stdout, stderr watched
	code := make(chan int)
	go func() {
		code <- Run(strings.NewReader(""), &stdout, &stderr, []string{"run", "-c", file, "--sidecar", "127.0.0.1:0", "--sidecar-dir", t.TempDir(), "--ignore-load"})
	}()
	address := stderr.find(t, `l4dump: sidecar on tcp://(\S+), which reports no load: a busy machine stops nothing\n`)
	stderr.find(t, `(Ctrl-C stops.)\n`)
	status, text, errs := runCommand("", "ctl", "status", "--address", "http://"+address)
	require.Zero(t, status, errs)
	require.Regexp(t, `(?m)^cpu +0\.0 %, from --ignore-load, `, text)
	require.Regexp(t, `(?m)^memory +0\.0 %, from --ignore-load, `, text)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	require.Zero(t, <-code)
}

func TestRunStopsAtTheSecondInterrupt(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())

	service, err := listenEcho("127.0.0.1:0")
	require.NoError(t, err)
	defer service.close()
	file := runFile(t, service.listener.Addr().String(), nil)
	var stdout, stderr watched
	code := make(chan int)
	go func() {
		code <- Run(strings.NewReader(""), &stdout, &stderr, []string{"run", "-c", file, "--drain-time", "1h", "--format", "log"})
	}()
	conn, err := net.Dial("tcp", stderr.find(t, `listener tcp on (\S+)\n`))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "x")
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	stderr.find(t, `(stopping; 1 connection may continue for 1h0m0s, another interrupt ends them)\n`)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	require.Zero(t, <-code)
}

func TestRunEnvoy(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)

	envoy := filepath.Join(t.TempDir(), "envoy")
	require.NoError(t, os.WriteFile(envoy, []byte(`#!/bin/sh
trap 'echo "interrupted" >&2; exit 0' INT
echo "arguments: $*" >&2
while :; do sleep 0.02; done
`), 0o700))
	var ready atomic.Bool
	var drained atomic.Bool
	var asked atomic.Int32
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !ready.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/drain_listeners" && r.Method == http.MethodPost:
			drained.Store(true)
		case r.URL.Path == "/stats" && r.FormValue("filter") == "l4dump_":
			_, _ = io.WriteString(w, `{"stats":[{"name":"wasmcustom.l4dump_connections_seen_total","value":20},
				{"name":"wasmcustom.l4dump_connections_kept_total","value":7},
				{"name":"wasmcustom.l4dump_connections_dropped_budget_bytes_total","value":13}]}`)
		case r.URL.Path == "/stats":
			n := max(0, 2-asked.Add(1))
			fmt.Fprintf(w, `{"stats":[{"name":"listener.admin.downstream_cx_active","value":7},
				{"name":"listener.l.worker_0.downstream_cx_active","value":%d},{"name":"listener.l.downstream_cx_active","value":%d}]}`, n, n)
		}
	}))
	defer admin.Close()
	_, port, err := net.SplitHostPort(admin.Listener.Addr().String())
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(changedEnvoyYAML(t, "port_value: 9901", "port_value: "+port)), 0o600))
	var stdout, stderr watched
	code := make(chan int)
	go func() {
		code <- Run(strings.NewReader(""), &stdout, &stderr, []string{"run", "-c", file, "--envoy", envoy, "--concurrency", "3", "--log-level", "debug", "--drain-time", "6100ms"})
	}()
	require.Equal(t, "-c "+file+" --disable-hot-restart --log-level warning --component-log-level wasm:debug --drain-time-s 7 --concurrency 3", stderr.find(t, `arguments: (.*)\n`))
	require.NotContains(t, stderr.String(), "/dev/tcp", "nobody listens yet")
	ready.Store(true)
	stderr.find(t, `(/dev/tcp/127.0.0.1/10000)`)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	require.Zero(t, <-code)
	require.Contains(t, stderr.String(), "l4dump: stopping; 1 connection may continue for 6.1s, another interrupt ends them\ninterrupted\n"+
		"l4dump: recorded 7 of 20 connections, 0 of 0 bytes\n"+
		"l4dump: not recorded, because of budget_bytes: 13 connections; raise capture.max_bytes_per_second\n")
	require.True(t, drained.Load())
	require.Empty(t, stdout.String())
}

func TestEchoEndsWithItsConnections(t *testing.T) {
	service, err := listenEcho("127.0.0.1:0")
	require.NoError(t, err)
	address := service.listener.Addr().String()
	echoed(t, address)
	idle, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer idle.Close()
	service.close()
	_, err = net.Dial("tcp", address)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// stalling is an output whose reader stops at a text.
type stalling struct {
	watched
	at      string
	resumed chan struct{}
}

func (s *stalling) Write(text []byte) (int, error) {
	if strings.Contains(s.String(), s.at) {
		<-s.resumed
	}
	return s.watched.Write(text)
}

func TestRunWithALogThatNobodyReads(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())

	service, err := listenEcho("127.0.0.1:0")
	require.NoError(t, err)
	defer service.close()
	file := runFile(t, service.listener.Addr().String(), dumpLines())
	stderr := &stalling{at: "Ctrl-C stops.\n", resumed: make(chan struct{})}
	code := make(chan int)
	go func() {
		code <- Run(strings.NewReader(""), io.Discard, stderr, []string{"run", "-c", file, "--format", "log", "--concurrency", "1"})
	}()
	listener := stderr.find(t, `l4dump: listener tcp on (\S+)\n`)
	stderr.find(t, `(Ctrl-C stops.)\n`)
	for range 3 {
		echoed(t, listener)
	}
	require.NotContains(t, stderr.String(), "wasm log probe: [")
	close(stderr.resumed)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	require.Zero(t, <-code)
	require.Equal(t, 3*len(dumpLines()), strings.Count(stderr.String(), "wasm log probe: ["))
}
