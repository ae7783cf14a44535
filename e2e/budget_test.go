package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/record"
	"l4dump/strategy"
)

// TestBudget loads the proxy well above what may be recorded. What is recorded stays within the budget for the whole
// process, what is not is counted to the byte, and memory does not grow.
func TestBudget(t *testing.T) {
	t.Parallel()
	const (
		bytesPerSecond = 1 << 20
		maxGrowth      = 64 << 20
	)
	capture := `{"unit": "bytes", "directions": ["downstream", "upstream"], "max_bytes_per_second": 1048576, "max_lines_per_second": 0}`
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		p := start(t, s, newConfig(t, service.address(), plugins{
			listenerName: pluginConfig(openStrategy(t), capture, `{}`),
		}))
		warm := dial(t, p.address(listenerName))
		warm.exchange([]byte("warm"))
		warm.finish()
		closes := 1
		p.waitForCloses(closes)
		idle := p.residentBytes()

		// Paced, so that the machine keeps up and a second's budget can be used in that second.
		const attempts = 5
		burst := float64(bytesPerSecond) * strategy.BudgetBurst / float64(time.Second)
		for attempt := 1; ; attempt++ {
			paced := echoLoad{connections: 24, exchange: 16 << 10, pause: 20 * time.Millisecond, lasts: 4 * time.Second}
			done := paced.run(t, p)
			closes += paced.connections
			kept := float64(requireAccounted(t, p.waitForCloses(closes), done))
			budget := bytesPerSecond * done.took.Seconds()
			require.LessOrEqual(t, kept, 1.2*budget+burst)
			// While nothing passes, there is nothing to spend the budget on.
			usable := bytesPerSecond * (done.took - done.unused).Seconds()
			t.Logf("%.0f %% of the usable budget kept, of %.0f %% that passed; %s without traffic",
				100*kept/usable, 100*float64(done.bytes)/usable, done.unused.Round(time.Millisecond))
			if float64(done.bytes) > 2*usable && kept >= 0.8*usable {
				break
			}
			require.Less(t, attempt, attempts, "%.0f bytes kept of a budget of %.0f, while %d passed", kept, usable, done.bytes)
		}
		require.Equal(t, workers, p.dump().vms())

		full := echoLoad{connections: 8, exchange: 1 << 20, lasts: 3 * time.Second, watch: p.residentBytes}
		done := full.run(t, p)
		closes += full.connections
		kept := requireAccounted(t, p.waitForCloses(closes), done)
		require.LessOrEqual(t, float64(kept), 1.2*bytesPerSecond*done.took.Seconds()+bytesPerSecond/10)
		require.Less(t, done.peak-idle, int64(maxGrowth), "resident memory grew")
		t.Logf("%d MiB in %s, resident memory %d MiB idle, %d MiB at most",
			done.bytes>>20, done.took.Round(time.Millisecond), idle>>20, done.peak>>20)
	})
}

// requireAccounted requires that each connection of a load has a close record that accounts for every byte, with the
// budget as the only reason to drop one, and returns how many bytes were kept.
func requireAccounted(t *testing.T, d *dump, done *echoed) (kept uint64) {
	t.Helper()
	for source, sent := range done.sent {
		c := d.of(t, source)
		for direction, l := range []record.Ledger{c.closed.Downstream, c.closed.Upstream} {
			require.Equal(t, ledger(sent, c.streams[direction].kept(), strategy.BudgetBytes), l)
			require.Equal(t, []uint64{sent}, c.streams[direction].ends)
			kept += l.Kept
		}
	}
	return kept
}

// TestConnectionLimit sends as much as a connection may keep, and a byte less and more.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	capture := `{"unit": "connections", "max_bytes_per_connection": 10000}`
	rows := []struct {
		name         string
		sent         int // by the client; the service sends one byte after it
		wantSent     record.Ledger
		wantReceived record.Ledger
	}{
		{"the last byte is the service's", limit - 1, ledger(limit-1, limit-1, 0), ledger(1, 1, 0)},
		{"the service's is one too many", limit, ledger(limit, limit, 0), ledger(1, 0, strategy.ConnectionLimit)},
		{"the client's and the service's", limit + 1, ledger(limit+1, limit, strategy.ConnectionLimit), ledger(1, 0, strategy.ConnectionLimit)},
	}
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, func(c *net.TCPConn) {
			_, _ = io.Copy(io.Discard, c)
			_, _ = c.Write([]byte("."))
			_ = c.CloseWrite()
		})
		p := start(t, s, newConfig(t, service.address(), plugins{
			listenerName: pluginConfig(openStrategy(t), capture, `{}`),
		}))
		for i, row := range rows {
			c := dial(t, p.address(listenerName))
			sent := randomBytes(uint64(i), row.sent)
			received, err := sendAndReceive(c.TCPConn, sent)
			require.NoError(t, err)
			require.Equal(t, ".", string(received))

			recorded := p.waitForCloses(i+1).of(t, c.source())
			require.Equal(t, row.wantSent, recorded.closed.Downstream, row.name)
			require.Equal(t, row.wantReceived, recorded.closed.Upstream, row.name)
			require.Equal(t, sent[:row.wantSent.Kept], recorded.streams[record.Downstream].bytes(t, 0), row.name)
			require.Equal(t, string(received[:row.wantReceived.Kept]), string(recorded.streams[record.Upstream].bytes(t, 0)), row.name)
		}
	})
}

// TestWindowLimit sends more than a window may have, on both workers at once: they record that much together, less what
// is left of the portion of a worker whose connections end first.
func TestWindowLimit(t *testing.T) {
	t.Parallel()
	const (
		limit   = 256 << 10
		portion = 1 << 10
		clients = 24 // so many that each worker has some
		sent    = 64 << 10
	)
	capture := `{"unit": "bytes", "max_bytes_per_second": 0, "max_lines_per_second": 0, "max_bytes_per_window": 262144}`
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, func(c *net.TCPConn) {
			_, _ = io.Copy(io.Discard, c)
			_ = c.CloseWrite()
		})
		p := start(t, s, newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), capture, `{}`)}))
		var group sync.WaitGroup
		faults := make([]error, clients)
		for i := range clients {
			c := dial(t, p.address(listenerName))
			group.Go(func() { _, faults[i] = sendAndReceive(c.TCPConn, randomBytes(uint64(i), sent)) })
		}
		group.Wait()
		for _, err := range faults {
			require.NoError(t, err)
		}
		var kept, dropped uint64
		waitFor(t, "every byte to be counted", func() bool {
			metrics := p.metrics()
			kept, dropped = metrics["l4dump_bytes_kept_total"], metrics["l4dump_bytes_dropped_window_bytes_total"]
			return kept+dropped == clients*sent
		})
		require.LessOrEqual(t, kept, uint64(limit))
		require.GreaterOrEqual(t, kept, uint64(limit-workers*portion))
	})
}
