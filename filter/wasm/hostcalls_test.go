//go:build !wasip1

package main

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"l4dump/internal/host"
)

// calls are the calls between a proxy and a module, in their order: those that the module makes, and the memory that the
// proxy asks it for.
type calls struct {
	mu    sync.Mutex
	names []string
}

// NewFunctionListener implements experimental.FunctionListenerFactory.
func (c *calls) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	name := f.Name()
	if exports := f.ExportNames(); len(exports) > 0 {
		name = exports[0]
	}
	if f.GoFunction() == nil && name != "proxy_on_memory_allocate" {
		return nil
	}
	return experimental.FunctionListenerFunc(
		func(context.Context, api.Module, api.FunctionDefinition, []uint64, experimental.StackIterator) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.names = append(c.names, name)
		})
}

// of returns the calls while do runs.
func (c *calls) of(do func()) []string {
	c.mu.Lock()
	c.names = nil
	c.mu.Unlock()
	do()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.names)
}

// What is asked of the proxy, by its names.
const (
	now      = "proxy_get_current_time_nanoseconds"
	logLevel = "proxy_get_log_level"
	buffer   = "proxy_get_buffer_bytes"
	allocate = "proxy_on_memory_allocate"
	write    = "proxy_log"
	shared   = "proxy_get_shared_data"
	share    = "proxy_set_shared_data"
	property = "proxy_get_property"
)

// TestHostcalls holds what a connection asks of the proxy at its birth, for its reads and at its end. A call costs more
// than all else that the plugin does for a read of which it records nothing.
func TestHostcalls(t *testing.T) {
	const (
		off   = `{"resource_guard":"off"`
		on    = `{"strategy":{"switch":"ON","interval":3600,"duration":3599},"resource_guard":"off"`
		free  = `"directions":["downstream","upstream"],"max_bytes_per_second":0,"max_lines_per_second":0`
		whole = `,"capture":{"unit":"connections",`
	)
	var none []string
	// Source, destination, the proxy's number and mTLS are known, names are not.
	open := []string{property, allocate, property, allocate, property, allocate, property, property, property, allocate}
	data := []string{buffer, allocate, write}
	line := []string{now, logLevel, buffer, allocate, write}
	module := build(t, ".")
	for _, row := range []struct {
		name          string
		configuration string
		born          []string // at a connection's birth
		first         []string // for its first read
		read          []string // for each later one
		closed        []string // at its end
	}{
		{"switched off", off + `}`, []string{now}, none, none, none},
		{"switched off, whole connections", off + whole + free + `}}`, []string{now}, none, none, none},
		{
			"window closed", `{"strategy":{"switch":"ON","interval":3599,"duration":1},"resource_guard":"off"}`,
			[]string{now},
			none, none, none,
		},
		{
			"window closed, whole connections",
			`{"strategy":{"switch":"ON","interval":3599,"duration":1},"resource_guard":"off"` + whole + free + `}}`,
			[]string{now},
			none, none, none,
		},
		{
			"not selected", on + whole + `"match":{"ports":[1]},` + free + `}}`,
			[]string{now, logLevel, property, allocate, property, allocate, property, allocate},
			none, none, none,
		},
		{"sampled out", on + whole + `"connection_rate":1e-9,` + free + `}}`, []string{now, logLevel}, none, none, none},
		{
			"other direction", on + `,"capture":{"directions":["upstream"]}}`,
			[]string{now, logLevel},
			[]string{now, logLevel},
			[]string{now, logLevel},
			none,
		},
		{
			"everything", on + `,"capture":{` + free + `}}`,
			[]string{now, logLevel},
			slices.Concat([]string{now, logLevel}, open, []string{write}, data), line,
			[]string{now, logLevel, write},
		},
		{
			"everything, whole connections", on + whole + `"max_connections":0,` + free + `}}`,
			[]string{now, logLevel},
			slices.Concat([]string{now, logLevel}, open, []string{write}, data), line,
			[]string{now, logLevel, write, now},
		},
		{ // the workers together have at most so many
			"everything, 1000 whole connections at a time", on + whole + free + `}}`,
			[]string{now, logLevel, shared, allocate, share},
			slices.Concat([]string{now, logLevel}, open, []string{write}, data), line,
			[]string{now, logLevel, write, now, shared, allocate, share},
		},
		{
			"everything, long writes", on + `,"output":{"write_bytes":65536},"capture":{` + free + `}}`,
			[]string{now},
			slices.Concat([]string{now}, open, data[:2]),
			[]string{now, buffer, allocate},
			[]string{now},
		},
		{
			"default budget", on + `,"capture":{"directions":["downstream","upstream"]}}`,
			[]string{now, logLevel},
			slices.Concat([]string{now, logLevel}, open, []string{write}, []string{shared, allocate, share}, data), line,
			[]string{now, logLevel, write},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var c calls
			ctx := experimental.WithFunctionListenerFactory(t.Context(), &c)
			filter, _ := configure(ctx, t, module, row.configuration, false)
			message := bytes.Repeat([]byte("x"), 64)
			var stream *host.Stream
			require.Equal(t, row.born, c.of(func() { stream = connect(t, filter) }))
			require.Equal(t, row.first, c.of(func() { stream.DownstreamData(message, false) }))
			for range 3 {
				require.Equal(t, row.read, c.of(func() { stream.DownstreamData(message, false) }))
			}
			require.Equal(t, row.closed, c.of(func() { stream.DownstreamClose(host.CloseLocal) }))
		})
	}
}
