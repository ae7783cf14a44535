package inspect_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/internal/inspect"
)

// BenchmarkInspect reports the bytes of dump text that are inspected each second.
func BenchmarkInspect(b *testing.B) {
	for _, row := range []struct {
		name        string
		connections int
	}{{"1000 connections", 1000}, {"10000 connections", 10000}} {
		log := mixed(row.connections)
		b.Run(row.name, func(b *testing.B) {
			b.SetBytes(int64(len(log)))
			b.ReportAllocs()
			for b.Loop() {
				report := reportOf(b, log, inspect.Options{}, capture.Filter{})
				require.Equal(b, uint64(row.connections), report.Connections)
			}
		})
	}
}

// repeated is a source of connections that follow one another, each with a peer and a port of its own.
type repeated int

func (r repeated) Read(_ context.Context, a *capture.Assembler) error {
	log := dumplog.NewSource(dumplog.Options{}, dumplog.Stream{Name: "log", Reader: &connections{most: int(r)}})
	return log.Read(context.Background(), a)
}

// connections is the text of a log that is made as it is read.
type connections struct {
	next, most int
	rest       string
}

func (c *connections) Read(b []byte) (int, error) {
	if c.rest == "" {
		if c.next == c.most {
			return strings.NewReader("").Read(b)
		}
		r := newRecorder(uint64(c.next+1), uint16(c.next), startTime+int64(c.next)*second)
		r.open.Peer = "spiffe://" + strings.Repeat("x", 100) + string(r.header.Conn.Append(nil))
		c.rest = r.begin().data(down, "what is this, and more of it").data(up, strings.Repeat("y", 100)).close("proxy").text()
		c.next++
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// TestMemory holds that four times the connections, all different, take no more memory.
func TestMemory(t *testing.T) {
	heap := func(connections int) int64 {
		summary := inspect.NewSummary(inspect.Options{Top: 10})
		_, err := capture.Read(t.Context(), summary, capture.Options{
			Limits: capture.Limits{ClosedConnections: 1, HistoryRecords: 1},
		}, repeated(connections))
		require.NoError(t, err)
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		report := summary.Report(0)
		require.Equal(t, uint64(connections), report.Connections)
		return int64(stats.HeapAlloc)
	}
	few := heap(11_000) // more than groups are kept
	many := heap(44_000)
	require.Less(t, many-few, int64(4<<20))
}
