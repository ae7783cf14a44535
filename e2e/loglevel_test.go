package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
	"l4dump/strategy"
)

// TestLogLevel hides and shows the level at which records are logged.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		p := startWith(t, s, newConfig(t, service.address(), plugins{
			listenerName: pluginConfig(openStrategy(t), `{"directions": ["downstream", "upstream"]}`, `{}`),
		}), options{wasmLevel: "warning"})
		payload := randomBytes(1, 10_000)
		hidden := dial(t, p.address(listenerName))
		hidden.exchange(payload)
		p.waitForMetric("l4dump_bytes_dropped_log_level_total", 20_000)
		p.waitForMetric("l4dump_off_log_level", 1)
		require.Zero(t, p.metrics()["l4dump_lines_total"])
		require.Zero(t, p.dump().records)

		p.post("/logging?wasm=info")
		p.waitForMetric("l4dump_off_log_level", 0)
		seen := uint64(10_000)
		waitFor(t, "a record", func() bool {
			hidden.exchange(payload)
			seen += 10_000
			return p.dump().records > 0
		})
		hidden.finish()
		c := p.waitForCloses(1).of(t, hidden.source())
		require.Equal(t, ledger(seen, c.streams[record.Downstream].kept(), strategy.LogLevel), c.closed.Downstream)
		require.Equal(t, ledger(seen, c.streams[record.Upstream].kept(), strategy.LogLevel), c.closed.Upstream)
	})
}

// TestLogLevelChanges raises and lowers the level from which the proxy writes lines while connections live, with no byte
// on its way: what passes while records are hidden is counted, not kept, from the first byte on; what passes while they
// are not is kept.
func TestLogLevelChanges(t *testing.T) {
	t.Parallel()
	const rounds, size = 3, 5_000
	onEach(t, func(t *testing.T, s subject) {
		const both = `"directions": ["downstream", "upstream"], "max_bytes_per_second": 0, "max_lines_per_second": 0}`
		service := startService(t, echo)
		p := start(t, s, newConfig(t, service.address(), plugins{
			"bytes":       pluginConfig(openStrategy(t), `{"unit": "bytes", `+both, `{}`),
			"connections": pluginConfig(openStrategy(t), `{"unit": "connections", `+both, `{}`),
		}))
		dialAll := func() (all []*client) {
			for _, unit := range []string{"bytes", "connections"} {
				for range 4 * workers {
					all = append(all, dial(t, p.address(unit)))
				}
			}
			return all
		}
		speak := func(all []*client, seed int) []byte {
			piece := randomBytes(uint64(seed), size)
			for _, c := range all {
				c.exchange(piece)
			}
			return piece
		}
		shown := dialAll()   // that are born while records are shown
		var want []chunk     // of each of them
		var hidden []*client // that are born while records are hidden
		for round := range rounds {
			offset := uint64(round) * 2 * size
			want = append(want, chunk{offset, speak(shown, 2*round)})
			p.post("/logging?wasm=warning")
			speak(shown, 2*round+1)
			born := dialAll()
			speak(born, round)
			hidden = append(hidden, born...)
			p.post("/logging?wasm=info")
		}
		for _, c := range append(shown, hidden...) {
			c.finish()
		}
		// Of those that were born hidden, unit bytes records nothing more either: no byte has passed since.
		d := p.waitForCloses(len(shown))
		total := uint64(0)
		for _, c := range shown {
			recorded := d.of(t, c.source())
			for direction, l := range []record.Ledger{recorded.closed.Downstream, recorded.closed.Upstream} {
				require.Equal(t, want, recorded.streams[direction].joined(size))
				require.Equal(t, ledger(rounds*2*size, rounds*size, strategy.LogLevel), l)
				total += l.Kept
			}
		}
		p.waitForMetric("l4dump_bytes_kept_total", total)
		p.waitForMetric("l4dump_bytes_seen_total", 2*total+uint64(2*size*len(hidden)))
		p.waitForMetric("l4dump_bytes_dropped_log_level_total", total+uint64(2*size*len(hidden)))
		p.stop()
		require.Len(t, p.dump().conns, len(shown), "none that was born hidden")
	})
}
