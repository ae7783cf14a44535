package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"l4dump/internal/host"
)

func TestAdmin(t *testing.T) {
	file := newTestFile(serve(t, echo), typed(wasm("define_metric 0 l4dump.bytes_total\nincrement_metric 4 2\ndefine_metric 1 depth\nrecord_metric 5 7", nil)))
	file.node = object{"id": "n1"}
	s := file.start(t, func(o *Options) { o.Concurrency = 2 })
	conn := s.dial(t)
	roundTrip(t, conn, "hello")

	get := func(path string) string {
		code, body := s.get(t, path)
		require.Equal(t, 200, code, body)
		return body
	}
	require.Equal(t, "LIVE\n", get("/ready"))
	require.Equal(t, fmt.Sprintf("tcp::%s\n", listenerAddr(s.Server, "tcp")), get("/listeners"))
	var listeners struct {
		ListenerStatuses []struct {
			Name         string
			LocalAddress struct {
				SocketAddress struct {
					Address   string
					PortValue int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	require.NoError(t, json.Unmarshal([]byte(get("/listeners?format=json")), &listeners))
	require.Equal(t, "tcp", listeners.ListenerStatuses[0].Name)
	require.Equal(t, listenerAddr(s.Server, "tcp").(*net.TCPAddr).Port, listeners.ListenerStatuses[0].LocalAddress.SocketAddress.PortValue)

	// The trial, the main thread and two workers: four times 2.
	require.Equal(t, "wasmcustom.depth: 7\nwasmcustom.l4dump.bytes_total: 8\n", get("/stats?filter=^wasmcustom"))
	require.Equal(t, "listener.127.0.0.1_0.downstream_cx_active: 1\nlistener.127.0.0.1_0.downstream_cx_destroy: 0\n"+
		"listener.127.0.0.1_0.downstream_cx_total: 1\n", get("/stats?filter=^listener.*_cx_"))
	require.Equal(t, "cluster.service.upstream_cx_active: 1\ncluster.service.upstream_cx_rx_bytes_total: 5\n"+
		"cluster.service.upstream_cx_tx_bytes_total: 5\n", get("/stats?filter=cluster.service.upstream_cx_(active|.*bytes)"))
	require.JSONEq(t, `{"stats":[{"name":"wasmcustom.depth","value":7}]}`, get("/stats?filter=depth&format=json"))
	code, body := s.get(t, "/stats?filter=(")
	require.Equal(t, 400, code)
	require.Contains(t, body, "Invalid regex")

	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(get("/stats/prometheus")))
	require.NoError(t, err)
	require.Equal(t, "COUNTER", families["l4dump_bytes_total"].GetType().String())
	require.InEpsilon(t, 8.0, families["l4dump_bytes_total"].GetMetric()[0].GetCounter().GetValue(), 0)
	require.Equal(t, "GAUGE", families["depth"].GetType().String())
	label := families["envoy_listener_downstream_cx_total"].GetMetric()[0].GetLabel()[0]
	require.Equal(t, []string{"envoy_listener_address", "127.0.0.1_0"}, []string{label.GetName(), label.GetValue()})
	label = families["envoy_cluster_upstream_cx_total"].GetMetric()[0].GetLabel()[0]
	require.Equal(t, []string{"envoy_cluster_name", "service"}, []string{label.GetName(), label.GetValue()})

	info := get("/server_info")
	require.Contains(t, info, `"version": "l4dump/test"`)
	require.Contains(t, info, `"state": "LIVE"`)
	require.Contains(t, info, `"concurrency": 2`)
	dump := get("/config_dump")
	require.Contains(t, dump, `"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump"`)
	require.Contains(t, dump, `"filename": "`+fixture.probe)
	require.Equal(t, dump, get("/config_dump"), "nothing has changed")

	code, body = s.ask(t, "POST", "/logging?wasm=error")
	require.Equal(t, 200, code)
	require.Equal(t, "active loggers:\n  wasm: error\n", body)
	require.Equal(t, host.LevelError, s.Server.log.Level())
	code, _ = s.ask(t, "POST", "/logging?paths=wasm:trace")
	require.Equal(t, 200, code)
	require.Equal(t, host.LevelTrace, s.Server.log.Level())
	code, _ = s.ask(t, "POST", "/logging?wasm=loud")
	require.Equal(t, 400, code)
	code, _ = s.get(t, "/logging?wasm=info")
	require.Equal(t, 405, code)
	code, _ = s.get(t, "/nothing")
	require.Equal(t, 404, code)
	code, _ = s.get(t, "/quitquitquit")
	require.Equal(t, 405, code)

	require.NoError(t, conn.Close())
	code, body = s.ask(t, "POST", "/quitquitquit")
	require.Equal(t, 200, code)
	require.Equal(t, "OK\n", body)
	require.NoError(t, s.Wait())
}

func TestConnectionsStayWithTheirWorker(t *testing.T) {
	s := newTestFile(serve(t, echo), typed(wasm("", nil))).start(t, func(o *Options) { o.Concurrency = 2 })
	for range 4 {
		conn := s.dial(t)
		roundTrip(t, conn, "a")
		roundTrip(t, conn, "b")
		require.NoError(t, conn.CloseWrite())
		requireEnd(t, conn)
	}
	// Each worker had two, and its context ids begin with its root context's, 1.
	s.log.waitFor(t, "delete 3")
	require.Eventually(t, func() bool { return strings.Count(s.log.String(), "probe root vm: delete ") == 4 }, patience, testPoll)
	for _, id := range []string{"2", "3"} {
		require.Equal(t, 2, strings.Count(s.log.String(), "probe root vm: new_connection "+id+"\n"))
	}
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	file := newTestFile("127.0.0.1:1", typed(wasm("", nil)))
	file.listener["address"] = socketAddress(taken.Addr().String())
	config, err := Parse("envoy.yaml", file.text(t))
	require.NoError(t, err)
	_, err = Start(t.Context(), config, Options{Log: io.Discard})
	require.EqualError(t, err, fmt.Sprintf(`listen on %s (listener "tcp"): address already in use: stop what uses it or change `+
		`static_resources.listeners[0].address.socket_address.port_value in envoy.yaml`, taken.Addr()))
}

func TestStartFails(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.wasm")
	require.NoError(t, os.WriteFile(bad, []byte("no module"), 0o600))
	code := func(file string) object {
		return object{"vm_config": object{"code": object{"local": object{"filename": file}}}}
	}
	tests := []struct {
		name   string
		config object
		want   string
	}{
		{"rejected", wasm("reject", nil), "configure plugin probe: plugin rejected its configuration: proxy_on_configure returned false"},
		{"no file", wasm("", code("none.wasm")), "read plugin: open none.wasm: no such file or directory"},
		{"no module", wasm("", code(bad)), "load plugin probe: compile module: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config, err := Parse("envoy.yaml", newTestFile("127.0.0.1:1", typed(test.config)).text(t))
			require.NoError(t, err)
			_, err = Start(t.Context(), config, Options{Log: io.Discard, CacheDir: host.ModuleCache()})
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestDrain(t *testing.T) {
	file := newTestFile(serve(t, echo), typed(wasm("", nil)))
	config, err := Parse("envoy.yaml", file.text(t))
	require.NoError(t, err)
	start := func(drain time.Duration) (context.CancelFunc, *testServer) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &testServer{log: new(logBuffer)}
		s.Server, err = Start(ctx, config, Options{Concurrency: 1, Log: s.log, CacheDir: host.ModuleCache(), DrainTime: drain, LogLevel: host.LevelInfo})
		require.NoError(t, err)
		return cancel, s
	}
	t.Run("the last connection ends it", func(t *testing.T) {
		cancel, s := start(time.Hour)
		conn := s.dial(t)
		roundTrip(t, conn, "hello")
		require.Equal(t, 1, s.Connections())
		address := listenerAddr(s.Server, "tcp").String()
		cancel()
		require.Eventually(t, func() bool {
			late, err := net.Dial("tcp", address)
			if err == nil {
				late.Close()
			}
			return err != nil
		}, patience, testPoll, "no more connections are accepted")
		code, body := s.get(t, "/ready")
		require.Equal(t, 503, code)
		require.Equal(t, "DRAINING\n", body)
		roundTrip(t, conn, "still served")
		require.NoError(t, conn.CloseWrite())
		requireEnd(t, conn)
		require.NoError(t, s.Wait())
	})
	t.Run("the drain time ends it", func(t *testing.T) {
		cancel, s := start(50 * time.Millisecond)
		conn := s.dial(t)
		roundTrip(t, conn, "hello")
		cancel()
		requireEnd(t, conn)
		require.NoError(t, s.Wait())
		require.Contains(t, s.log.String(), "downstream_close 2 1\n")
		require.Contains(t, s.log.String(), "root vm: delete 1\n")
	})
	t.Run("a hurry ends it", func(t *testing.T) {
		cancel, s := start(time.Hour)
		conn := s.dial(t)
		roundTrip(t, conn, "hello")
		cancel()
		<-s.Stopping()
		s.Hurry()
		requireEnd(t, conn)
		require.NoError(t, s.Wait())
	})
}

func TestHTTPCalls(t *testing.T) {
	answer := func(text string) func(*net.TCPConn) {
		return func(conn *net.TCPConn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, text)
		}
	}
	socket := filepath.Join(t.TempDir(), "a.sock")
	unix, err := net.Listen("unix", socket)
	require.NoError(t, err)
	requests := make(chan string, 1)
	go func() {
		conn, err := unix.Accept()
		if err != nil {
			return
		}
		buffer := make([]byte, 4096)
		n, _ := conn.Read(buffer)
		requests <- string(buffer[:n])
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		conn.Close()
	}()
	defer unix.Close()
	silent := serve(t, func(conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	big := "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"

	const reset = "upstream connect error or disconnect/reset before headers. reset reason: "
	failed := func(status, body string) []string {
		return []string{
			fmt.Sprintf("http_call_response 1 4 3 %d 0", len(body)),
			fmt.Sprintf("= get_header_map_value 6 :status: 0 %q", status),
			fmt.Sprintf("= get_buffer_bytes 4 0 1000: 0 %q", body),
		}
	}
	tests := []struct {
		name    string
		address object
		timeout string
		want    []string
	}{
		{"TCP", socketAddress(serve(t, answer("HTTP/1.1 200 OK\r\nX-Foo: Bar\r\nContent-Length: 2\r\n\r\nok"))), "5000", []string{
			"http_call_response 1 4 3 2 0", `= get_header_map_value 6 :status: 0 "200"`, `= get_buffer_bytes 4 0 1000: 0 "ok"`,
		}},
		{"Unix socket", object{"pipe": object{"path": socket}}, "5000", []string{
			"http_call_response 1 4 1 0 0", `= get_header_map_value 6 :status: 0 "204"`, `= get_buffer_bytes 4 0 1000: 0 ""`,
		}},
		{"refused", socketAddress(closed.Addr().String()), "5000", failed("503", reset+"remote connection failure")},
		{"no such socket", object{"pipe": object{"path": socket + ".none"}}, "5000", failed("503", reset+"remote connection failure")},
		{"closed", socketAddress(serve(t, answer(""))), "5000", failed("503", reset+"connection termination")},
		{"no HTTP", socketAddress(serve(t, answer("xyzzy junk\r\n\r\n"))), "5000", failed("502", reset+"protocol error")},
		{"timeout", socketAddress(silent), "50", failed("504", "upstream request timeout")},
		{"body at the limit", socketAddress(serve(t, answer(fmt.Sprintf(big, maxResponseBody, strings.Repeat("x", maxResponseBody))))), "5000", []string{
			fmt.Sprintf("http_call_response 1 4 2 %d 0", maxResponseBody), `= get_header_map_value 6 :status: 0 "200"`,
			fmt.Sprintf("= get_buffer_bytes 4 0 1000: 0 %q", strings.Repeat("x", 1000)),
		}},
		{"body exceeds the limit by 1", socketAddress(serve(t, answer(fmt.Sprintf(big, maxResponseBody+1, strings.Repeat("x", maxResponseBody+1))))), "5000", []string{
			"http_call_response 1 4 0 0 0",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := newTestFile("127.0.0.1:1", typed(wasm("on_connect http_call web "+test.timeout+" body :method POST :path /a?b=c :authority host X-Key v", nil)))
			file.clusters = append(file.clusters, clusterOf("web", test.address))
			s := file.start(t, nil)
			requireEnd(t, s.dial(t))
			s.log.waitFor(t, "http_call_response 1 4 ")
			if len(test.want) > 1 {
				s.log.waitFor(t, "= get_buffer_bytes 4 0 1000: ")
			}
			for _, line := range test.want {
				require.Contains(t, s.log.String(), "wasm log root vm: "+line+"\n")
			}
		})
	}
	require.Equal(t, "POST /a?b=c HTTP/1.1\r\nHost: host\r\nContent-Length: 4\r\nX-Key: v\r\n\r\nbody", <-requests)
}

func TestRoundRobin(t *testing.T) {
	name := func(text string) func(*net.TCPConn) {
		return func(conn *net.TCPConn) { _, _ = io.WriteString(conn, text) }
	}
	file := newTestFile("127.0.0.1:1")
	file.clusters = []any{clusterOf("service", socketAddress(serve(t, name("a"))), socketAddress(serve(t, name("b"))))}
	s := file.start(t, nil)
	var got bytes.Buffer
	for range 4 {
		_, err := io.Copy(&got, io.LimitReader(s.dial(t), 1))
		require.NoError(t, err)
	}
	require.Equal(t, "abab", got.String())
}

func TestUpstreams(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "a.sock")
	unix, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer unix.Close()
	go func() {
		conn, err := unix.Accept()
		if err == nil {
			_, _ = io.Copy(conn, conn)
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(serve(t, echo))
	require.NoError(t, err)
	named := clusterOf("service", socketAddress("localhost:"+port))
	named["type"] = "STRICT_DNS"
	for name, cluster := range map[string]object{
		"Unix socket": clusterOf("service", object{"pipe": object{"path": socket}}),
		"host name":   named,
	} {
		t.Run(name, func(t *testing.T) {
			file := newTestFile("127.0.0.1:1", typed(wasm("", nil)))
			file.clusters = []any{cluster}
			s := file.start(t, nil)
			conn := s.dial(t)
			roundTrip(t, conn, "hello")
			require.NoError(t, conn.CloseWrite())
			requireEnd(t, conn)
			s.log.waitFor(t, "downstream_close 2 1")
		})
	}
}

// The sidecar closes connections that were kept for long; the next call must not fail for it.
func TestHTTPCallAfterTheServerClosed(t *testing.T) {
	accepted := make(chan struct{}, 8)
	address := serve(t, func(conn *net.TCPConn) {
		accepted <- struct{}{}
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	web := newCluster(clusterConfig{name: "web", connectTimeout: time.Second, endpoints: []endpoint{{"tcp", address}}}, new(stats))
	defer web.transport.CloseIdleConnections()
	client := httpClient{map[string]*cluster{"web": web}}
	for range 3 {
		response := client.Call(t.Context(), &host.HTTPRequest{Cluster: "web", Method: "GET", Authority: "a", Path: "/", Timeout: patience})
		require.Equal(t, "ok", string(response.Body))
		<-accepted
	}
}

func TestMetricName(t *testing.T) {
	for name, want := range map[string]string{"a.b-c": "a_b_c", "9lives": "_9lives", "": "_", "ok_1:x": "ok_1:x"} {
		require.Equal(t, want, metricName(name))
	}
}

// A page in a browser can reach the administration interface, but not use it.
func TestAdminRefusesPages(t *testing.T) {
	s := newTestFile(serve(t, echo)).start(t, nil)
	url := "http://" + s.AdminAddr().String() + "/quitquitquit"
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
		func(r *http.Request) { r.Host = "evil.example" },
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
		require.NoError(t, err)
		change(request)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusForbidden, response.StatusCode)
	}
	select {
	case <-s.Stopping():
		require.Fail(t, "a page stopped the server")
	default:
	}
}
