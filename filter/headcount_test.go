package filter

import (
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

// TestConnectionsOfACrashedWorker has another worker's connections count for as long as it ticks, and not much longer.
func TestConnectionsOfACrashedWorker(t *testing.T) {
	r := newRig(t, on(`"unit":"connections","max_connections":2,"max_bytes_per_second":0,"max_lines_per_second":0`, ``))
	other := strategy.Headcount{Table: &sharedBytes{"l4dump/connections/recorder\x00root"}, ID: 1}
	require.True(t, other.Join(2, r.now))

	admitted := func() bool {
		before := len(r.records())
		id := r.connect()
		r.downstream(id, "x")
		recorded := len(r.records()) > before
		if recorded {
			defer r.done(id)
		}
		return recorded
	}
	first := r.connect() // it stays: this worker's row must be renewed too
	require.False(t, admitted())
	for range 20 {
		r.now = nextWindowOf(r.now)
		other.Renew(r.now)
		r.Tick()
		require.False(t, admitted())
		require.False(t, other.Join(2, r.now))
	}
	r.now = nextWindowOf(r.now)
	r.Tick()
	require.False(t, admitted(), "the other is silent for half of its time")
	r.now = nextWindowOf(r.now)
	r.Tick()
	require.True(t, admitted())
	require.True(t, other.Join(3, r.now), "it lives: its two connections and the one here")
	require.False(t, admitted())
	r.done(first)
}

// nextWindowOf returns the start of the window of 30 s after the one that begins at start.
func nextWindowOf(start int64) int64 { return start + 30*second }

// TestConnectionsOfAnEarlierConfiguration has those of a configuration that was replaced count beside the newer one's.
func TestConnectionsOfAnEarlierConfiguration(t *testing.T) {
	r := newRig(t, "")
	earlier, newer := r.vm.shared("recorder"), r.vm.shared("recorder")
	require.True(t, earlier.Live.Join(2, r.now))
	require.True(t, newer.Live.Join(2, r.now))
	require.False(t, newer.Live.Join(2, r.now))
}

// TestPlaceOfAQuietConnection has a connection that has had its time leave its place though nothing passes on it.
func TestPlaceOfAQuietConnection(t *testing.T) {
	r := newRig(t, on(`"unit":"connections","max_connections":1,"max_connection_time":"2s","max_bytes_per_second":0,"max_lines_per_second":0`, ``))
	r.downstream(r.connect(), "x")
	for _, row := range []struct {
		name    string
		after   int64
		records int
	}{
		{"before its time", 2*second - 1, 2},
		{"at its time", 2 * second, 4},
	} {
		r.now = windowStart + row.after
		r.Tick()
		r.downstream(r.connect(), "y")
		require.Len(t, r.records(), row.records, row.name)
	}
}
