package dumplog_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	windowA = record.UUID{0x01, 0xa2, 0x06, 0x00, 0x42, 0x50, 0x80, 0x1e, 0xac, 0x34, 0x64, 0x75, 0x6d, 0x70, 0x00, 0}
	connA   = record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: 0x2a}
	connB   = record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: 0x2b}
)

// startTime is 2026-11-23T01:23:51.123456789Z.
const startTime = 1795397031123456789

const (
	envoyPrefix = "[2026-11-23 01:23:51.887][25111][info][wasm] " +
		"[source/extensions/common/wasm/context.cc:1151] wasm log l4dump l4dump l4dump-v1: "
	istioPrefix = "2026-11-23T01:23:51.887000Z\tinfo\tenvoy wasm " +
		"external/envoy/source/extensions/common/wasm/context.cc:1151\twasm log l4dump l4dump l4dump-v1: "
	istioSuffix = "\tthread=24351"
	criTime     = "2026-11-23T01:23:51.887123456Z"
)

// recorder writes the records of one connection as the plugin does.
type recorder struct {
	header  record.Header
	offsets [2]uint64
}

func newRecorder(id record.ConnID) *recorder {
	return &recorder{header: record.Header{Window: windowA, Port: 8080, Conn: id, Time: startTime}}
}

func (r *recorder) step() {
	r.header.Seq++
	r.header.Time += 1_000_000
}

func (r *recorder) open() string {
	defer r.step()
	return string(record.AppendOpen(nil, &r.header, &record.Open{
		Unit: "connections", Started: startTime - 1000, ProxyConn: 12, HasProxyConn: true, Source: "10.0.0.7:40112",
		Destination: "10.0.0.9:8080", SNI: "db.example", Peer: "spiffe://cluster.local/ns/demo", MTLS: true,
	}))
}

func (r *recorder) data(d record.Direction, payload string) string {
	defer r.step()
	line := record.AppendData(nil, &r.header, d, r.offsets[d], []byte(payload))
	r.offsets[d] += uint64(len(payload))
	return string(line)
}

func (r *recorder) end(d record.Direction) string {
	defer r.step()
	return string(record.AppendEnd(nil, &r.header, d, r.offsets[d]))
}

// close writes the close record for a connection of which everything was kept.
func (r *recorder) close() string {
	return r.closeWith(
		record.Ledger{Seen: r.offsets[0], Kept: r.offsets[0]},
		record.Ledger{Seen: r.offsets[1], Kept: r.offsets[1]},
	)
}

func (r *recorder) closeWith(downstream, upstream record.Ledger) string {
	defer r.step()
	return string(record.AppendClose(nil, &r.header, &record.Close{By: "downstream", Downstream: downstream, Upstream: upstream}))
}

// peek returns what data would write.
func (r *recorder) peek(payload string) string {
	return string(record.AppendData(nil, &r.header, record.Downstream, r.offsets[0], []byte(payload)))
}

// conversation returns the lines of a whole connection with all kinds of records.
func conversation(id record.ConnID) []string {
	r := newRecorder(id)
	return []string{
		r.open(),
		r.data(record.Downstream, "GET / HTTP/1.0\r\n\r\n"),
		r.end(record.Downstream),
		r.data(record.Upstream, "HTTP/1.0 200 OK\r\n\r\n\x00\x1b[31mred"),
		r.end(record.Upstream),
		r.close(),
	}
}

// collector notes what comes of a log.
type collector struct {
	mu           sync.Mutex
	records      []string // as they stand in the dump
	places       []string
	streams      map[stream]string // the payloads of one direction, one after another
	verdicts     []string
	layotto      []string
	layottoLines uint64
	faults       []string
	own          []string // faults that reached a connection's consumer
	flushes      int
	fail         error // returned for each record
}

func (c *collector) Begin(*capture.Connection) capture.Consumer { return c }

func (c *collector) Event(e *capture.Event, at capture.Place) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = append(c.records, fmt.Sprintf("%s #%d %s", e.Conn, e.Seq, e.Kind))
	c.places = append(c.places, at.String())
	if e.Kind == capture.KindData {
		if c.streams == nil {
			c.streams = map[stream]string{}
		}
		c.streams[stream{e.Conn, e.Direction}] += string(e.Payload)
	}
	return c.fail
}

func (c *collector) End(v *capture.Verdict) error {
	c.verdicts = append(c.verdicts, v.String())
	return nil
}

func (c *collector) Layotto(window record.UUID, port uint16, payload []byte, at capture.Place) error {
	c.layotto = append(c.layotto, fmt.Sprintf("%s %s %d %q", at, window, port, payload))
	return nil
}

func (c *collector) Fault(f *capture.Fault) { c.own = append(c.own, f.String()) }

func (c *collector) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushes++
	return nil
}

// reports is a collector's Reporter.
type reports struct{ *collector }

func (r reports) Fault(f *capture.Fault) { r.InputFault(f) }

func (r reports) InputFault(f fmt.Stringer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f.String())
}

// stream is one direction of a connection.
type stream struct {
	conn      record.ConnID
	direction record.Direction
}

// read gives all that is in source to c and returns the numbers.
func (c *collector) read(ctx context.Context, source *dumplog.Source, options capture.Options) (capture.Stats, error) {
	options.Reporter = reports{c}
	return capture.Read(ctx, c, options, source)
}

// decode decodes input, read in pieces of a size that cuts lines, and returns what came.
func decode(t *testing.T, options capture.Options, input string) (*collector, capture.Stats) {
	t.Helper()
	var c collector
	source := dumplog.NewSource(dumplog.Options{Layotto: c.Layotto}, streamOf(&pieces{text: input, size: 1000}))
	stats, err := c.read(t.Context(), source, options)
	require.NoError(t, err)
	c.layottoLines = source.LayottoLines()
	return &c, stats
}

func streamOf(r io.Reader) dumplog.Stream { return dumplog.Stream{Name: "log", Reader: r} }

// pieces is an io.Reader that returns size bytes at a time.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), p.size)], p.text)
	p.text = p.text[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// logOf returns a log of lines.
func logOf(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// seen returns the numbers of records, faults and flushes so far.
func (c *collector) seen() [3]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return [3]int{len(c.records), len(c.faults), c.flushes}
}

// failures is a capture.Reporter that keeps the faults.
type failures []string

func (f *failures) Fault(fault *capture.Fault) { f.InputFault(fault) }

func (f *failures) InputFault(fault fmt.Stringer) { *f = append(*f, fault.String()) }

// texts returns faults without their places and connections.
func texts(faults []string) []string {
	var rest []string
	for _, fault := range faults {
		parts := strings.SplitN(fault, ": ", 3)
		rest = append(rest, parts[len(parts)-1])
	}
	return rest
}
