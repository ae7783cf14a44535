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

// TestWindowOpensAndCloses sends bytes and makes connections all the time while a window opens and closes.
func TestWindowOpensAndCloses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		// If the machine is too slow to start before the window opens, the next try takes more time.
		for lead := int64(5); lead <= 40; lead *= 2 {
			if throughWindow(t, s, lead) {
				return
			}
			t.Logf("too slow for a window in %d s", lead)
		}
		require.Fail(t, "too slow for a window in 40 s")
	})
}

// span is when something was done that a proxy saw in between.
type span struct{ begin, end time.Time }

func spanOf(do func()) span {
	s := span{begin: time.Now()}
	do()
	s.end = time.Now()
	return s
}

// within reports whether all of the span, or none of it, is in a window; neither if it meets a bound.
func (s span) within(opens, closes time.Time) (all, none bool) {
	return !s.begin.Before(opens) && s.end.Before(closes), s.end.Before(opens) || !s.begin.Before(closes)
}

// probes sends bytes on one connection and makes others.
type probes struct {
	sent     []byte
	exchange []span
	births   map[string]span // of connections, by the client's address
}

const probeBytes = 3_000

// throughWindow is one try: the window opens in lead seconds. It reports whether there were probes before it, in it and
// after it.
func throughWindow(t *testing.T, s subject, lead int64) (inTime bool) {
	const perByte, perConn = "bytes", "connections"
	const duration = 2
	const limits = `"directions": ["downstream", "upstream"], "max_bytes_per_second": 0, "max_lines_per_second": 0`
	schedule, second := opensIn(t, lead, duration)
	window, open := strategy.WindowAt(second*int64(time.Second), schedule)
	require.True(t, open)
	require.Equal(t, second, window.Start)
	opens, closes := time.Unix(second, 0), time.Unix(second+duration, 0)

	service := startService(t, echo)
	p := start(t, s, newConfig(t, service.address(), plugins{
		perByte: pluginConfig(schedule, `{"unit": "bytes", `+limits+`}`, `{}`),
		perConn: pluginConfig(schedule, `{"unit": "connections", `+limits+`}`, `{}`),
	}))
	defer p.stop()

	early := dial(t, p.address(perByte)) // lives through both bounds
	var inside *client                   // is born in the window and lives through its end
	done := probes{births: map[string]span{}}
	for time.Now().Before(closes.Add(time.Second / 2)) {
		payload := randomBytes(uint64(len(done.sent)), probeBytes)
		done.sent = append(done.sent, payload...)
		done.exchange = append(done.exchange, spanOf(func() { early.exchange(payload) }))

		var born *client
		birth := spanOf(func() {
			born = dial(t, p.address(perConn))
			born.exchange(payload)
		})
		done.births[born.source()] = birth
		if all, _ := birth.within(opens, closes); all && inside == nil {
			inside = born
		} else {
			born.finish()
		}
		time.Sleep(10 * time.Millisecond) // not to fill the log
	}
	if inside == nil || !done.exchange[0].end.Before(opens) || done.exchange[len(done.exchange)-1].begin.Before(closes) {
		return false
	}
	after := randomBytes(1, 10_000)
	inside.exchange(after)
	inside.finish()
	early.finish()
	if !time.Now().Before(opens.Add(time.Duration(schedule.Interval) * time.Second)) {
		return false // the next window is open
	}

	p.waitForDump("the probes' records", func(d *dump) bool {
		ofEarly, ofInside := d.bySource[early.source()], d.bySource[inside.source()]
		return ofEarly != nil && ofEarly.closed != nil && ofInside != nil && ofInside.closed != nil
	})
	p.stop()
	d := p.dump()
	for _, c := range d.conns {
		require.Equal(t, map[record.UUID]bool{window.UUID(): true}, c.windows)
		require.NotNil(t, c.closed)
	}
	requireBytesOfWindow(t, d.of(t, early.source()), &done, opens, closes)

	recorded := map[string]bool{early.source(): true}
	for source, birth := range done.births {
		all, none := birth.within(opens, closes)
		require.True(t, !all || d.bySource[source] != nil, "a connection born in the window is not recorded")
		require.True(t, !none || d.bySource[source] == nil, "a connection born outside the window is recorded")
		if c := d.bySource[source]; c != nil {
			recorded[source] = true
			want := uint64(probeBytes)
			if source == inside.source() {
				want += uint64(len(after))
			}
			require.Equal(t, "connections", c.open.Unit)
			require.Equal(t, ledger(want, want, 0), c.closed.Downstream)
			require.Equal(t, ledger(want, want, 0), c.closed.Upstream)
		}
	}
	require.Len(t, d.conns, len(recorded))
	c := d.of(t, inside.source())
	for direction := range c.streams {
		require.Equal(t, after, c.streams[direction].bytes(t, 0)[probeBytes:], "what came after the window")
	}
	return true
}

// requireBytesOfWindow requires that of the probes' bytes all are recorded that passed while a window was open, and no
// other, in both directions.
func requireBytesOfWindow(t *testing.T, c *conn, done *probes, opens, closes time.Time) {
	t.Helper()
	require.Equal(t, "bytes", c.open.Unit)
	for direction, l := range []record.Ledger{c.closed.Downstream, c.closed.Upstream} {
		recorded := &c.streams[direction]
		require.NotEmpty(t, recorded.chunks)
		first := recorded.chunks[0].offset
		data := recorded.bytes(t, first)
		last := first + uint64(len(data))
		require.Equal(t, done.sent[first:last], data)
		for i, exchange := range done.exchange {
			from, to := uint64(i*probeBytes), uint64((i+1)*probeBytes)
			all, none := exchange.within(opens, closes)
			require.True(t, !all || first <= from && to <= last, "bytes of the window are not recorded")
			require.True(t, !none || to <= first || last <= from, "bytes outside the window are recorded")
		}
		require.Equal(t, ledger(uint64(len(done.sent)), uint64(len(data)), strategy.WindowClosed), l)
		require.Equal(t, []uint64{uint64(len(done.sent))}, recorded.ends)
	}
}
