package e2e

import (
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

// connectionLoad opens connections to an echo service, each client one after the other, for some time.
type connectionLoad struct {
	clients   int
	exchange  int // bytes each time
	exchanges int // of a connection
	lasts     time.Duration
}

// connected is what a load did.
type connected struct {
	connections int
	bytes       uint64 // both directions
	took        time.Duration
	slots       map[time.Duration]bool // in which connections began
}

// slot is the time that the budget saves up for: in one in which nothing began, as when the machine was busy with
// something else, it may be lost.
const slot = time.Duration(strategy.BudgetBurst)

// affordable returns how many of the load's bytes could be recorded.
func (c *connected) affordable(bytesPerSecond int64) float64 {
	return float64(bytesPerSecond) * (time.Duration(len(c.slots)) * slot).Seconds()
}

func (l *connectionLoad) run(t *testing.T, p *proxy) (done connected) {
	t.Helper()
	var (
		mu     sync.Mutex
		faults []error
		wait   sync.WaitGroup
		begun  = time.Now()
	)
	done.slots = make(map[time.Duration]bool)
	payload := randomBytes(1, l.exchange)
	address := p.address(listenerName)
	for range l.clients {
		wait.Go(func() {
			for time.Since(begun) < l.lasts {
				mu.Lock()
				done.slots[time.Since(begun)/slot] = true
				mu.Unlock()
				err := l.converse(address, payload)
				mu.Lock()
				if err != nil {
					faults = append(faults, err)
				}
				done.connections++
				done.bytes += uint64(2 * l.exchange * l.exchanges)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	done.took = time.Since(begun)
	require.Empty(t, faults)
	return done
}

func (l *connectionLoad) converse(address string, payload []byte) error {
	c, err := connect(address)
	if err != nil {
		return err
	}
	defer c.Close()
	for range l.exchanges {
		if err := exchange(c, payload); err != nil {
			return err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// TestAdmission loads the proxy with many times more connections than may be recorded. Those that are recorded are whole
// and within the budget, and with those that were refused they are as many as there were.
func TestAdmission(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name           string
		load           connectionLoad
		bytesPerSecond int64
	}{
		{"64 KiB", connectionLoad{clients: 16, exchange: 32 << 10, exchanges: 1, lasts: 5 * time.Second}, 1 << 20},
		{"1 MiB", connectionLoad{clients: 16, exchange: 512 << 10, exchanges: 1, lasts: 8 * time.Second}, 1 << 20},
		{"small requests", connectionLoad{clients: 16, exchange: 64, exchanges: 100, lasts: 5 * time.Second}, 100 << 10},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.name != "64 KiB" && os.Getenv("HEAVY") != "true" {
				t.Skip("skipped without HEAVY=true: run make test-heavy")
			}
			onEach(t, func(t *testing.T, s subject) {
				service := startService(t, echo)
				capture := fmt.Sprintf(`{"unit": "connections", "max_bytes_per_second": %d}`, row.bytesPerSecond)
				p := start(t, s, newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), capture, `{}`)}))
				done := row.load.run(t, p)
				var recorded, refused uint64
				waitFor(t, "every connection to be counted", func() bool {
					metrics := p.metrics()
					recorded, refused = metrics["l4dump_connections_kept_total"], 0
					for r := strategy.Recorded + 1; r < strategy.Reasons; r++ {
						refused += metrics["l4dump_connections_dropped_"+r.String()+"_total"]
					}
					return recorded+refused == uint64(done.connections)
				})
				d := p.waitForCloses(int(recorded))
				require.Len(t, d.conns, int(recorded))
				var whole, kept uint64
				for _, c := range d.conns {
					down, up := c.closed.Downstream, c.closed.Upstream
					kept += down.Kept + up.Kept
					if down.Kept == down.Seen && up.Kept == up.Seen {
						whole++
					}
				}
				budget := float64(row.bytesPerSecond) * done.took.Seconds()
				affordable := done.affordable(row.bytesPerSecond)
				t.Logf("%d of %d connections recorded, %d whole, %.0f %% of the budget in bytes, %.0f %% of what it could have, of %.0f %% that passed",
					recorded, done.connections, whole, 100*float64(kept)/budget, 100*float64(kept)/affordable, 100*float64(done.bytes)/budget)
				require.GreaterOrEqual(t, 100*whole, 95*recorded)
				require.GreaterOrEqual(t, float64(kept), 0.7*affordable)
				// The first connection may have the burst, and the last may end after the load.
				each := 2 * float64(row.load.exchange*row.load.exchanges)
				require.LessOrEqual(t, float64(kept), 1.2*budget+each)
			})
		})
	}
}
