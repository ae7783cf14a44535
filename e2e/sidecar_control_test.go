package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

// TestGlobalStrategy forces recording off and back on by `l4dump ctl`, on live connections of every worker, through a
// restart of the sidecar, and turns it on while the plugin's own strategy is off.
func TestGlobalStrategy(t *testing.T) {
	t.Parallel()
	const own, other = "on", "off" // the switches of the plugins' own strategies
	onEach(t, func(t *testing.T, s subject) {
		sidecar := newSidecar(t, socketPath(t))
		sidecar.start()
		const asked = `{"poll_interval": "500ms", "timeout": "10s", "stale_after": "30s"}`
		service := startService(t, echo)
		c := newConfig(t, service.address(), plugins{
			own:   guardedConfig(unlimited(openStrategy(t)), asked, `{"soft": 0}`),
			other: guardedConfig(strategy.DefaultStrategy(), asked, `{"soft": 0}`),
		})
		c.rename(t, other, other)
		c.lead(t, sidecarCluster, sidecar.address)
		p := start(t, s, c)
		on, off := dialLive(t, p.address(own)), dialLive(t, p.address(other))
		on.waitForRecords(p)
		off.beSilent()
		require.Equal(t, workers, p.dump().vms(), "each worker has connections")

		forceOff := func() {
			t.Helper()
			require.Contains(t, sidecar.ctl("off"), "FORCE_OFF")
			// Two further polls, after one that may have been on its way.
			known := sidecar.polls() + 3
			waitFor(t, "polls since FORCE_OFF", func() bool {
				on.speak()
				return sidecar.polls() >= known
			})
			on.beSilent()
			off.beSilent()
			require.Equal(t, uint64(1), p.metrics()["l4dump_off_forced_off"])
		}
		cleared := func() {
			t.Helper()
			require.Contains(t, sidecar.ctl("clear"), "none")
			on.waitForRecords(p)
			off.beSilent()
		}
		forceOff()
		cleared()

		forceOff()
		sidecar.stop()
		on.beSilent()
		sidecar.start()
		require.Contains(t, sidecar.ctl("get"), "FORCE_OFF")
		p.waitForPolls("ok", 3)
		on.beSilent()
		require.Equal(t, uint64(1), p.metrics()["l4dump_off_forced_off"])
		require.Equal(t, 2, p.logged("wasm log l4dump l4dump-v1: l4dump: recording stops: the global strategy forces it off; l4dump ctl clear ends that"), "once for each time")
		cleared()

		schedule := openStrategy(t)
		require.Contains(t, sidecar.ctl("set", "--switch", "ON",
			"--interval", fmt.Sprint(schedule.Interval), "--duration", fmt.Sprint(schedule.Duration)), "ON")
		off.waitForRecords(p)
		on.waitForRecords(p)
		on.finish(p)
		off.finish(p)
	})
}
