package e2e

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"github.com/stretchr/testify/require"

	"l4dump/record"
	"l4dump/strategy"
)

// metricNames are all metrics of the plugin, as scraped.
var metricNames = []string{
	"l4dump_bytes_dropped_budget_bytes_total",
	"l4dump_bytes_dropped_budget_lines_total",
	"l4dump_bytes_dropped_connection_time_total",
	"l4dump_bytes_dropped_ended_total",
	"l4dump_bytes_dropped_max_connections_per_window_total",
	"l4dump_bytes_dropped_max_connections_total",
	"l4dump_bytes_dropped_not_selected_total",
	"l4dump_bytes_dropped_sampled_out_total",
	"l4dump_bytes_dropped_window_bytes_total",
	"l4dump_connections_dropped_connection_time_total",
	"l4dump_connections_dropped_window_bytes_total",
	"l4dump_connections_dropped_budget_bytes_total",
	"l4dump_connections_dropped_budget_lines_total",
	"l4dump_connections_dropped_ended_total",
	"l4dump_connections_dropped_max_connections_per_window_total",
	"l4dump_connections_dropped_max_connections_total",
	"l4dump_connections_dropped_not_selected_total",
	"l4dump_connections_dropped_sampled_out_total",
	"l4dump_off_ended",
	"l4dump_shedding",
	"l4dump_bytes_dropped_budget_total",
	"l4dump_bytes_dropped_connection_limit_total",
	"l4dump_bytes_dropped_cpu_total",
	"l4dump_bytes_dropped_direction_total",
	"l4dump_bytes_dropped_forced_off_total",
	"l4dump_bytes_dropped_log_level_total",
	"l4dump_bytes_dropped_memory_total",
	"l4dump_bytes_dropped_switch_off_total",
	"l4dump_bytes_dropped_unreadable_total",
	"l4dump_bytes_dropped_queue_total", "l4dump_bytes_dropped_sink_total",
	"l4dump_bytes_dropped_usage_unknown_total",
	"l4dump_bytes_dropped_window_closed_total",
	"l4dump_bytes_kept_total",
	"l4dump_bytes_seen_total",
	"l4dump_configuration_valid",
	"l4dump_connections_dropped_budget_total",
	"l4dump_connections_dropped_cpu_total",
	"l4dump_connections_dropped_direction_total",
	"l4dump_connections_dropped_forced_off_total",
	"l4dump_connections_dropped_log_level_total",
	"l4dump_connections_dropped_memory_total",
	"l4dump_connections_dropped_queue_total",
	"l4dump_connections_dropped_switch_off_total",
	"l4dump_connections_dropped_unreadable_total",
	"l4dump_connections_dropped_usage_unknown_total",
	"l4dump_connections_dropped_window_closed_total",
	"l4dump_connections_kept_total",
	"l4dump_connections_seen_total",
	"l4dump_lines_total",
	"l4dump_off_cpu",
	"l4dump_off_forced_off",
	"l4dump_off_log_level",
	"l4dump_off_memory",
	"l4dump_off_switch_off",
	"l4dump_off_usage_unknown",
	"l4dump_off_window_closed",
	"l4dump_polls_invalid_total",
	"l4dump_polls_ok_total",
	"l4dump_polls_unmeasured_total",
	"l4dump_polls_unreachable_total",
	"l4dump_sidecar_fresh",
	"l4dump_window_open",
}

// TestMetrics compares all metrics with what the records say.
func TestMetrics(t *testing.T) {
	t.Parallel()
	const limit, connections = 30_000, 12
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		c := newConfig(t, service.address(), plugins{
			"on":  pluginConfig(openStrategy(t), fmt.Sprintf(`{"max_bytes_per_connection": %d, "max_bytes_per_second": 0}`, limit), `{}`),
			"off": pluginConfig(strategy.DefaultStrategy(), `{}`, `{}`),
		})
		// Plugins of the same names are one in the gauges: the last one.
		c.change(t, "off", func(w *wasmv3.PluginConfig) { w.Name, w.RootId = "other", "other" })
		p := start(t, s, c)
		for i := range connections {
			c := dial(t, p.address("on"))
			c.exchange(randomBytes(uint64(i), (i+1)*5_000))
			c.finish()
		}
		unrecorded := dial(t, p.address("off"))
		unrecorded.exchange(randomBytes(1, 1_000))
		unrecorded.finish()

		want := map[string]uint64{}
		for _, name := range metricNames {
			want[name] = 0
		}
		d := p.waitForCloses(connections)
		for _, recorded := range d.conns {
			want["l4dump_connections_seen_total"]++
			want["l4dump_connections_kept_total"]++
			want["l4dump_lines_total"] += recorded.records
			for _, l := range []record.Ledger{recorded.closed.Downstream, recorded.closed.Upstream} {
				want["l4dump_bytes_seen_total"] += l.Seen
				want["l4dump_bytes_kept_total"] += l.Kept
				for _, drop := range l.Dropped {
					want["l4dump_bytes_dropped_"+drop.Reason+"_total"] += drop.Bytes
				}
			}
		}
		require.NotZero(t, want["l4dump_bytes_kept_total"])
		require.NotZero(t, want["l4dump_bytes_dropped_direction_total"])
		require.NotZero(t, want["l4dump_bytes_dropped_connection_limit_total"])
		want["l4dump_connections_seen_total"]++
		want["l4dump_connections_dropped_switch_off_total"]++
		want["l4dump_bytes_seen_total"] += 2_000
		want["l4dump_bytes_dropped_switch_off_total"] += 2_000
		want["l4dump_configuration_valid"] = 1
		want["l4dump_window_open"] = 1
		want["l4dump_off_switch_off"] = 1

		p.waitForMetric("l4dump_lines_total", want["l4dump_lines_total"])
		p.waitForMetric("l4dump_bytes_seen_total", want["l4dump_bytes_seen_total"])
		p.waitForMetric("l4dump_connections_dropped_switch_off_total", 1)
		require.Equal(t, want, p.metrics())

		scraped := map[string]uint64{}
		for line := range strings.Lines(p.get("/stats/prometheus")) {
			if match := samplePattern.FindStringSubmatch(line); match != nil && !strings.HasPrefix(line, "envoy_") {
				value, err := strconv.ParseUint(match[2], 10, 64)
				require.NoError(t, err, line)
				scraped[match[1]] = value
			}
		}
		require.Equal(t, want, scraped)
	})
}

// samplePattern is a sample in Prometheus' text format.
var samplePattern = regexp.MustCompile(`(?m)^(\w+)(?:\{\})? (\d+)$`)

// layottoLine is a log line in Layotto's format: the window, the port and the bytes, and nothing after them.
var layottoLine = regexp.MustCompile(
	`^\[[^]]+\]\[\d+\]\[info\]\[wasm\] \[[^]]+\] wasm log l4dump l4dump l4dump-v1: \[([0-9a-f-]{36})\]\[(\d+)\]([0-9a-f]{2}(?: [0-9a-f]{2})*)$`)

// TestLayotto writes the lines that Layotto's readers know.
func TestLayotto(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		schedule := openStrategy(t)
		p := start(t, s, newConfig(t, service.address(), plugins{
			listenerName: pluginConfig(schedule, `{"max_bytes_per_second": 0}`, `{"format": "layotto", "max_line_bytes": 3000}`),
		}))
		payload := randomBytes(1, 50_000)
		c := dial(t, p.address(listenerName))
		c.exchange(payload)
		c.finish()
		p.waitForMetric("l4dump_bytes_kept_total", uint64(len(payload)))
		p.stop()

		text, err := os.ReadFile(p.log)
		require.NoError(t, err)
		var recorded []byte
		for line := range strings.Lines(string(text)) {
			match := layottoLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if match == nil {
				require.NotContains(t, line, "]["+strconv.Itoa(int(p.port(listenerName)))+"]")
				continue
			}
			require.LessOrEqual(t, len(line), 3001)
			require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, match[1])
			require.Equal(t, strconv.Itoa(int(p.port(listenerName))), match[2])
			bytes, err := hex.DecodeString(strings.ReplaceAll(match[3], " ", ""))
			require.NoError(t, err)
			recorded = append(recorded, bytes...)
		}
		require.Equal(t, payload, recorded)
		require.Zero(t, p.dump().records)
	})
}
