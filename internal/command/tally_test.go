package command

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTally(t *testing.T) {
	tests := []struct {
		name  string
		tally tally
		want  string
	}{
		{"no plugin", tally{}, ""},
		{"nothing came", tally{"l4dump_connections_seen_total": 0}, "l4dump: recorded 0 of 0 connections, 0 of 0 bytes\n"},
		{
			"all",
			tally{"l4dump_connections_seen_total": 1, "l4dump_connections_kept_total": 1, "l4dump_bytes_seen_total": 6, "l4dump_bytes_kept_total": 6},
			"l4dump: recorded 1 of 1 connection, 6 of 6 bytes\n",
		},
		{
			"each reason, the most connections first",
			tally{
				"l4dump_connections_seen_total": 20, "l4dump_connections_kept_total": 3,
				"l4dump_bytes_seen_total": 2000, "l4dump_bytes_kept_total": 100,
				"l4dump_connections_dropped_window_closed_total": 2, "l4dump_bytes_dropped_window_closed_total": 200,
				"l4dump_connections_dropped_budget_total": 12, "l4dump_bytes_dropped_budget_total": 1200,
				"l4dump_connections_dropped_max_connections_total": 3,
				"l4dump_bytes_dropped_connection_limit_total":      500,
				"l4dump_bytes_dropped_direction_total":             501,
			},
			`l4dump: recorded 3 of 20 connections, 100 of 2000 bytes
l4dump: not recorded, because of budget: 12 connections (1200 bytes); raise capture.max_bytes_per_second or capture.max_lines_per_second
l4dump: not recorded, because of max_connections: 3 connections; raise capture.max_connections
l4dump: not recorded, because of window_closed: 2 connections (200 bytes)
l4dump: not recorded, because of direction: 501 bytes
l4dump: not recorded, because of connection_limit: 500 bytes; raise capture.max_bytes_per_connection
`,
		},
		{
			"forced off",
			tally{"l4dump_connections_seen_total": 1, "l4dump_connections_dropped_forced_off_total": 1},
			"l4dump: recorded 0 of 1 connection, 0 of 0 bytes\nl4dump: not recorded, because of forced_off: 1 connection; l4dump ctl clear ends it\n",
		},
		{
			"switched off",
			tally{"l4dump_connections_seen_total": 1, "l4dump_connections_dropped_switch_off_total": 1},
			"l4dump: recorded 0 of 1 connection, 0 of 0 bytes\nl4dump: not recorded, because of switch_off: 1 connection; strategy.switch \"ON\" records\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			test.tally.write(&text)
			require.Equal(t, test.want, text.String())
		})
	}
}

func TestEnvoyTally(t *testing.T) {
	const counted = `{"stats":[{"name":"wasmcustom.l4dump_connections_seen_total","value":20},{"name":"wasmcustom.l4dump_bytes_seen_total","value":7}]}`
	tests := []struct {
		name   string
		answer string
		want   tally
		asked  int32
	}{
		{"a plugin, which reports once more", counted, tally{"l4dump_connections_seen_total": 20, "l4dump_bytes_seen_total": 7}, 2},
		{"no plugin", `{"stats":[{"name":"server.live","value":1}]}`, tally{}, 1},
		{"no JSON", `none`, nil, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var asked atomic.Int32
			admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				_, _ = w.Write([]byte(test.answer))
			}))
			defer admin.Close()
			require.Equal(t, test.want, envoyTally(t.Context(), admin.URL, time.Millisecond))
			require.Equal(t, test.asked, asked.Load())
		})
	}
	t.Run("no administration", func(t *testing.T) {
		require.Nil(t, envoyTally(t.Context(), "", time.Millisecond))
	})
}
