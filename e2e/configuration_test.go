package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

// invalid is a plugin configuration with several faults.
const invalid = `{
	"strategy": {"switch": "on", "interval": 29, "duration": 10, "color": "red"},
	"resource_guard": "off",
	"capture": {"unit": "connections", "directions": [], "max_bytes_per_second": 1},
	"output": {"format": "l4dump", "level": 3}
}`

// faultPaths are where invalid is at fault.
var faultPaths = []string{
	"strategy.switch", "strategy.interval", `strategy."color"`, "capture.directions", "capture.max_bytes_per_second", "output.level",
}

// waitForFaults waits until each fault of invalid is in the log at error level, count times.
func waitForFaults(p *proxy, count int) {
	p.t.Helper()
	for _, path := range faultPaths {
		p.waitForLog("l4dump: configuration: "+path+": ", count)
	}
}

// TestInvalidConfiguration starts with a plugin configuration that is not valid: nothing is recorded, and traffic flows.
func TestInvalidConfiguration(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		p := start(t, s, newConfig(t, service.address(), plugins{listenerName: invalid}))
		waitForFaults(p, 1)
		for _, path := range faultPaths {
			require.Equal(t, 1, p.logged("l4dump: configuration: "+path+": "), "said once, not by each worker")
		}
		require.Equal(t, len(faultPaths)+1, p.logged("][error][wasm]"), "one line for each fault and one that sums up")
		for i := range 10 {
			c := dial(t, p.address(listenerName))
			c.exchange(randomBytes(uint64(i), 10_000))
			c.finish()
		}
		p.waitForMetric("l4dump_connections_dropped_switch_off_total", 10)
		require.Zero(t, p.metrics()["l4dump_configuration_valid"])
		p.stop()
		require.Zero(t, p.dump().records)
	})
}

// TestUpdate changes the plugin's configuration in a running proxy. One connection lives through all of it.
func TestUpdate(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		first := pluginConfig(openStrategy(t), everything, `{}`)
		c := newConfig(t, service.address(), plugins{listenerName: first})
		file := c.discover(t, listenerName)
		p := start(t, s, c)
		sent := 0
		long := dial(t, p.address(listenerName))
		talk := func() {
			long.exchange(randomBytes(uint64(sent), 5_000))
			sent += 5_000
		}
		brief := func() string {
			c := dial(t, p.address(listenerName))
			c.exchange(randomBytes(9, 7_000))
			c.finish()
			return c.source()
		}
		closes := 0
		requireRecorded := func(source string) {
			t.Helper()
			closes++
			c := p.waitForCloses(closes).of(t, source)
			require.Equal(t, "connections", c.open.Unit)
			require.Equal(t, ledger(7_000, 7_000, 0), c.closed.Downstream)
		}
		talk()
		p.waitForMetric("l4dump_configuration_valid", 1)
		requireRecorded(brief())

		file.update(t, invalid)
		waitForFaults(p, 1)
		p.waitForMetric("l4dump_configuration_valid", 0)
		talk()
		for range 4 { // the last good one stays in each worker
			requireRecorded(brief())
		}

		// A new unit, for connections that are born from now on.
		file.update(t, pluginConfig(openStrategy(t), `{"unit": "bytes", "max_bytes_per_second": 0}`, `{}`))
		p.waitForMetric("l4dump_configuration_valid", 1)
		waitFor(t, "a connection under the new configuration", func() bool {
			talk()
			source := brief()
			closes++
			return p.waitForCloses(closes).of(t, source).open.Unit == "bytes"
		})

		// The same faults once more are said once more.
		file.update(t, invalid)
		p.waitForMetric("l4dump_configuration_valid", 0)
		waitForFaults(p, 2)

		file.update(t, pluginConfig(strategy.DefaultStrategy(), `{}`, `{}`))
		p.waitForMetric("l4dump_configuration_valid", 1)
		p.waitForMetric("l4dump_off_switch_off", 1)
		waitFor(t, "a connection that is not recorded", func() bool {
			talk()
			brief()
			return p.metrics()["l4dump_bytes_dropped_switch_off_total"] > 0
		})

		talk()
		long.finish()
		recorded := p.waitForDump("the close of the long connection", func(d *dump) bool {
			return d.of(t, long.source()).closed != nil
		}).of(t, long.source())
		require.Equal(t, ledger(uint64(sent), uint64(sent), 0), recorded.closed.Downstream)
		require.Equal(t, ledger(uint64(sent), uint64(sent), 0), recorded.closed.Upstream)
	})
}
