package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSidecar has two sidecars, one over loopback and one over a Unix socket. The second one is not there at first.
func TestSidecar(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		overLoopback := newSidecar(t, "127.0.0.1:0")
		overLoopback.start()
		overUnix := newSidecar(t, socketPath(t))
		service := startService(t, echo)
		c := newConfig(t, service.address(), plugins{
			"loopback": guardedConfig(unlimited(openStrategy(t)), patientSidecar, `{"soft": 0}`),
			"unix":     guardedConfig(unlimited(openStrategy(t)), `{"cluster": "unix", "poll_interval": "200ms", "timeout": "10s", "stale_after": "30s"}`, `{"soft": 0}`),
		})
		c.rename(t, "unix", "unix")
		c.lead(t, sidecarCluster, overLoopback.address)
		c.lead(t, "unix", overUnix.address)
		p := start(t, s, c)

		watched := dialLive(t, p.address("loopback"))
		watched.waitForRecords(p)
		require.Equal(t, uint64(1), p.metrics()["l4dump_sidecar_fresh"])

		unwatched := dialLive(t, p.address("unix"))
		p.waitForPolls("unreachable", 5)
		unwatched.beSilent()
		for i := range 4 {
			c := dial(t, p.address("unix"))
			c.exchange(randomBytes(uint64(i), 1<<20))
			c.finish()
			require.NotContains(t, p.dump().bySource, c.source())
		}
		require.Equal(t, uint64(1), p.metrics()["l4dump_off_usage_unknown"])
		require.Equal(t, 1, p.logged("l4dump: no answer from cluster unix (status 503)"), "once, not with each poll")
		require.Equal(t, 1, p.logged("[warning][wasm]"), "nothing else to warn of")

		overUnix.start()
		unwatched.waitForRecords(p)
		p.waitForMetric("l4dump_off_usage_unknown", 0)
		p.waitForLog("l4dump: the sidecar reports", 2)
		kept := len(watched) + len(unwatched)
		told := fmt.Sprintf("recorded   %d of %d connections, ", kept, kept+4)
		waitFor(t, "the totals of all workers in the status", func() bool { return strings.Contains(overLoopback.ctl("status"), told) })
		watched.finish(p)
		unwatched.finish(p)
		p.stop()
		require.Len(t, p.dump().conns, len(watched)+len(unwatched), "none of those that came without a sidecar")
	})
}
