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
	t           *testing.T
	connections int
	stop        func() // and waits

	mu     sync.Mutex
	phases []*pingPhase
}

// pingsWhile is how many round trips each connection makes at least while something lasts.
const pingsWhile = 10

// pingPhase is what was measured while something lasted.
type pingPhase struct {
	name   string
	made   []int // round trips, by connection
	took   []time.Duration
	errors []error
}

// startPings starts two connections to each address.
func startPings(t *testing.T, addresses ...string) *pings {
	t.Helper()
	const pause = 2 * time.Millisecond // leaves the machine to the other tests
	ctx, cancel := context.WithCancel(t.Context())
	p := &pings{t: t, connections: 2 * len(addresses)}
	p.begin("after the start")
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
				p.add(i, time.Since(begun), err)
				if err != nil {
					return
				}
			}
		})
	}
	return p
}

func (p *pings) add(connection int, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	phase := p.phases[len(p.phases)-1]
	phase.made[connection]++
	if phase.took = append(phase.took, took); err != nil {
		phase.errors = append(phase.errors, err)
	}
}

// during measures what passes while do runs, and until each connection has made its round trips, apart from what comes
// after it.
func (p *pings) during(name string, do func()) {
	p.t.Helper()
	phase := p.begin(name)
	do()
	waitFor(p.t, name+": round trips on each connection", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(phase.errors) > 0 || slices.Min(phase.made) >= pingsWhile
	})
	p.begin("after " + name)
}

func (p *pings) begin(name string) *pingPhase {
	p.mu.Lock()
	defer p.mu.Unlock()
	phase := &pingPhase{name: name, made: make([]int, p.connections)}
	p.phases = append(p.phases, phase)
	return phase
}

// require requires that every ping came back, and logs the phases beside the one without a fault.
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
		if p99[phase.name] = phase.took[last*99/100]; strings.HasPrefix(phase.name, "after ") {
			continue
		}
		t.Logf("%-22s %5d pings, p99 %8s, %.2f of that without a fault; the slowest %s", phase.name, last+1,
			p99[phase.name].Round(time.Microsecond), float64(p99[phase.name])/float64(p99[noFault]), phase.took[last].Round(time.Microsecond))
	}
}
