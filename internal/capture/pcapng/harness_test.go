package pcapng

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/capture"
	"l4dump/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var window = record.UUID{0x01, 0xa2, 0x06, 0x00, 0x42, 0x50, 0x80, 0x1e, 0xac, 0x34, 0x64, 0x75, 0x6d, 0x70, 0x00, 0}

// startTime is 2026-11-23T01:23:51.123456789Z.
const startTime = 1795397031123456789

// foreignVM is of the connections that something else has recorded.
const foreignVM = 1

// events is a capture.Source of events as a recorder has them.
type events []capture.Event

// Read implements capture.Source.
func (s events) Read(_ context.Context, a *capture.Assembler) error {
	for i := range s {
		at := capture.Place{Input: capture.Name("log"), Number: int64(i + 1)}
		if s[i].Conn.VM == foreignVM {
			if err := a.Foreign(s[i].Conn); err != nil {
				return err
			}
		}
		if err := a.Add(&s[i], capture.Fingerprint{Sum: uint64(i), Length: 1}, at, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// recorder makes the events of one connection as the plugin does.
type recorder struct {
	header  capture.Header
	offsets [2]uint64
	dropped [2]uint64
	events  events
}

func newRecorder(number uint64) *recorder {
	return &recorder{header: capture.Header{
		Window: window, Port: 8080, Conn: capture.ID{VM: 0x9f0c6a1be3d2a417, Number: number}, Time: startTime,
	}}
}

func (r *recorder) add(e capture.Event) {
	e.Header = r.header
	r.events = append(r.events, e)
	r.header.Seq++
	r.header.Time += 1_000_000
}

func (r *recorder) open(source, destination string) *recorder {
	r.add(capture.Event{Kind: capture.KindOpen, Open: &capture.Open{
		Unit: "connections", Started: startTime - 1000, ProxyConn: 12, HasProxyConn: true, Source: source,
		Destination: destination, SNI: "db\x1b.example", Peer: "spiffe://cluster.local/ns/demo", MTLS: true,
	}})
	return r
}

func (r *recorder) data(d capture.Direction, payload string) *recorder {
	r.add(capture.Event{Kind: capture.KindData, Direction: d, Offset: r.offsets[d], Payload: []byte(payload)})
	r.offsets[d] += uint64(len(payload))
	return r
}

// drop makes n bytes of a direction pass that are not recorded.
func (r *recorder) drop(d capture.Direction, n uint64) *recorder {
	r.offsets[d] += n
	r.dropped[d] += n
	return r
}

func (r *recorder) end(d capture.Direction) *recorder {
	r.add(capture.Event{Kind: capture.KindEnd, Direction: d, Offset: r.offsets[d]})
	return r
}

func (r *recorder) close(by string) *recorder {
	c := capture.Close{By: by, HasLedger: true}
	for d, n := range r.offsets {
		c.Ledger[d] = capture.Ledger{Seen: n, Kept: n - r.dropped[d]}
		if r.dropped[d] > 0 {
			c.Ledger[d].Dropped = []record.Drop{{Reason: "budget", Bytes: r.dropped[d]}}
		}
	}
	r.add(capture.Event{Kind: capture.KindClose, Close: &c})
	return r
}

// write returns the capture of sources.
func write(tb testing.TB, sources ...capture.Source) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, nil)
	_, err := capture.Read(tb.Context(), w, capture.Options{}, sources...)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return out.Bytes()
}

// command runs a program of Debian's that `make debian` installs. Without it, the test is skipped; in continuous
// integration it fails.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed: make debian", name)
		}
		t.Skipf("%s is not installed: make debian", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}

// save writes a file for a program to read.
func save(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}
