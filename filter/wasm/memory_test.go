//go:build !wasip1

package main

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/host"
)

// TestMemoryOfConnections bounds what a live connection takes of the module's heap.
func TestMemoryOfConnections(t *testing.T) {
	const (
		connections = 10_000
		most        = 512 // bytes
		on          = `{"strategy":{"switch":"ON","interval":3600,"duration":3599},"resource_guard":"off"`
		both        = `"directions":["downstream","upstream"]`
		free        = both + `,"max_bytes_per_second":0,"max_lines_per_second":0`
	)
	module := build(t, "./testdata/meter")
	for _, row := range []struct{ name, configuration string }{
		{"switched off", `{"resource_guard":"off"}`},
		{"window closed", `{"strategy":{"switch":"ON","interval":3599,"duration":1},"resource_guard":"off"}`},
		{"default budget", on + `,"capture":{` + both + `}}`},
		{"default budget, whole connections", on + `,"capture":{"unit":"connections"}}`},
		{"everything", on + `,"capture":{` + free + `}}`},
		{"everything, whole connections", on + `,"capture":{"unit":"connections",` + free + `}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			filter, l := configure(t.Context(), t, module, row.configuration, false)
			message := bytes.Repeat([]byte("x"), 64)
			control := connect(t, filter)
			exchange := func(stream *host.Stream) {
				for range 2 {
					stream.DownstreamData(message, false)
					stream.UpstreamData(message, false)
				}
			}
			inUse := func() int {
				control.DownstreamData([]byte("collect"), false)
				l.mu.Lock()
				defer l.mu.Unlock()
				_, text, found := strings.Cut(l.lines[len(l.lines)-1], "meter: ")
				require.True(t, found)
				n, err := strconv.Atoi(strings.TrimSuffix(text, " bytes in use"))
				require.NoError(t, err)
				return n
			}
			exchange(control) // what is reserved once is not counted
			before := inUse()
			for range connections {
				exchange(connect(t, filter))
			}
			each := (inUse() - before) / connections
			t.Logf("%d bytes for each connection", each)
			require.Greater(t, each, 64, "the connections are there")
			require.LessOrEqual(t, each, most)
		})
	}
}
