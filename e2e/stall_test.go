package e2e

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// stalledBytes are so many that their records fill any pipe.
const stalledBytes = 1 << 20

// missedWorkers is what /stats says once a worker has not answered the watchdog.
var missedWorkers = regexp.MustCompile(`(?m)^workers\.watchdog_miss: [1-9]`)

// startExchange starts to send a payload, and returns what comes of it: an error, or nil when it has come back.
func startExchange(c *client, payload []byte) <-chan error {
	done := make(chan error, 1)
	go func() { done <- exchange(c.TCPConn, payload) }()
	return done
}

// TestStalledLog lets the reader of the proxy's standard error stand still. Envoy stalls the worker that logs, with all
// its connections, until the reader reads again; then nothing is lost.
func TestStalledLog(t *testing.T) {
	t.Parallel()
	onEnvoys(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		pipe := newLogPipe(t)
		p := startWith(t, s.with(1), c, options{stderr: pipe.write, log: pipe.log})
		busy, other := dial(t, p.address(listenerName)), dial(t, p.address(listenerName))
		busy.exchange([]byte("before"))
		other.exchange([]byte("before"))

		pipe.stall()
		defer pipe.resume()
		payload := randomBytes(1, stalledBytes)
		done := startExchange(busy, payload)
		waitFor(t, "the worker to wait for the log's reader", func() bool { return pipe.full() && p.waitsForPipe() })
		alsoDone := startExchange(other, []byte("after"))
		select {
		case err := <-done:
			require.Fail(t, "the connection does not stall", "%v", err)
		case err := <-alsoDone:
			require.Fail(t, "the worker's other connection does not stall", "%v", err)
		default:
		}
		// How it shows, as docs/OPERATIONS.md says.
		require.Equal(t, "LIVE\n", p.get("/ready"))
		waitFor(t, "the watchdog to miss the worker", func() bool {
			return missedWorkers.MatchString(p.get("/stats?filter=workers.watchdog_miss"))
		})
		require.True(t, pipe.full() && p.waitsForPipe(), "still")

		pipe.resume()
		require.NoError(t, <-done)
		require.NoError(t, <-alsoDone)
		busy.finish()
		other.finish()
		d := p.waitForCloses(2)
		long := digestOf(append([]byte("before"), payload...))
		requireWhole(t, d.of(t, busy.source()), talk{sent: long, received: long})
		short := digestOf([]byte("beforeafter"))
		requireWhole(t, d.of(t, other.source()), talk{sent: short, received: short})
	})
}

// TestStalledLogOfOthers has Envoy write its log to a file, and the engine to a queue of its own: then nothing depends on
// whoever reads standard error.
func TestStalledLogOfOthers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		pipe := newLogPipe(t)
		o := options{stderr: pipe.write, log: pipe.log}
		if s.name != engine {
			o.log = filepath.Join(t.TempDir(), "envoy.log")
			o.args = []string{"--log-path", o.log}
		}
		p := startWith(t, s.with(1), c, o)
		pipe.stall()
		defer pipe.resume()
		client := dial(t, p.address(listenerName))
		payload := randomBytes(1, stalledBytes)
		client.exchange(payload)
		client.finish()
		pipe.resume() // the engine's log is read from it, too
		all := digestOf(payload)
		requireWhole(t, p.waitForCloses(1).of(t, client.source()), talk{sent: all, received: all})
	})
}
