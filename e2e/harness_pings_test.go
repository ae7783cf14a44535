package e2e

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pings are round trips of 64 bytes, one after another on each of some connections.
type pings struct {
	stop func() // and waits

	mu     sync.Mutex
	phases []*pingPhase
}

// pingPhase is what was measured while something went on.
type pingPhase struct {
	name   string
	took   []time.Duration
	errors []error
}

// startPings starts two connections to each address.
func startPings(t *testing.T, addresses ...string) *pings {
	t.Helper()
	const pause = 2 * time.Millisecond // leaves the machine to the other tests
	ctx, cancel := context.WithCancel(t.Context())
	p := &pings{phases: []*pingPhase{{name: "after the start"}}}
	var wait sync.WaitGroup
	p.stop = func() {
		cancel()
		wait.Wait()
	}
	t.Cleanup(p.stop)
	for i, address := range append(slices.Clone(addresses), addresses...) {
		c := dial(t, address)
		payload := randomBytes(uint64(i), 64)
		wait.Go(func() {
			ticker := time.NewTicker(pause)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
				begun := time.Now()
				err := exchange(c.TCPConn, payload)
				p.add(time.Since(begun), err)
				if err != nil {
					return
				}
			}
		})
	}
	return p
}

func (p *pings) add(took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	phase := p.phases[len(p.phases)-1]
	if phase.took = append(phase.took, took); err != nil {
		phase.errors = append(phase.errors, err)
	}
}

// during measures what passes while do runs, apart from what comes after it.
func (p *pings) during(name string, do func()) {
	p.begin(name)
	do()
	p.begin("after " + name)
}

func (p *pings) begin(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phases = append(p.phases, &pingPhase{name: name})
}

// require requires that every ping came back, in time, and logs the phases beside the one without a fault.
func (p *pings) require(t *testing.T, noFault string) {
	t.Helper()
	p99 := map[string]time.Duration{}
	for _, phase := range p.phases {
		require.Empty(t, phase.errors, phase.name)
		if len(phase.took) == 0 {
			continue
		}
		slices.Sort(phase.took)
		last := len(phase.took) - 1
		require.Less(t, phase.took[last], slowest, phase.name)
		if p99[phase.name] = phase.took[last*99/100]; strings.HasPrefix(phase.name, "after ") {
			continue
		}
		t.Logf("%-22s %5d pings, p99 %8s, %.2f of that without a fault; the slowest %s", phase.name, last+1,
			p99[phase.name].Round(time.Microsecond), float64(p99[phase.name])/float64(p99[noFault]), phase.took[last].Round(time.Microsecond))
	}
}

// slowest is how long a ping may take on a machine that does other things too. It is not what the plugin adds: that is
// in the percentiles, which are logged.
const slowest = 2 * time.Second

// TestSidecarFaults has sidecars fail in every way while traffic passes: it goes on, without records until the
// sidecar is back. One plugin has a real sidecar, and one a fake that answers what it is told to.
func TestSidecarFaults(t *testing.T) {
	t.Parallel()
	const genuine, faked = "genuine", "fake"
	onEach(t, func(t *testing.T, s subject) {
		sidecar := newSidecar(t, socketPath(t))
		sidecar.start()
		fakeAddress := socketPath(t)
		fake := startFake(t, fakeAddress)
		service := startService(t, echo)
		schedule := unlimited(openStrategy(t))
		c := newConfig(t, service.address(), plugins{
			genuine: guardedConfig(schedule, quickSidecar, `{}`),
			// A timeout that a large answer on a busy machine does not meet.
			faked: guardedConfig(schedule, `{"cluster": "fake", "poll_interval": "200ms", "timeout": "10s", "stale_after": "1s"}`, `{}`),
		})
		c.rename(t, faked, faked)
		c.lead(t, sidecarCluster, sidecar.address)
		c.lead(t, faked, fakeAddress)
		p := start(t, s, c)
		live := map[string]liveClients{}
		for _, listener := range []string{genuine, faked} {
			live[listener] = dialLive(t, p.address(listener))
			live[listener].waitForRecords(p)
		}

		const noFault = "no fault"
		pings := startPings(t, p.address(genuine), p.address(faked))
		pings.during(noFault, func() { p.waitForPolls("ok", 30) })
		faults := append(fakeFaults(fake, faked, s.name == engine), sidecarFault{
			"killed", genuine, sidecar.kill, sidecar.start, "unreachable", "no answer from cluster l4dump-sidecar (status 503)",
		}, sidecarFault{
			"stopped", genuine, sidecar.pause, sidecar.resume, "unreachable", "no answer from cluster l4dump-sidecar (status 504)",
		})
		for _, fault := range faults {
			said := p.logged(fault.said)
			pings.during(fault.name, func() {
				fault.begin()
				p.waitForMetric("l4dump_off_usage_unknown", 1)
				p.waitForPolls(fault.polls, 3) // by then each worker knows
				live[fault.listener].beSilent()
			})
			require.Equal(t, said+1, p.logged(fault.said), "%s: %q, once and not with each poll", fault.name, fault.said)

			fault.end()
			p.waitForMetric("l4dump_off_usage_unknown", 0)
			live[fault.listener].waitForRecords(p)
		}
		pings.stop()
		pings.require(t, noFault)
		for _, clients := range live {
			clients.finish(p)
		}
	})
}
