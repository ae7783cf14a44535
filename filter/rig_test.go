package filter

import (
	"io"
	"log"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/record"
	"l4dump/strategy"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // the emulator's own log
	os.Exit(m.Run())
}

const (
	testVM = 0x0123456789abcdef
	// windowStart is the start of a window of every interval used here.
	windowStart = int64(1732320000) * int64(time.Second)
)

// rig is one VM in the SDK's emulator, with a made clock and log level.
type rig struct {
	proxytest.HostEmulator
	t       *testing.T
	vm      *vm
	streams map[uint32]types.TcpContext // by the emulator's numbers
	now     int64
	level   abi.Level
	title   string // the plugin's name; empty is none
	named   bool   // clients show a name and a certificate
	number  []byte // the proxy's of each connection; empty is none
	reset   func()
}

// spyVM and spyPlugin keep the contexts of connections, since the emulator cannot end a stream.
type spyVM struct {
	*vm
	rig *rig
}

func (s spyVM) NewPluginContext(id uint32) types.PluginContext {
	return spyPlugin{s.vm.NewPluginContext(id).(*plugin), s.rig}
}

type spyPlugin struct {
	*plugin
	rig *rig
}

func (s spyPlugin) NewTcpContext(id uint32) types.TcpContext {
	s.rig.streams[id] = s.plugin.NewTcpContext(id)
	return s.rig.streams[id]
}

// newRig returns a rig whose clients show a name and a certificate.
func newRig(t *testing.T, config string) *rig { return startRig(t, config, true) }

// newAnonymousRig returns a rig whose clients show neither.
func newAnonymousRig(t *testing.T, config string) *rig { return startRig(t, config, false) }

func startRig(t *testing.T, config string, named bool) *rig {
	r := &rig{t: t, named: named, title: "recorder", number: []byte{42, 0, 0, 0, 0, 0, 0, 0}, now: windowStart, streams: map[uint32]types.TcpContext{}}
	r.vm = New(Options{
		Now:      func() int64 { return r.now },
		Random:   func() uint64 { return testVM },
		LogLevel: func() abi.Level { return r.level },
		Log:      abi.Log,
	}).(*vm)
	r.host(config)
	t.Cleanup(func() { r.reset() })
	require.Equal(t, types.OnVMStartStatusOK, r.StartVM())
	require.Equal(t, types.OnPluginStartStatusOK, r.StartPlugin())
	return r
}

// host makes a new emulator with another configuration around the same VM.
func (r *rig) host(config string) {
	options := proxytest.NewEmulatorOption().WithVMContext(spyVM{r.vm, r}).WithPluginConfiguration([]byte(config)).
		WithProperty([]string{"plugin_root_id"}, []byte("root")).
		WithProperty([]string{"plugin_vm_id"}, []byte("vm")).
		WithProperty([]string{"source", "address"}, []byte("10.0.0.7:40112")).
		WithProperty([]string{"destination", "address"}, []byte("10.0.0.8:8080"))
	if r.named {
		options = options.WithProperty([]string{"connection", "mtls"}, []byte{1}).
			WithProperty([]string{"connection", "requested_server_name"}, []byte("orders.example")).
			WithProperty([]string{"connection", "uri_san_peer_certificate"}, []byte("spiffe://example/ns/demo"))
	}
	if r.title != "" {
		options = options.WithProperty([]string{"plugin_name"}, []byte(r.title))
	}
	if len(r.number) > 0 {
		options = options.WithProperty([]string{"connection", "id"}, r.number)
	}
	r.HostEmulator, r.reset = proxytest.NewHostEmulator(options)
}

// configure gives the VM another configuration, in a new root context, as a proxy does.
func (r *rig) configure(config string) {
	r.reset()
	r.host(config)
	r.vm.started, r.vm.metrics = false, metrics{} // the new emulator has no metrics yet
	require.Equal(r.t, types.OnVMStartStatusOK, r.StartVM())
	require.Equal(r.t, types.OnPluginStartStatusOK, r.StartPlugin())
}

func (r *rig) connect() uint32 {
	id, action := r.InitializeConnection()
	require.Equal(r.t, types.ActionContinue, action)
	return id
}

func (r *rig) downstream(id uint32, data string) {
	require.Equal(r.t, types.ActionContinue, r.CallOnDownstreamData(id, []byte(data)))
}

func (r *rig) upstream(id uint32, data string) {
	require.Equal(r.t, types.ActionContinue, r.CallOnUpstreamData(id, []byte(data)))
}

// done closes a connection as the emulator does: the proxy closes it.
func (r *rig) done(id uint32) {
	r.CloseDownstreamConnection(id)
	r.CompleteConnection(id)
}

// lines are the log lines at info but the plugin's own messages.
func (r *rig) lines() []string {
	var lines []string
	for _, line := range r.GetInfoLogs() {
		if !strings.HasPrefix(line, "l4dump: ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// records are the records that were logged at info.
func (r *rig) records() []record.Record {
	var records []record.Record
	for _, line := range r.lines() {
		got, n, err := record.Parse([]byte(line), nil)
		require.NoError(r.t, err, line)
		require.Equal(r.t, len(line), n)
		records = append(records, got)
	}
	return records
}

func (r *rig) counter(name string) uint64 {
	n, err := r.GetCounterMetric("l4dump_" + name)
	require.NoError(r.t, err)
	return n
}

func (r *rig) gauge(name string) uint64 {
	n, err := r.GetGaugeMetric("l4dump_" + name)
	require.NoError(r.t, err)
	return n
}

// header is the one of the rig's number-th recorded connection in the first window of 30 s.
func header(number, seq uint64, now int64) record.Header {
	return record.Header{
		Window: strategy.Window{Start: windowStart / int64(time.Second), Interval: 30}.UUID(),
		Port:   8080, Conn: record.ConnID{VM: testVM, Number: number}, Seq: seq, Time: now,
	}
}

func openRecord(h record.Header, unit string, started int64) record.Record {
	return record.Record{Kind: record.KindOpen, Header: h, Open: &record.Open{
		Unit: unit, Started: started, ProxyConn: 42, HasProxyConn: true, Source: "10.0.0.7:40112", Destination: "10.0.0.8:8080",
		SNI: "orders.example", Peer: "spiffe://example/ns/demo", MTLS: true,
	}}
}

func dataRecord(h record.Header, d record.Direction, offset uint64, payload string) record.Record {
	return record.Record{Kind: record.KindData, Header: h, Direction: d, Offset: offset, Payload: []byte(payload)}
}

func endRecord(h record.Header, d record.Direction, offset uint64) record.Record {
	return record.Record{Kind: record.KindEnd, Header: h, Direction: d, Offset: offset}
}

func closeRecord(h record.Header, by string, downstream, upstream record.Ledger) record.Record {
	return record.Record{Kind: record.KindClose, Header: h, Close: &record.Close{By: by, Downstream: downstream, Upstream: upstream}}
}

func ledger(seen, kept uint64, dropped ...record.Drop) record.Ledger {
	return record.Ledger{Seen: seen, Kept: kept, Dropped: dropped}
}
