package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	windowA = record.UUID{0x01, 0xa2, 0x06, 0x00, 0x42, 0x50, 0x80, 0x1e, 0xac, 0x34, 0x64, 0x75, 0x6d, 0x70, 0x00, 0}
	windowB = record.UUID{0x01, 0xa2, 0x06, 0x00, 0xb7, 0x80, 0x80, 0x1e, 0xac, 0x34, 0x64, 0x75, 0x6d, 0x70, 0x00, 0}
	connA   = record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: 0x2a}
	connB   = record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: 0x2b}
)

// startTime is 2026-11-23T01:23:51.123456789Z.
const startTime = 1795397031123456789

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

// masked writes data of which the bytes that are "*" are masked.
func (r *recorder) masked(d record.Direction, payload string) string {
	defer r.step()
	line := record.AppendMasked(nil, &r.header, d, r.offsets[d], []byte(payload), strings.Count(payload, "*"))
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

// collector notes what an Assembler gives.
type collector struct {
	mu       sync.Mutex
	records  []string // as they stand in the dump
	places   []string
	streams  map[rawFile]string // the payloads of one direction, one after another
	verdicts []string
	faults   []string
	own      []string // faults that reached a connection's consumer
	flushes  int
	fail     error // returned for each record
}

func (c *collector) Begin(*Connection) Consumer { return c }

func (c *collector) Event(e *Event, at Place) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = append(c.records, fmt.Sprintf("%s #%d %s", e.Conn, e.Seq, e.Kind))
	c.places = append(c.places, at.String())
	if e.Kind == KindData {
		if c.streams == nil {
			c.streams = map[rawFile]string{}
		}
		c.streams[rawFile{e.Conn, e.Direction}] += string(e.Payload)
	}
	return c.fail
}

func (c *collector) End(v *Verdict) error {
	c.verdicts = append(c.verdicts, v.String())
	return nil
}

func (c *collector) Fault(f *Fault) { c.own = append(c.own, f.String()) }

func (c *collector) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushes++
	return nil
}

// reports is a collector's Reporter.
type reports struct{ *collector }

func (r reports) Fault(f *Fault) { r.InputFault(f) }

func (r reports) InputFault(f fmt.Stringer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f.String())
}

// recordLines is a Source of records, one a line and nothing around it.
type recordLines []string

func (s recordLines) Read(_ context.Context, a *Assembler) error {
	input := Name("log")
	for i, line := range s {
		r, n, err := record.Parse([]byte(line), nil)
		if err != nil || n != len(line) {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
		event := EventOf(&r)
		print := Fingerprint{}
		print.Length = n
		for _, c := range []byte(line[n-8:]) {
			print.Sum = print.Sum<<8 | uint64(c)
		}
		if err := a.Add(&event, print, Place{Input: input, Number: int64(i + 1), Column: 1}, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// assemble returns what comes of records.
func assemble(t *testing.T, options Options, lines []string) (*collector, Stats) {
	t.Helper()
	var c collector
	options.Reporter = reports{&c}
	stats, err := Read(t.Context(), &c, options, recordLines(lines))
	require.NoError(t, err)
	return &c, stats
}

var errDisk = errors.New("disk full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errDisk }
