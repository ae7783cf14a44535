//go:build !wasip1

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/guest"
	"l4dump/internal/host"
	"l4dump/record"
)

const everything = `{"strategy":{"switch":"ON","interval":3600,"duration":3599},"resource_guard":"off",` +
	`"capture":{"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0}}`

// log is what a host writes, line by line.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// records reads the records in the log, and hands them and the other lines out.
func (l *log) records(t *testing.T) (records []record.Record, others []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		start, damaged := record.Find([]byte(line), 0)
		require.False(t, damaged)
		if start < 0 {
			others = append(others, line)
			continue
		}
		got, _, err := record.Parse([]byte(line)[start:], nil)
		require.NoError(t, err)
		records = append(records, got)
	}
	return records, others
}

// build builds a module for wasip1.
func build(t *testing.T, source string) []byte {
	out := filepath.Join(t.TempDir(), "module.wasm")
	require.NoError(t, guest.Build(t.Context(), out, source))
	module, err := os.ReadFile(out)
	require.NoError(t, err)
	return module
}

// start runs a module with one worker, inside a window.
func start(t *testing.T, module []byte, pollFails bool) (*host.Filter, *log) {
	return configure(t.Context(), t, module, everything, pollFails)
}

// configure runs a module with one worker, at the start of a window of every interval.
func configure(ctx context.Context, t *testing.T, module []byte, configuration string, pollFails bool) (*host.Filter, *log) {
	l := &log{}
	now := func() time.Time { return time.Unix(1732320000, 0) }
	engine, err := host.NewEngine(ctx, host.VMConfig{ID: "vm", Code: module}, host.Options{
		Workers: 1, Now: now, Log: host.NewLogger(l, host.LevelInfo, 1, now),
		Shared: new(host.SharedData), Metrics: new(host.Metrics), CacheDir: host.ModuleCache(), PollFails: pollFails,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close(t.Context())) })
	filter, err := engine.Configure(ctx, host.Plugin{
		Name: "l4dump", RootID: "root", Configuration: []byte(configuration), FailurePolicy: host.FailOpenLive,
	})
	require.NoError(t, err)
	t.Cleanup(filter.Release)
	return filter, l
}

func connect(t *testing.T, filter *host.Filter) *host.Stream {
	stream, ok := filter.NewStream(0, &host.Connection{
		ID: 7, SourceAddress: "10.0.0.7:40112", DestinationAddress: "10.0.0.8:8080", DestinationPort: 8080,
	})
	require.True(t, ok)
	require.Equal(t, host.Continue, stream.NewConnection())
	return stream
}

func TestModule(t *testing.T) {
	module := build(t, ".")
	for _, row := range []struct {
		name      string
		pollFails bool
	}{
		{"as on Envoy since 1.39", false},
		{"as on Envoy before, which cannot poll", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			filter, l := start(t, module, row.pollFails)
			stream := connect(t, filter)
			large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB, as much as a proxy gives at a time
			require.Equal(t, host.Continue, stream.DownstreamData([]byte("hello"), false))
			require.Equal(t, host.Continue, stream.UpstreamData(large, false))
			require.Equal(t, host.Continue, stream.DownstreamData(nil, true))
			require.Equal(t, host.Continue, stream.UpstreamData(nil, true))
			stream.DownstreamClose(host.CloseLocal)

			records, _ := l.records(t)
			require.Equal(t, record.Open{
				Unit: "connections", Started: 1732320000e9, ProxyConn: 7, HasProxyConn: true, Source: "10.0.0.7:40112", Destination: "10.0.0.8:8080",
			}, *records[0].Open)
			require.Equal(t, "hello", string(records[1].Payload))
			var upstream []byte
			for i, r := range records {
				require.Equal(t, uint64(i), r.Seq)
				require.Equal(t, uint16(8080), r.Port)
				require.Equal(t, int64(1732320000e9), r.Time)
				require.Equal(t, records[0].Conn, r.Conn)
				if r.Kind == record.KindData && r.Direction == record.Upstream {
					require.Equal(t, uint64(len(upstream)), r.Offset)
					upstream = append(upstream, r.Payload...)
				}
			}
			require.True(t, bytes.Equal(large, upstream))
			require.Equal(t, record.Close{
				By: "downstream", Downstream: record.Ledger{Seen: 5, Kept: 5}, Upstream: record.Ledger{Seen: 1 << 20, Kept: 1 << 20},
			}, *records[len(records)-1].Close)
		})
	}
}

// TestModuleAllocatesNothing counts the bytes that were recorded too, so that doing nothing fails.
func TestModuleAllocatesNothing(t *testing.T) {
	filter, l := start(t, build(t, "./testdata/meter"), true)
	stream := connect(t, filter)
	read := bytes.Repeat([]byte("x"), 10_000)
	const reads = 1000
	stream.DownstreamData(read, false) // what is reserved once is not counted
	stream.DownstreamData([]byte("collect"), false)
	stream.DownstreamData([]byte("begin"), false)
	for range reads {
		stream.DownstreamData(read, false)
	}
	stream.DownstreamData([]byte("end"), false)

	records, others := l.records(t)
	kept := 0
	for _, r := range records {
		kept += len(r.Payload)
	}
	require.Equal(t, (1+reads)*len(read), kept)
	require.True(t, strings.HasSuffix(others[len(others)-1],
		"meter: 0 allocations of 0 bytes in 1000 reads of 10000000 bytes"), others[len(others)-1])
}
