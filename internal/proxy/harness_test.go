package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/guest"
	"l4dump/internal/host"
)

// fixture is what all tests share, written once by TestMain.
var fixture struct {
	probe string // the file of the guest module
}

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "proxy-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	fixture.probe = filepath.Join(dir, "probe.wasm")
	if err := guest.Build(context.Background(), fixture.probe, "../host/testdata/probe"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// patience bounds every wait for something that must come; testPoll is how often it is looked for.
const (
	patience = 20 * time.Second
	testPoll = 2 * time.Millisecond
)

// logBuffer is a log that a test reads while others write.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	if !assert.Eventually(t, func() bool { return strings.Contains(b.String(), text) }, patience, testPoll) {
		require.FailNow(t, fmt.Sprintf("no %q in the log", text), b.String())
	}
}

var streamLine = regexp.MustCompile(`wasm log probe root vm: (.*)\n`)

// callbacks returns what streams logged.
func (b *logBuffer) callbacks() []string {
	var lines []string
	for _, m := range streamLine.FindAllStringSubmatch(b.String(), -1) {
		lines = append(lines, m[1])
	}
	return lines
}

// object is a piece of a configuration file.
type object = map[string]any

// wasm is a filter with the probe, which runs script.
func wasm(script string, more object) object {
	config := object{
		"name": "probe", "root_id": "root",
		"configuration": object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": script},
		"vm_config": object{
			"vm_id": "vm", "runtime": "envoy.wasm.runtime.v8", "code": object{"local": object{"filename": fixture.probe}},
		},
	}
	for name, value := range more {
		config[name] = value
	}
	return object{"@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm", "config": config}
}

func socketAddress(address string) object {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	return object{"socket_address": object{"address": host, "port_value": json.Number(port)}}
}

func clusterOf(name string, addresses ...object) object {
	endpoints := []any{}
	for _, address := range addresses {
		endpoints = append(endpoints, object{"endpoint": object{"address": address}})
	}
	return object{
		"name": name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": object{"cluster_name": name, "endpoints": []any{object{"lb_endpoints": endpoints}}},
	}
}

// testFile is a configuration file in the making.
type testFile struct {
	filters  []any
	tcp      object
	listener object
	clusters []any
	node     object
}

func newTestFile(upstream string, filters ...any) *testFile {
	return &testFile{
		filters: filters,
		tcp: object{
			"@type":       "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
			"stat_prefix": "tcp", "cluster": "service",
		},
		listener: object{"name": "tcp", "address": socketAddress("127.0.0.1:0")},
		clusters: []any{clusterOf("service", socketAddress(upstream))},
	}
}

// typed is a filter with its configuration in the file.
func typed(config object) object { return object{"name": "l4", "typed_config": config} }

func (f *testFile) text(t *testing.T) []byte {
	t.Helper()
	f.listener["filter_chains"] = []any{object{"filters": append(f.filters, object{"name": "tcp", "typed_config": f.tcp})}}
	bootstrap := object{
		"admin":            object{"address": socketAddress("127.0.0.1:0")},
		"static_resources": object{"listeners": []any{f.listener}, "clusters": f.clusters},
	}
	if f.node != nil {
		bootstrap["node"] = f.node
	}
	text, err := json.Marshal(bootstrap)
	require.NoError(t, err)
	return text
}

// testServer is a server with its log.
type testServer struct {
	*Server
	log *logBuffer
}

func (f *testFile) start(t *testing.T, change func(*Options)) *testServer {
	t.Helper()
	config, err := Parse("test.yaml", f.text(t))
	require.NoError(t, err)
	s := &testServer{log: new(logBuffer)}
	options := Options{Concurrency: 1, Log: s.log, LogLevel: host.LevelInfo, CacheDir: host.ModuleCache(), Version: "l4dump/test"}
	if change != nil {
		change(&options)
	}
	s.Server, err = Start(t.Context(), config, options)
	require.NoError(t, err, s.log)
	t.Cleanup(func() { require.NoError(t, shutdown(s.Server)) })
	return s
}

func (s *testServer) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", listenerAddr(s.Server, "tcp").String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn.(*net.TCPConn)
}

// get asks the administration interface.
func (s *testServer) get(t *testing.T, path string) (int, string) {
	t.Helper()
	return s.ask(t, http.MethodGet, path)
}

func (s *testServer) ask(t *testing.T, method, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.AdminAddr().String()+path, http.NoBody)
	require.NoError(t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// serve runs handler for each connection until the test ends.
func serve(t *testing.T, handler func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			serving.Go(func() {
				defer conn.Close()
				handler(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return listener.Addr().String()
}

func echo(conn *net.TCPConn) {
	_, _ = io.Copy(conn, conn)
}

// roundTrip sends a message and reads it back.
func roundTrip(t *testing.T, conn net.Conn, message string) {
	t.Helper()
	_, err := io.WriteString(conn, message)
	require.NoError(t, err)
	got := make([]byte, len(message))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, message, string(got))
}

// requireEnd waits for the other side to end the connection in good order.
func requireEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	n, err := conn.Read(make([]byte, 1))
	require.Zero(t, n)
	require.ErrorIs(t, err, io.EOF)
}

// listenerAddr returns the address of a listener; nil if there is none of that name.
func listenerAddr(s *Server, name string) net.Addr {
	for _, l := range s.Listeners() {
		if l.Name == name {
			return l.Addr
		}
	}
	return nil
}

// shutdown stops the server and returns when it has ended.
func shutdown(s *Server) error {
	s.stop()
	return s.Wait()
}
