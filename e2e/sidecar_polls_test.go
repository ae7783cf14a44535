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
			listenerName: guardedConfig(unlimited(openStrategy(t)), `{"poll_interval": "`+period.String()+`"}`, `{"soft": 0}`),
		})
		c.lead(t, sidecarCluster, address)
		p := start(t, s.with(manyWorkers), c)
		live := dialLive(t, p.address(listenerName))
		live.waitForRecords(p)
		// Each follows the sidecar if it records. The system decides which worker gets a connection.
		waitFor(t, "records of each worker", func() bool {
			if p.dump().vms() == manyWorkers {
				return true
			}
			more := dialLive(t, p.address(listenerName))
			more.waitForRecords(p)
			live = append(live, more...)
			return p.dump().vms() == manyWorkers
		})

		// What the proxy did while it started is not what is asked.
		begun, first := time.Now(), len(fake.polled())
		waitFor(t, "half a poll for each period", func() bool {
			polls := fake.polled()[first:]
			if len(polls) <= periods {
				return false
			}
			// One may have been on its way.
			require.LessOrEqual(t, float64(len(polls)-1), 1.2*float64(time.Since(begun))/float64(period)+1)
			polls = polls[len(polls)-periods-1:] // a machine that was too busy for a while is not what is asked either
			return float64(polls[periods].Sub(polls[0]))/float64(period) <= 2*periods
		})
		live.finish(p)
	})
}
