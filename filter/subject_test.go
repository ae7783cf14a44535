package filter

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/internal/guest"
	"l4dump/internal/host"
	"l4dump/record"
)

// subject is a plugin with one configuration in one worker, named "recorder", "root" and "vm". Its clients come from
// 10.0.0.7:40112, connect to 10.0.0.8:8080, and show neither a name nor a certificate.
type subject interface {
	setNow(now int64)
	setLevel(level abi.Level)
	// measure has the sidecar of cluster "sidecar" report other usage, from the next poll on.
	measure(cpu, memory int)
	connect() flow
	// finish ends the plugin, so that it gives the proxy its metrics.
	finish()
	// lines are the log lines without what the proxy puts before.
	lines() []string
	metric(name string) uint64
}

// flow is a connection.
type flow interface {
	send(d record.Direction, data string)
	end(d record.Direction)
	close(by types.PeerType)
}

// subjects are what each scenario runs on.
var subjects = []struct {
	name  string
	start func(t *testing.T, config string) subject
}{{"native", startNative}, {"module", startModule}}

// native is the plugin in the SDK's emulator.
type native struct{ *rig }

func startNative(t *testing.T, config string) subject {
	r := newAnonymousRig(t, config)
	r.level = abi.LevelTrace
	return native{r}
}

func (s native) setNow(now int64)         { s.now = now }
func (s native) setLevel(level abi.Level) { s.level = level }

// measure polls, and has the answer taken over.
func (s native) measure(cpu, memory int) {
	s.wait(second)
	s.answer("200", state(cpu, memory, 0, "null"))
	s.wait(0)
}

func (s native) finish() { require.True(s.t, s.FinishVM()) }

func (s native) lines() []string {
	var all []string
	for _, lines := range [][]string{
		s.GetTraceLogs(), s.GetDebugLogs(), s.GetInfoLogs(), s.GetWarnLogs(), s.GetErrorLogs(), s.GetCriticalLogs(),
	} {
		all = append(all, lines...)
	}
	return all
}

func (s native) metric(name string) uint64 {
	if n, err := s.GetCounterMetric(name); err == nil {
		return n
	}
	n, err := s.GetGaugeMetric(name)
	require.NoError(s.t, err, name)
	return n
}

func (s native) connect() flow {
	id := s.rig.connect()
	return nativeFlow{s.rig, id, s.streams[id]}
}

type nativeFlow struct {
	rig     *rig
	id      uint32
	context types.TcpContext
}

func (f nativeFlow) send(d record.Direction, data string) {
	if d == record.Downstream {
		f.rig.downstream(f.id, data)
	} else {
		f.rig.upstream(f.id, data)
	}
}

func (f nativeFlow) end(d record.Direction) {
	if d == record.Downstream {
		require.Equal(f.rig.t, types.ActionContinue, f.context.OnDownstreamData(0, true))
		return
	}
	require.Equal(f.rig.t, types.ActionContinue, f.context.OnUpstreamData(0, true))
	f.context.OnUpstreamClose(types.PeerTypeUnknown)
}

func (f nativeFlow) close(by types.PeerType) {
	f.context.OnDownstreamClose(by)
	f.rig.CompleteConnection(f.id)
}

// module is the built plugin in wazero.
type module struct {
	t       *testing.T
	now     atomic.Int64
	usage   atomic.Pointer[string] // the sidecar's answer; nil is no sidecar
	logger  *host.Logger
	filter  *host.Filter
	metrics host.Metrics

	mu     sync.Mutex
	logged []string
}

// builtModule builds the plugin once.
var builtModule = sync.OnceValues(func() (code []byte, err error) {
	dir, err := os.MkdirTemp("", "l4dump")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "module.wasm")
	if err := guest.Build(context.Background(), out, "./wasm"); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

func startModule(t *testing.T, config string) subject {
	code, err := builtModule()
	require.NoError(t, err)
	s := &module{t: t}
	s.now.Store(windowStart)
	now := func() time.Time { return time.Unix(0, s.now.Load()) }
	s.logger = host.NewLogger(s, host.LevelTrace, 1, now)
	engine, err := host.NewEngine(t.Context(), host.VMConfig{ID: "vm", Code: code}, host.Options{
		Workers: 1, Now: now, Log: s.logger, Shared: new(host.SharedData), Metrics: &s.metrics, HTTP: s, CacheDir: host.ModuleCache(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close(t.Context())) })
	s.filter, err = engine.Configure(t.Context(), host.Plugin{
		Name: "recorder", RootID: "root", Configuration: []byte(config), FailurePolicy: host.FailOpenLive,
	})
	require.NoError(t, err)
	return s
}

// Write takes a line of the proxy's log.
func (s *module) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, text, ok := strings.Cut(string(line), " root vm: "); ok {
		s.logged = append(s.logged, strings.TrimSuffix(text, "\n"))
	}
	return len(line), nil
}

func (s *module) setNow(now int64)         { s.now.Store(now) }
func (s *module) setLevel(level abi.Level) { s.logger.SetLevel(host.LogLevel(level)) }

// measure lets the next poll be due.
func (s *module) measure(cpu, memory int) {
	s.usage.Store(new(state(cpu, memory, 0, "null")))
	s.now.Add(second)
}

// Endpoints and Call implement host.HTTPClient: they are the sidecar.
func (s *module) Endpoints(cluster string) (n int, ok bool) {
	ok = cluster == "sidecar" && s.usage.Load() != nil
	return 1, ok
}

func (s *module) Call(context.Context, *host.HTTPRequest) *host.HTTPResponse {
	return &host.HTTPResponse{Headers: []host.Header{{Name: ":status", Value: "200"}}, Body: []byte(*s.usage.Load())}
}

func (s *module) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.logged...)
}

func (s *module) finish() {
	s.filter.Release()
	select {
	case <-s.filter.Done():
	case <-time.After(time.Minute):
		require.Fail(s.t, "the plugin does not end")
	}
}

func (s *module) metric(name string) uint64 {
	for _, m := range s.metrics.All() {
		if m.Name == name {
			return m.Value()
		}
	}
	require.Fail(s.t, "no such metric", name)
	return 0
}

func (s *module) connect() flow {
	stream, ok := s.filter.NewStream(0, &host.Connection{
		ID: 42, SourceAddress: "10.0.0.7:40112", SourcePort: 40112, DestinationAddress: "10.0.0.8:8080", DestinationPort: 8080,
	})
	require.True(s.t, ok)
	require.Equal(s.t, host.Continue, stream.NewConnection())
	return moduleFlow{s.t, stream}
}

type moduleFlow struct {
	t      *testing.T
	stream *host.Stream
}

func (f moduleFlow) send(d record.Direction, data string) { f.pass(d, data, false) }
func (f moduleFlow) end(d record.Direction)               { f.pass(d, "", true) }
func (f moduleFlow) close(by types.PeerType)              { f.stream.DownstreamClose(host.CloseType(by)) }

func (f moduleFlow) pass(d record.Direction, data string, end bool) {
	send := f.stream.DownstreamData
	if d == record.Upstream {
		send = f.stream.UpstreamData
	}
	require.Equal(f.t, host.Continue, send([]byte(data), end))
}
