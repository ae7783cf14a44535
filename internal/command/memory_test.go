package command

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/record"
)

// endless is a dump that is made while it is read: connections in turn, none of which ends. When it has come to its
// end, it notes how much of the heap is live.
type endless struct {
	conns   uint64
	records uint64 // of all connections, without their open records
	late    bool   // each connection's record 1 is missing
	size    int    // of a payload

	made    uint64
	payload []byte
	rest    []byte
	live    uint64
}

func (e *endless) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if len(e.rest) == 0 && e.made == e.records+e.conns {
			break
		}
		if len(e.rest) == 0 {
			e.line()
		}
		copied := copy(b[n:], e.rest)
		n, e.rest = n+copied, e.rest[copied:]
	}
	if n == 0 {
		e.live = liveHeap()
		return 0, io.EOF
	}
	return n, nil
}

func (e *endless) line() {
	h := record.Header{
		Port: 8080, Conn: record.ConnID{VM: 1, Number: 1 + e.made%e.conns}, Seq: e.made / e.conns, Time: 1795397031123456789,
	}
	e.made++
	if h.Seq == 0 {
		client := fmt.Sprintf("10.0.%d.%d:40000", h.Conn.Number>>8&0xff, h.Conn.Number&0xff)
		e.rest = append(record.AppendOpen(e.rest[:0], &h, &record.Open{Unit: "connections", Source: client, Destination: "10.1.0.1:8080"}), '\n')
		return
	}
	offset := (h.Seq - 1) * uint64(e.size)
	if e.late {
		h.Seq++
	}
	e.payload = append(e.payload[:0], make([]byte, e.size)...)
	e.rest = append(record.AppendData(e.rest[:0], &h, record.Upstream, offset, e.payload), '\n')
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What is held to the bounds besides the formats.
const (
	conversations = "conversation"
	grepped       = "grep"
)

// decodeEndless returns how much of the heap decode takes when it has read e, and how many faults there were.
func decodeEndless(t *testing.T, format string, e *endless) (taken int64, faults uint64) {
	t.Helper()
	flags := decodeFlags{format: format}
	if format == formatRaw || format == formatPCAP {
		flags.out = filepath.Join(t.TempDir(), "out")
	}
	flags.conversation = format == conversations
	before := liveHeap()
	var sink capture.Sink
	if format == grepped {
		pattern, err := capture.ParsePattern("re:\\x00\\x01$")
		require.NoError(t, err)
		sink = &capture.Choice{Pattern: pattern, Marks: true}
	} else {
		w, err := newWriter(io.Discard, &flags)
		require.NoError(t, err)
		defer func() { require.NoError(t, w.Close()) }()
		sink = w
	}
	stats, err := capture.Read(t.Context(), sink, capture.Options{}, dumplog.NewSource(dumplog.Options{}, dumplog.Stream{Name: "dump", Reader: e}))
	require.NoError(t, err)
	return int64(e.live) - int64(before), stats.Faults
}

// TestMemory holds that what decode keeps does not grow with what connections carry, however many are interleaved, nor
// with what waits for a record that does not come.
func TestMemory(t *testing.T) {
	if os.Getenv("HEAVY") != "true" {
		t.Skip("skipped without HEAVY=true: run make test-heavy")
	}
	const mebibyte = 1 << 20
	for _, format := range []string{formatJSON, formatRaw, formatPCAP, formatParquet, conversations, grepped} {
		for _, row := range []struct {
			name string
			dump endless
			more int64 // that may be kept for eight times as many records
		}{
			// Raw has up to 16 MiB in buffers, and so has a table in a row group.
			{"long connections in turn", endless{conns: 64, records: 4 << 10, size: 1800}, 17 * mebibyte},
			{"many connections in turn", endless{conns: 2 << 10, records: 8 << 10, size: 200}, 17 * mebibyte},
			// Up to 32 MiB of payload and 65536 records wait.
			{"a missing record", endless{conns: 64, records: 4 << 10, size: 1800, late: true}, (32 + 16 + 16) * mebibyte},
			{"a missing record before short ones", endless{conns: 64, records: 16 << 10, size: 1, late: true}, (32 + 16) * mebibyte},
		} {
			t.Run(format+", "+row.name, func(t *testing.T) {
				few, many := row.dump, row.dump
				many.records *= 8
				bound := row.more
				switch format {
				case formatRaw, formatParquet:
				case conversations: // up to 32 MiB of them wait for their connections' end
					bound += 16 * mebibyte
				case grepped: // up to 8 KiB for each direction
					bound += int64(row.dump.conns) * 8 << 10
					fallthrough
				default:
					bound -= 16 * mebibyte
				}
				less, _ := decodeEndless(t, format, &few)
				more, faults := decodeEndless(t, format, &many)
				require.LessOrEqual(t, more-less, bound, "%d bytes, and %d for eight times as much", less, more)
				if row.dump.late {
					require.GreaterOrEqual(t, faults, 2*row.dump.conns, "a record is missing in each connection, and its end")
				}
			})
		}
	}
}
