package filter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/abi"
)

// TestEveryConnectionIsCounted has connections of which no record is written, though the budget had let them in, counted
// with the reason.
func TestEveryConnectionIsCounted(t *testing.T) {
	for _, row := range []struct {
		name, config, reason string
		run                  func(r *rig, id uint32)
	}{
		{
			name: "given up in a format that has data records only", reason: "budget",
			config: on(`"unit":"connections","max_bytes_per_second":1024`, `"format":"layotto"`),
			run:    func(r *rig, id uint32) { r.downstream(id, strings.Repeat("x", 20<<10)) },
		},
		{
			name: "no byte, and the log hides its end", reason: "log_level",
			config: on(`"unit":"connections"`, ``),
			run:    func(r *rig, _ uint32) { r.level = abi.LevelError },
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, row.config)
			id := r.connect()
			row.run(r, id)
			r.done(id)
			r.Tick()
			require.Empty(t, r.lines())
			require.Equal(t, uint64(1), r.counter("connections_seen_total"))
			require.Zero(t, r.counter("connections_kept_total"))
			require.Equal(t, uint64(1), r.counter("connections_dropped_"+row.reason+"_total"))
		})
	}
}
