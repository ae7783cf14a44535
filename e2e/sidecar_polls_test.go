package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPolls counts the polls of a proxy with four workers: one for each period, not one for each worker.
func TestPolls(t *testing.T) {
	t.Parallel()
	const manyWorkers = 4
	const period, periods = 500 * time.Millisecond, 15
	onEach(t, func(t *testing.T, s subject) {
		address := socketPath(t)
		fake := startFake(t, address)
		service := startService(t, echo)
		c := newConfig(t, service.address(), plugins{
			listenerName: guardedConfig(unlimited(openStrategy(t)), `{"poll_interval": "`+period.String()+`"}`, `{}`),
		})
		c.lead(t, sidecarCluster, address)
		p := start(t, s.with(manyWorkers), c)
		live := dialLive(t, p.address(listenerName))
		live.waitForRecords(p)
		require.Equal(t, manyWorkers, p.dump().vms(), "each worker records, so each follows the sidecar")

		// What the proxy did while it started is not what is asked.
		first := len(fake.polled())
		waitFor(t, "polls", func() bool { return len(fake.polled()) > first+periods })
		polls := fake.polled()[first:][:periods+1]
		perPeriod := periods / (float64(polls[periods].Sub(polls[0])) / float64(period))
		t.Logf("%.2f polls for each period", perPeriod)
		require.LessOrEqual(t, perPeriod, 1.2)
		require.GreaterOrEqual(t, perPeriod, 0.5)
		live.finish(p)
	})
}
