package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The order of the callbacks is that of Envoy 1.40.0, for the same plugin.
func TestStreamCallbacks(t *testing.T) {
	te := newTestEngine(t, func(c *VMConfig, _ *Options) { c.Configuration = []byte("vm settings") })
	f := te.filter(t, "log 2 hi")
	require.Equal(t, []string{
		// The trial, the main thread, the worker.
		`0 root vm: context_create 1 0`, `0 root vm: vm_start 1 11 "vm settings"`, `0 root vm: configure 1 8`, `0 root vm: hi`, `0 root vm: = log 2 hi: 0`,
		`0 root vm: context_create 1 0`, `0 root vm: vm_start 1 11 "vm settings"`, `0 root vm: configure 1 8`, `0 root vm: hi`, `0 root vm: = log 2 hi: 0`,
		`1 root vm: context_create 1 0`, `1 root vm: vm_start 1 11 "vm settings"`, `1 root vm: configure 1 8`, `1 root vm: hi`, `1 root vm: = log 2 hi: 0`,
	}, te.log.take())

	s := newTestStream(t, f)
	require.Equal(t, Continue, s.DownstreamData([]byte("hello"), false))
	require.Equal(t, Continue, s.UpstreamData([]byte("hi"), false))
	require.Equal(t, Continue, s.DownstreamData(nil, true))
	require.Equal(t, Continue, s.UpstreamData(nil, true))
	s.DownstreamClose(CloseLocal)
	s.DownstreamClose(CloseRemote)
	require.Equal(t, []string{
		`1 probe root vm: context_create 2 1`,
		`1 probe root vm: new_connection 2`,
		`1 probe root vm: downstream_data 2 5 0`,
		`1 probe root vm: upstream_data 2 2 0`,
		`1 probe root vm: downstream_data 2 0 1`,
		`1 probe root vm: upstream_data 2 0 1`,
		`1 probe root vm: upstream_close 2 0`,
		`1 probe root vm: downstream_close 2 1`,
		`1 probe root vm: done 2`,
		`1 probe root vm: log 2`,
		`1 probe root vm: delete 2`,
	}, te.log.take())
}

func TestLogLineIsEnvoys(t *testing.T) {
	var out bytes.Buffer
	l := NewLogger(&out, LevelInfo, 25111, func() time.Time { return testTime })
	l.plugin(LevelDebug, 0, " l4dump l4dump l4dump-v1", []byte("hidden"))
	l.plugin(LevelInfo, 0, " l4dump l4dump l4dump-v1", []byte("MSG"))
	l.SetLevel(LevelTrace)
	l.plugin(LevelTrace, 1, " l4dump l4dump-v1", []byte("root"))
	l.plugin(LevelWarning, 2, "", nil)
	l.Printf(LevelError, "config", "x.go:1", "reason: %d", 7)
	require.Equal(t, `[2026-11-23 01:23:51.887][25111][info][wasm] [source/extensions/common/wasm/context.cc:1151] wasm log l4dump l4dump l4dump-v1: MSG
[2026-11-23 01:23:51.887][25112][trace][wasm] [source/extensions/common/wasm/context.cc:1145] wasm log l4dump l4dump-v1: root
[2026-11-23 01:23:51.887][25113][warning][wasm] [source/extensions/common/wasm/context.cc:1154] wasm log: `+`
[2026-11-23 01:23:51.887][25111][error][config] [x.go:1] reason: 7
`, out.String())
}

func TestParseLogLevel(t *testing.T) {
	for name, want := range map[string]LogLevel{
		"trace": LevelTrace, "debug": LevelDebug, "info": LevelInfo, "warning": LevelWarning, "warn": LevelWarning,
		"error": LevelError, "critical": LevelCritical, "off": LevelOff,
	} {
		got, err := ParseLogLevel(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseLogLevel("loud")
	require.EqualError(t, err, `read log level "loud": want trace, debug, info, warning, error, critical or off`)
}

func TestConfigurationRejected(t *testing.T) {
	te := newTestEngine(t, nil)
	configure := func(script string) (*Filter, error) {
		return te.Configure(t.Context(), Plugin{Name: "probe", RootID: "root", Configuration: []byte(script)})
	}
	_, err := configure("reject")
	require.ErrorIs(t, err, ErrRejected)
	require.EqualError(t, err, "plugin rejected its configuration: proxy_on_configure returned false")
	_, err = configure("panic ouch")
	require.ErrorIs(t, err, ErrRejected)
	require.Contains(t, err.Error(), "proxy_on_configure: wasm error: unreachable")

	first, err := configure("")
	require.NoError(t, err)
	te.log.take()
	// A rejected update has real effects in the VM that tries it, and none on the filter that runs.
	_, err = configure("set_shared_data k v 0\nreject")
	require.ErrorIs(t, err, ErrRejected)
	require.Equal(t, []string{
		`0 root vm: context_create 1 0`, `0 root vm: vm_start 1 0 ""`, `0 root vm: configure 1 28`,
		`0 root vm: = set_shared_data k v 0: 0`,
		`0 error Wasm VM failed Failed to configure base Wasm plugin`,
	}, te.log.take())
	s := newTestStream(t, first)
	s.DownstreamData([]byte("!get_shared_data k"), false)
	require.Contains(t, te.log.take(), `1 probe root vm: = get_shared_data k: 0 "v" cas 1`)
	s.DownstreamClose(CloseRemote)
}

func TestUpdateReusesVMs(t *testing.T) {
	te := newTestEngine(t, nil)
	old := te.filter(t, "")
	first := newTestStream(t, old)
	te.log.take()

	current := te.filter(t, "log 2 new")
	lines := te.log.take()
	require.Equal(t, []string{
		`1 root vm: context_create 3 0`, `1 root vm: vm_start 3 0 ""`, `1 root vm: configure 3 9`, `1 root vm: new`, `1 root vm: = log 2 new: 0`,
	}, lines[len(lines)-5:], "the worker's VM continues counting context ids")
	old.Release()
	require.Equal(t, []string{`0 root vm: done 1`, `0 root vm: delete 1`}, te.log.take(),
		"the main thread has no stream to wait for")
	_, ok := old.NewStream(0, &testConnection)
	require.False(t, ok)

	second := newTestStream(t, current)
	first.DownstreamData([]byte("x"), false)
	require.Equal(t, []string{
		`1 probe root vm: context_create 4 3`, `1 probe root vm: new_connection 4`, `1 probe root vm: downstream_data 2 1 0`,
	}, te.log.take())
	select {
	case <-old.Done():
		require.Fail(t, "a stream is left")
	default:
	}
	first.DownstreamClose(CloseRemote)
	require.Equal(t, []string{
		`1 probe root vm: downstream_close 2 2`, `1 probe root vm: done 2`, `1 probe root vm: log 2`, `1 probe root vm: delete 2`,
		`1 root vm: done 1`, `1 root vm: delete 1`,
	}, te.log.take())
	<-old.Done()
	second.DownstreamClose(CloseRemote)
}

func TestDoneMayWait(t *testing.T) {
	te := newTestEngine(t, nil)
	f := te.filter(t, "keep_done\nset_tick_period 1\non_tick done")
	te.log.take()
	f.Release()
	<-f.Done()
	lines := te.log.take()
	require.Contains(t, lines, "1 root vm: done 1")
	require.Contains(t, lines, "1 root vm: = done: 0")
	require.Contains(t, lines, "1 root vm: delete 1")
}

func TestFailurePolicies(t *testing.T) {
	tests := []struct {
		name       string
		policy     FailurePolicy
		live, next Action
	}{
		{"fail closed", FailClosed, Close, Close},
		{"fail open", FailOpen, Close, Continue},
		{"fail open, live too", FailOpenLive, Continue, Continue},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			te := newTestEngine(t, nil)
			plugin := Plugin{Name: "probe", RootID: "root", FailurePolicy: test.policy}
			f, err := te.Configure(t.Context(), plugin)
			require.NoError(t, err)
			bystander, victim := newTestStream(t, f), newTestStream(t, f)
			te.log.take()

			require.Equal(t, test.live, victim.DownstreamData([]byte("!panic ouch"), false))
			lines := te.log.take()
			require.Equal(t, []string{"1 probe root vm: downstream_data 3 11 0", "1 error probe root vm: panic: ouch"}, lines[:2])
			require.Equal(t, "1 error Function: proxy_on_downstream_data failed: wasm error: unreachable", lines[len(lines)-1])
			require.Equal(t, test.live, bystander.UpstreamData([]byte("x"), false))
			next, ok := f.NewStream(0, &testConnection)
			require.True(t, ok)
			require.Equal(t, test.next, next.NewConnection())
			require.Equal(t, test.next, next.DownstreamData([]byte("x"), false))
			for _, s := range []*Stream{bystander, victim, next} {
				s.DownstreamClose(CloseRemote)
			}
			require.Empty(t, te.log.take(), "nothing is called in a failed VM")
			all, failed := te.VMs()
			require.Equal(t, []int{2, 1}, []int{all, failed})

			// The next configuration makes a new VM.
			again, err := te.Configure(t.Context(), plugin)
			require.NoError(t, err)
			f.Release()
			<-f.Done()
			te.log.take()
			s := newTestStream(t, again)
			require.Equal(t, Continue, s.DownstreamData([]byte("x"), false))
			require.Equal(t, []string{
				"1 probe root vm: context_create 2 1", "1 probe root vm: new_connection 2", "1 probe root vm: downstream_data 2 1 0",
			}, te.log.take())
			s.DownstreamClose(CloseRemote)
			all, failed = te.VMs()
			require.Equal(t, []int{2, 0}, []int{all, failed})
		})
	}
}

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		te := newTestEngine(t, func(_ *VMConfig, o *Options) { o.Workers = 2 })
		f := te.filter(t, "set_tick_period 100")
		te.log.take()
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		require.ElementsMatch(t, []string{
			"0 root vm: tick 1", "1 root vm: tick 1", "2 root vm: tick 1",
			"0 root vm: tick 1", "1 root vm: tick 1", "2 root vm: tick 1",
		}, te.log.take())

		// An update: the old root continues to tick while it has a stream.
		s := newTestStream(t, f)
		te.filter(t, "set_tick_period 1000")
		f.Release()
		te.log.take()
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{"1 root vm: tick 1", "1 root vm: tick 1"}, te.log.take())
		s.DownstreamData([]byte("!set_tick_period 0"), false)
		te.log.take()
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		require.Empty(t, te.log.take())
		s.DownstreamClose(CloseRemote)
	})
}

func TestTicksEndWithTheVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		te := newTestEngine(t, nil)
		te.filter(t, "set_tick_period 10\non_tick panic in tick")
		time.Sleep(time.Second)
		synctest.Wait()
		all, failed := te.VMs()
		require.Equal(t, []int{2, 2}, []int{all, failed})
	})
}

func TestSharedDataBetweenEngines(t *testing.T) {
	a := newTestEngine(t, nil)
	b := newTestEngine(t, func(_ *VMConfig, o *Options) { o.Shared = a.shared })
	other := newTestEngine(t, func(c *VMConfig, o *Options) { c.ID, o.Shared = "other", a.shared })
	require.Equal(t, []string{"set_shared_data k v 0: 0"}, a.run(t, "set_shared_data k v 0"))
	require.Equal(t, []string{`get_shared_data k: 0 "v" cas 1`}, b.run(t, "get_shared_data k"))
	f := other.filter(t, "get_shared_data k")
	require.Contains(t, other.log.take(), `1 root other: = get_shared_data k: 1 "" cas 0`)
	f.Release()
}

func TestSharedDataEndsWithItsEngines(t *testing.T) {
	var s SharedData
	s.retain("vm")
	s.retain("vm")
	require.True(t, s.set("vm", []byte("k"), []byte("v"), 0))
	s.release("vm")
	_, _, ok := s.get("vm", []byte("k"), nil)
	require.True(t, ok)
	s.release("vm")
	s.retain("vm")
	_, _, ok = s.get("vm", []byte("k"), nil)
	require.False(t, ok)
}

func TestPauseIsRefused(t *testing.T) {
	te := newTestEngine(t, nil)
	f := te.filter(t, "data 1")
	s := newTestStream(t, f)
	te.log.take()
	require.Equal(t, Continue, s.DownstreamData([]byte("x"), false))
	require.Equal(t, Continue, s.DownstreamData([]byte("y"), false))
	require.Equal(t, []string{
		"1 probe root vm: downstream_data 2 1 0",
		"1 error Function: proxy_on_downstream_data asked to pause: not supported by the embedded engine, the data is passed on",
		"1 probe root vm: downstream_data 2 1 0",
	}, te.log.take())
	s.DownstreamClose(CloseRemote)
}

func TestUpstreamProperties(t *testing.T) {
	te := newTestEngine(t, nil)
	s := newTestStream(t, te.filter(t, ""))
	s.SetUpstream(&Upstream{Cluster: "service", Address: "10.0.0.1:81", Port: 81})
	te.log.take()
	s.DownstreamData([]byte("!get_property upstream\\0address\nget_property upstream\\0port\nget_property xds\\0cluster_name"), false)
	require.Equal(t, []string{
		`1 probe root vm: downstream_data 2 90 0`,
		`1 probe root vm: = get_property upstream\0address: 0 "10.0.0.1:81"`,
		`1 probe root vm: = get_property upstream\0port: 0 "Q\x00\x00\x00\x00\x00\x00\x00"`,
		`1 probe root vm: = get_property xds\0cluster_name: 0 "service"`,
	}, te.log.take())
	s.DownstreamClose(CloseRemote)
}

// fakeHTTP answers each call when its test says so.
type fakeHTTP struct {
	answer func(ctx context.Context, request *HTTPRequest) *HTTPResponse
}

func (f fakeHTTP) Endpoints(cluster string) (int, bool) {
	n, ok := map[string]int{"web": 1, "empty": 0}[cluster]
	return n, ok
}

func (f fakeHTTP) Call(ctx context.Context, request *HTTPRequest) *HTTPResponse {
	return f.answer(ctx, request)
}

func TestHTTPCall(t *testing.T) {
	requests := make(chan *HTTPRequest, 8)
	te := newTestEngine(t, func(_ *VMConfig, o *Options) {
		o.HTTP = fakeHTTP{func(_ context.Context, r *HTTPRequest) *HTTPResponse {
			requests <- r
			if r.Path == "/cut" {
				return nil
			}
			return &HTTPResponse{Headers: []Header{{":status", "200"}, {"x-foo", "Bar"}}, Body: []byte("ok")}
		}}
	})
	s := newTestStream(t, te.filter(t, ""))
	te.log.take()
	s.DownstreamData([]byte(`!http_call web 500 body :method GET :path /x :authority a X-Y z
http_call web 0 '' :method GET :path /cut :authority a
http_call empty 500 '' :method GET :path /x :authority a
http_call nowhere 500 '' :method GET :path /x :authority a
http_call web 500 '' :method GET :path /x
http_call web 500 '' :method GET :authority a
http_call web 500 '' :path /x :authority a
http_call web -1 '' :method GET :path /x :authority a
http_call_raw web 500 ""
http_call_raw web 500 "\x09\x00\x00\x00"`), false)
	te.log.waitFor(t, "http_call_response 1 4 ")
	te.log.waitFor(t, "http_call_response 1 8 ")
	te.log.waitFor(t, "get_header_map_pairs 6")
	require.ElementsMatch(t, []*HTTPRequest{
		{Cluster: "web", Method: "GET", Path: "/x", Authority: "a", Headers: []Header{{"x-y", "z"}}, Body: []byte("body"), Timeout: 500 * time.Millisecond},
		{Cluster: "web", Method: "GET", Path: "/cut", Authority: "a"},
	}, []*HTTPRequest{<-requests, <-requests})
	lines := te.log.take()
	require.Equal(t, []string{
		`1 probe root vm: = http_call web 500 body :method GET :path /x :authority a X-Y z: 0 4`,
		`1 probe root vm: = http_call web 0 '' :method GET :path /cut :authority a: 0 8`,
		`1 probe root vm: = http_call empty 500 '' :method GET :path /x :authority a: 10 0`,
		`1 probe root vm: = http_call nowhere 500 '' :method GET :path /x :authority a: 2 0`,
		`1 probe root vm: = http_call web 500 '' :method GET :path /x: 2 0`,
		`1 probe root vm: = http_call web 500 '' :method GET :authority a: 2 0`,
		`1 probe root vm: = http_call web 500 '' :path /x :authority a: 2 0`,
		`1 probe root vm: = http_call web -1 '' :method GET :path /x :authority a: 2 0`,
		`1 probe root vm: = http_call_raw web 500 "": 2 0`,
		`1 probe root vm: = http_call_raw web 500 "\x09\x00\x00\x00": 2 0`,
	}, lines[1:11])
	require.ElementsMatch(t, []string{
		`1 root vm: http_call_response 1 8 0 0 0`,
		`1 root vm: http_call_response 1 4 2 2 0`,
		`1 root vm: = get_header_map_value 6 :status: 0 "200"`,
		`1 root vm: = get_buffer_bytes 4 0 1000: 0 "ok"`,
		`1 root vm: = get_header_map_pairs 6: 0 "\x02\x00\x00\x00\a\x00\x00\x00\x03\x00\x00\x00\x05\x00\x00\x00\x03\x00\x00\x00:status\x00200\x00x-foo\x00Bar\x00"`,
	}, lines[11:])
	s.DownstreamClose(CloseRemote)
}

func TestHTTPCallEndsWithTheEngine(t *testing.T) {
	started := make(chan struct{}, 4)
	te := newTestEngine(t, func(_ *VMConfig, o *Options) {
		o.HTTP = fakeHTTP{func(ctx context.Context, _ *HTTPRequest) *HTTPResponse {
			started <- struct{}{}
			<-ctx.Done()
			return nil
		}}
	})
	te.filter(t, "http_call web 0 '' :method GET :path / :authority a")
	for range 3 { // the trial, the main thread, the worker
		<-started
	}
}

func TestPairs(t *testing.T) {
	headers := []Header{{":status", "200"}, {"a", ""}}
	// [count][lengths: 7 3 | 1 0][:status 0 200 0 a 0 0]
	b := []byte("\x02\x00\x00\x00\x07\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00:status\x00200\x00a\x00\x00")
	require.Equal(t, b, appendPairs(nil, headers))
	require.Equal(t, headers, parsePairs(b))
	require.Empty(t, appendPairs(nil, nil))
	for n := range len(b) {
		require.Empty(t, parsePairs(b[:n]), "cut after %d bytes", n)
	}
	require.Empty(t, parsePairs([]byte("\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00")))
}

func TestModuleIsRefused(t *testing.T) {
	dir := t.TempDir()
	source := `//go:build wasip1

package main

func main() {}

//go:wasmimport env proxy_teleport
func teleport()

//go:wasmimport wasi_snapshot_preview1 sock_connect
func sockConnect()

//go:wasmexport proxy_on_tick
func tick(uint32) { teleport(); sockConnect() }
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	code, err := buildGuest(filepath.Join(dir, "main.go"), filepath.Join(dir, "out.wasm"))
	require.NoError(t, err)
	options := Options{
		Workers: 1, Now: time.Now, Log: NewLogger(io.Discard, LevelOff, 0, time.Now), Shared: new(SharedData), Metrics: new(Metrics),
		CacheDir: ModuleCache(),
	}
	_, err = NewEngine(t.Context(), VMConfig{Code: code}, options)
	require.EqualError(t, err, `load module: want the export proxy_abi_version_0_2_1
load module: want the export proxy_on_memory_allocate or malloc
load module: import env.proxy_teleport: not provided by Envoy
load module: import wasi_snapshot_preview1.sock_connect: not provided by Envoy`)
	_, err = NewEngine(t.Context(), VMConfig{Code: []byte("no wasm")}, options)
	require.ErrorContains(t, err, "compile module: ")
}

func TestPollFails(t *testing.T) {
	dir := t.TempDir()
	source := `//go:build wasip1

package main

import "unsafe"

func main() {}

//go:wasmimport wasi_snapshot_preview1 poll_oneoff
func poll(in, out unsafe.Pointer, n uint32, events unsafe.Pointer) uint32

//go:wasmexport proxy_abi_version_0_2_1
func version() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(uint32) *byte { return nil }

//go:wasmexport proxy_on_vm_start
func start(uint32, uint32) uint32 {
	// One subscription: the monotonic clock, in 1 ns.
	subscription := [48]byte{16: 1, 24: 1}
	var event [32]byte
	var events uint32
	println("errno", poll(unsafe.Pointer(&subscription), unsafe.Pointer(&event), 1, unsafe.Pointer(&events)))
	return 1
}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	code, err := buildGuest(filepath.Join(dir, "main.go"), filepath.Join(dir, "out.wasm"))
	require.NoError(t, err)
	for want, fails := range map[string]bool{"0 error root vm: errno 0": false, "0 error root vm: errno 52": true} {
		te := newTestEngine(t, func(c *VMConfig, o *Options) { c.Code, o.PollFails = code, fails })
		te.filter(t, "")
		require.Contains(t, te.log.take(), want)
	}
}

func TestGuestOutputIsCutInLines(t *testing.T) {
	te := newTestEngine(t, nil)
	s := newTestStream(t, te.filter(t, ""))
	te.log.take()
	s.DownstreamData([]byte("!quiet\nprint a\nprint "+strings.Repeat("x", maxGuestLine+1)), false)
	lines := te.log.take()
	require.Equal(t, []string{
		"1 error probe root vm: a",
		"1 error probe root vm: " + strings.Repeat("x", maxGuestLine),
		"1 error probe root vm: x",
	}, lines[1:])
	s.DownstreamClose(CloseRemote)
}

// Streams of one worker come from many goroutines.
func TestConcurrentStreams(t *testing.T) {
	te := newTestEngine(t, func(_ *VMConfig, o *Options) { o.Workers = 2 })
	f := te.filter(t, "quiet\nset_tick_period 1")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				s, ok := f.NewStream(i%2, &testConnection)
				if !ok {
					t.Error("the filter was not released")
					return
				}
				s.NewConnection()
				var both sync.WaitGroup
				both.Go(func() { s.DownstreamData([]byte("abc"), true) })
				both.Go(func() { s.UpstreamData([]byte("def"), true) })
				both.Wait()
				s.DownstreamClose(CloseLocal)
			}
		})
	}
	wg.Wait()
	f.Release()
	<-f.Done()
}

func TestDataPathAllocatesNothing(t *testing.T) {
	te := newTestEngine(t, func(_ *VMConfig, o *Options) { o.Log = NewLogger(io.Discard, LevelInfo, 0, time.Now) })
	f := te.filter(t, "quiet")
	s := newTestStream(t, f)
	data := make([]byte, 32<<10)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if s.DownstreamData(data, false) != Continue {
			t.Error("the VM failed")
		}
	}))
	message := []byte("message")
	require.Zero(t, testing.AllocsPerRun(100, func() { te.logger.plugin(LevelInfo, 1, " a b c", message) }))
	s.DownstreamClose(CloseRemote)
}

func TestMetricsAreShared(t *testing.T) {
	var m Metrics
	m.Counter("b").Add(2)
	m.Counter("b").Add(3)
	m.Gauge("b").Set(7)
	m.Gauge("a").Sub(1)
	m.Gauge("a").Add(2)
	var got []string
	for _, metric := range m.All() {
		got = append(got, metric.Name)
		require.NotZero(t, metric.Value())
	}
	require.Equal(t, []string{"a", "b", "b"}, got)
	require.Equal(t, uint64(5), m.Counter("b").Value())
	require.Equal(t, uint64(7), m.Gauge("b").Value())
	require.Equal(t, uint64(1), m.Gauge("a").Value())
}

func TestExplain(t *testing.T) {
	require.Equal(t, "first", explain(errors.New("first\nstack\nstack")))
}
