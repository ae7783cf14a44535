package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPortraits uploads portraits while recording is on: each is written, and the proxy's configuration beside it where
// it has changed.
func TestPortraits(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		address := socketPath(t)
		service := startService(t, echo)
		schedule := unlimited(openStrategy(t))
		c := newConfig(t, service.address(), plugins{listenerName: guardedConfig(schedule, patientSidecar, `{"soft": 0}`)})
		c.lead(t, sidecarCluster, address)
		discovered := c.discover(t, listenerName)
		p := start(t, s, c)
		sidecar := newSidecar(t, address, "--envoy-admin", "http://"+p.admin)
		sidecar.start()
		recording := func() bool { return sidecar.status().Recording }
		waitFor(t, "the sidecar to know the plugin's strategy", recording)

		static := sidecar.waitForLines("dump_static_conf.log", 1)
		require.Contains(t, static[0], `"static_resources"`)
		require.Contains(t, static[0], discovered.path, "where the plugin's configuration comes from")

		sidecar.requirePortrait("RPC", `{"service": "cart",
			"note": "two\nlines"}`)
		window := sidecar.status().Window.ID
		require.Equal(t, []string{`[` + window + `][RPC][8080]{"service":"cart","note":"two\nlines"}`},
			sidecar.lines("dump_portrait_data.log"))
		dumps := sidecar.waitForLines("dump_mem_dump.log", 1)
		first := configOf(t, dumps[0], window)
		require.Contains(t, first, `duration\":`+strconv.FormatInt(schedule.Duration, 10))

		status, answer := sidecar.post("/v1/portraits/RPC?port=8080", `{"soft": 0}`)
		require.Equal(t, http.StatusConflict, status, answer)

		sidecar.requirePortrait("STATE", `[1]`)
		dumps = sidecar.waitForLines("dump_mem_dump.log", 2)
		require.Equal(t, "["+window+"]no_change", dumps[1])

		changed := schedule
		changed.CPUMaxRate = 98.5
		discovered.update(t, guardedConfig(changed, patientSidecar, `{"soft": 0}`))
		waitFor(t, "the new configuration", func() bool { return sidecar.status().Strategy.CPUMaxRate == changed.CPUMaxRate })
		sidecar.requirePortrait("CONFIGURATION", `"x"`)
		dumps = sidecar.waitForLines("dump_mem_dump.log", 3)
		require.NotEqual(t, first, configOf(t, dumps[2], window))
		require.Contains(t, dumps[2], `cpu_max_rate\":98.5`)

		sidecar.ctl("off")
		status, answer = sidecar.post("/v1/portraits/RPC?port=8080", `{"soft": 0}`)
		require.Equal(t, http.StatusLocked, status, answer)
		require.Contains(t, answer, "forced_off")

		require.Len(t, sidecar.lines("dump_portrait_data.log"), 3)
		require.Len(t, sidecar.lines("dump_mem_dump.log"), 3)
		require.Len(t, sidecar.lines("dump_static_conf.log"), 1, "once")
		files, err := os.ReadDir(sidecar.dir)
		require.NoError(t, err)
		for _, file := range files {
			info, err := file.Info()
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode(), file.Name())
		}
	})
}

var configLine = regexp.MustCompile(`^\[([0-9a-f-]{36})\](\{.*\})$`)

// configOf returns the configuration, which must be JSON, in a line that is a window's.
func configOf(t *testing.T, line, window string) string {
	t.Helper()
	match := configLine.FindStringSubmatch(line)
	require.NotNil(t, match, line)
	require.Equal(t, window, match[1])
	require.True(t, json.Valid([]byte(match[2])))
	return match[2]
}
