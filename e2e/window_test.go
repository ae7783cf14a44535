package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/record"
	"l4dump/strategy"
)

// TestNothingIsRecorded attaches the plugin to listeners of one process with the switch off, with a closed window, and
// with an open one, for both units: each obeys its own configuration, in one VM.
func TestNothingIsRecorded(t *testing.T) {
	t.Parallel()
	const connections = 8 // to each listener
	onEach(t, func(t *testing.T, s subject) {
		listeners := plugins{}
		for _, unit := range []string{"bytes", "connections"} {
			capture := `{"unit": "` + unit + `", "max_bytes_per_second": 0, "max_lines_per_second": 0}`
			listeners["off "+unit] = pluginConfig(strategy.DefaultStrategy(), capture, `{}`)
			listeners["closed "+unit] = pluginConfig(closedStrategy(t), capture, `{}`)
			listeners["on "+unit] = pluginConfig(openStrategy(t), capture, `{}`)
		}
		service := startService(t, echo)
		p := start(t, s, newConfig(t, service.address(), listeners))

		sources := map[string]string{} // the units of what is recorded, by the client's address
		for i := range connections {
			for listener := range listeners {
				c := dial(t, p.address(listener))
				c.exchange(randomBytes(uint64(i), 10_000))
				c.finish()
				if unit, ok := strings.CutPrefix(listener, "on "); ok {
					sources[c.source()] = unit
				}
			}
		}
		p.waitForCloses(2 * connections)
		p.stop() // all records are written
		d := p.dump()
		require.Len(t, d.conns, 2*connections)
		require.Len(t, sources, 2*connections)
		for source, unit := range sources {
			recorded := d.of(t, source)
			require.Equal(t, unit, recorded.open.Unit)
			require.Equal(t, p.port("on "+unit), recorded.port)
			require.Equal(t, ledger(10_000, 10_000, 0), recorded.closed.Downstream)
		}
	})
}

// TestWindowOpensAndCloses sends bytes before, in and after a window, on connections that live through its bounds.
func TestWindowOpensAndCloses(t *testing.T) {
	t.Parallel()
	const duration = 4
	onEach(t, func(t *testing.T, s subject) {
		// Where the machine is too slow to do what belongs before a bound before it, the next try takes more time.
		for lead := int64(6); lead <= 48; lead *= 2 {
			if throughWindow(t, s, lead, duration*lead/6) {
				return
			}
			t.Logf("too slow for a window in %d s", lead)
		}
		require.Fail(t, "too slow for a window in 48 s")
	})
}

// throughWindow is one try: the window opens after lead seconds. It reports whether the steps came in their time.
func throughWindow(t *testing.T, s subject, lead, duration int64) (inTime bool) {
	const perByte, perConn = "bytes", "connections"
	const limits = `"directions": ["downstream", "upstream"], "max_bytes_per_second": 0, "max_lines_per_second": 0`
	schedule, opens := opensIn(t, lead, duration)
	until := func(second int64) bool { return time.Now().Before(time.Unix(second, 0)) }
	waitUntil := func(second int64) {
		for until(second) {
			time.Sleep(time.Until(time.Unix(second, 0)))
		}
	}
	window, open := strategy.WindowAt(opens*int64(time.Second), schedule)
	require.True(t, open)
	require.Equal(t, opens, window.Start)

	service := startService(t, echo)
	p := start(t, s, newConfig(t, service.address(), plugins{
		perByte: pluginConfig(schedule, `{"unit": "bytes", `+limits+`}`, `{}`),
		perConn: pluginConfig(schedule, `{"unit": "connections", `+limits+`}`, `{}`),
	}))
	defer p.stop()
	before, within, after := randomBytes(1, 30_000), randomBytes(2, 20_000), randomBytes(3, 10_000)

	listeners := []string{perByte, perConn}
	early, inside, late := map[string]*client{}, map[string]*client{}, map[string]*client{}
	for _, listener := range listeners {
		early[listener] = dial(t, p.address(listener))
		early[listener].exchange(before)
	}
	if !until(opens) {
		return false
	}
	waitUntil(opens)
	for _, listener := range listeners {
		early[listener].exchange(within)
		inside[listener] = dial(t, p.address(listener))
		inside[listener].exchange(within)
	}
	if !until(opens + duration) {
		return false
	}
	waitUntil(opens + duration)
	for _, listener := range listeners {
		late[listener] = dial(t, p.address(listener))
		for _, c := range []*client{early[listener], inside[listener], late[listener]} {
			c.exchange(after)
			c.finish()
		}
	}
	require.True(t, until(opens+schedule.Interval), "the next window is open")

	// Bytes: those of the window, on both connections that it met. Connections: the one that was born in it, whole.
	d := p.waitForCloses(3)
	p.stop()
	d = p.dump()
	require.Len(t, d.conns, 3)
	for _, row := range []struct {
		name   string
		client *client
		unit   strategy.Unit
		offset uint64
		kept   []byte
		seen   int
	}{
		{"bytes of the connection before", early[perByte], "bytes", uint64(len(before)), within, len(before) + len(within) + len(after)},
		{"bytes of the connection inside", inside[perByte], "bytes", 0, within, len(within) + len(after)},
		{"connection inside", inside[perConn], "connections", 0, append(within[:len(within):len(within)], after...), len(within) + len(after)},
	} {
		recorded := d.of(t, row.client.source())
		require.Equal(t, map[record.UUID]bool{window.UUID(): true}, recorded.windows, row.name)
		require.Equal(t, string(row.unit), recorded.open.Unit, row.name)
		for _, direction := range []record.Direction{record.Downstream, record.Upstream} {
			require.Equal(t, row.kept, recorded.streams[direction].bytes(t, row.offset), row.name)
			require.Equal(t, []uint64{uint64(row.seen)}, recorded.streams[direction].ends, row.name)
		}
		want := ledger(uint64(row.seen), uint64(len(row.kept)), strategy.WindowClosed)
		require.Equal(t, want, recorded.closed.Downstream, row.name)
		require.Equal(t, want, recorded.closed.Upstream, row.name)
	}
	return true
}
