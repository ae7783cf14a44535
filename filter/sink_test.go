package filter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/abi"
	"l4dump/record"
	"l4dump/strategy"
)

// boundedSink keeps what it accepts, up to a number of records: then it is full.
type boundedSink struct {
	room    int
	owner   *connection
	ledger  *record.Close
	kinds   []record.Kind
	flushed int
}

func (s *boundedSink) take(kind record.Kind) (int, strategy.Reason) {
	if s.room == 0 {
		return 0, strategy.QueueFull
	}
	s.room--
	s.kinds = append(s.kinds, kind)
	return 1, strategy.Recorded
}

func (s *boundedSink) ready() strategy.Reason { return strategy.Recorded }
func (s *boundedSink) payload() int           { return 4 }
func (s *boundedSink) settle()                {}
func (s *boundedSink) flush()                 { s.flushed++ }

func (s *boundedSink) open(c *connection, _ *record.Open) (int, strategy.Reason) {
	s.owner = c
	return s.take(record.KindOpen)
}

func (s *boundedSink) data(*record.Header, record.Direction, uint64, []byte, int) (int, strategy.Reason) {
	return s.take(record.KindData)
}

func (s *boundedSink) end(*record.Header, record.Direction, uint64) (int, strategy.Reason) {
	return s.take(record.KindEnd)
}

func (s *boundedSink) close(_ *record.Header, c *record.Close) (int, strategy.Reason) {
	s.ledger = c
	return s.take(record.KindClose)
}

// bounded returns a rig whose plugin writes to a bounded sink.
func bounded(t *testing.T, room int) (*rig, *boundedSink) {
	r := newRig(t, on(`"unit":"connections"`, ``))
	s := &boundedSink{room: room}
	r.vm.newest["recorder\x00root"].sink = s
	return r, s
}

func TestFullSink(t *testing.T) {
	for _, row := range []struct {
		name         string
		room         int
		kept, queued uint64
		kinds        []record.Kind
		connections  uint64
	}{
		{"no room at all", 0, 0, 10, nil, 0},
		{"room for the open record", 1, 0, 10, []record.Kind{record.KindOpen}, 1},
		{"room for a part of the read", 2, 4, 6, []record.Kind{record.KindOpen, record.KindData}, 1},
		{"room for all but the close record", 4, 10, 0, []record.Kind{record.KindOpen, record.KindData, record.KindData, record.KindData}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, s := bounded(t, row.room)
			id := r.connect()
			r.downstream(id, "0123456789")
			c := r.streams[id].(*connection)
			require.Equal(t, row.kept, c.streams[record.Downstream].kept)
			r.done(id)
			r.Tick()
			require.Equal(t, row.kinds, s.kinds)
			require.Equal(t, 1, s.flushed)
			require.Equal(t, uint64(10), r.counter("bytes_seen_total"))
			require.Equal(t, row.kept, r.counter("bytes_kept_total"))
			require.Equal(t, row.queued, r.counter("bytes_dropped_queue_total"))
			require.Equal(t, row.connections, r.counter("connections_kept_total"))
			require.Equal(t, uint64(len(row.kinds)), r.counter("lines_total"))
		})
	}
	t.Run("room again", func(t *testing.T) {
		r, s := bounded(t, 0)
		id := r.connect()
		r.downstream(id, "0123")
		s.room = 10
		r.downstream(id, "4567")
		r.done(id)
		require.Equal(t, []record.Kind{record.KindOpen, record.KindData, record.KindClose}, s.kinds)
		require.Equal(t, ledger(8, 4, record.Drop{Reason: "queue", Bytes: 4}), s.ledger.Downstream)
		require.Equal(t, header(1, 3, r.now), s.owner.header)
	})
}

func TestSinkThatLoses(t *testing.T) {
	r, s := bounded(t, 100)
	id := r.connect()
	r.downstream(id, "0123456789")
	s.owner.lost(record.Downstream, 4)
	r.done(id)
	require.Equal(t, ledger(10, 6, record.Drop{Reason: "sink", Bytes: 4}), s.ledger.Downstream)
	r.Tick()
	require.Equal(t, uint64(6), r.counter("bytes_kept_total"))
	require.Equal(t, uint64(4), r.counter("bytes_dropped_sink_total"))

	t.Run("after the counters were given to the proxy", func(t *testing.T) {
		s.owner.lost(record.Downstream, 5)
		r.Tick()
		require.Equal(t, uint64(6), r.counter("bytes_kept_total"), "counters do not go back")
		require.Equal(t, uint64(4), r.counter("bytes_dropped_sink_total"))
		r.downstream(r.connect(), "01234567")
		r.Tick()
		require.Equal(t, uint64(18), r.counter("bytes_seen_total"))
		require.Equal(t, uint64(6+3), r.counter("bytes_kept_total"))
		require.Equal(t, uint64(4+5), r.counter("bytes_dropped_sink_total"))
	})
}

// TestLogLevelRaisedBetweenReads raises the level without a tick: the next read is not kept, nor is its end written.
func TestLogLevelRaisedBetweenReads(t *testing.T) {
	for _, unit := range []string{"bytes", "connections"} {
		t.Run(unit, func(t *testing.T) {
			r := newRig(t, on(`"unit":"`+unit+`"`, ``))
			id := r.connect()
			r.downstream(id, "seen")
			r.level = abi.LevelError
			r.downstream(id, "hidden")
			r.streams[id].OnDownstreamData(0, true)
			r.level = abi.LevelInfo
			r.downstream(id, "again")
			r.done(id)
			records := r.records()
			require.Len(t, records, 4)
			require.Equal(t, dataRecord(header(1, 2, r.now), record.Downstream, 10, "again"), records[2])
			require.Equal(t, ledger(15, 9, record.Drop{Reason: "log_level", Bytes: 6}), records[3].Close.Downstream)
		})
	}
}

// TestLongWritesWait has the lines of several callbacks in one write: with the next tick, or at the plugin's end.
func TestLongWritesWait(t *testing.T) {
	const long = `"write_bytes":65536`
	kinds := func(r *rig) (kinds []record.Kind) {
		for _, each := range parsed(t, strings.Split(strings.Join(r.lines(), "\n"), "\n")) {
			kinds = append(kinds, each.Kind)
		}
		return kinds
	}
	t.Run("for the tick", func(t *testing.T) {
		r := newRig(t, on(``, long))
		id := r.connect()
		r.downstream(id, "one")
		r.downstream(id, "two")
		require.Empty(t, r.lines())
		r.Tick()
		require.Len(t, r.lines(), 1)
		require.Equal(t, []record.Kind{record.KindOpen, record.KindData, record.KindData}, kinds(r))
		r.done(id)
		require.Len(t, r.lines(), 1)
		r.Tick()
		require.Len(t, r.lines(), 2)
		r.Tick()
		require.Len(t, r.lines(), 2)
	})
	t.Run("for the plugin's end", func(t *testing.T) {
		r := newRig(t, on(``, long))
		id := r.connect()
		r.downstream(id, "one")
		r.done(id)
		require.True(t, r.FinishVM())
		require.Equal(t, []record.Kind{record.KindOpen, record.KindData, record.KindClose}, kinds(r))
	})
	t.Run("until its configuration is taken back", func(t *testing.T) {
		r := newRig(t, on(``, long))
		r.downstream(r.connect(), "one")
		p := r.vm.newest["recorder\x00root"]
		p.use()
		require.Equal(t, []record.Kind{record.KindOpen, record.KindData}, kinds(r))
	})
	for _, format := range []string{"l4dump", "layotto"} {
		t.Run("while the log level is raised, "+format, func(t *testing.T) {
			r := newRig(t, on(``, long+`,"format":"`+format+`"`))
			id := r.connect()
			r.downstream(id, "lost")
			r.level = abi.LevelError
			r.downstream(id, "lost too")
			r.Tick()
			require.Empty(t, r.lines())
			require.Equal(t, uint64(12), r.counter("bytes_dropped_sink_total"))
			require.Zero(t, r.counter("bytes_kept_total"))
			r.downstream(id, "hidden")
			r.Tick()
			require.Equal(t, uint64(6), r.counter("bytes_dropped_log_level_total"))
			r.level = abi.LevelInfo
			r.downstream(id, "not known yet")
			r.Tick()
			require.Equal(t, uint64(6+13), r.counter("bytes_dropped_log_level_total"))
			r.downstream(id, "seen")
			r.Tick()
			require.Len(t, r.lines(), 1)
			require.Equal(t, uint64(4), r.counter("bytes_kept_total"))
			require.Equal(t, uint64(12), r.counter("bytes_dropped_sink_total"))
		})
	}
}

// TestLogLevelIsAskedSeldom counts the hostcalls: one for each read of which something may be recorded.
func TestLogLevelIsAskedSeldom(t *testing.T) {
	for _, row := range []struct {
		name, config string
		at           int64
		asked        int
	}{
		{"switched off", `{"resource_guard":"off"}`, windowStart, 0},
		{"bytes, in a window", on(``, ``), windowStart, 1},
		{"bytes, after it", on(``, ``), windowStart + 10*second, 0},
		{"connections, in a window", on(`"unit":"connections"`, ``), windowStart, 1},
		{"connections, born outside of one", on(`"unit":"connections"`, ``), windowStart + 10*second, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, row.config)
			r.now = row.at
			id := r.connect()
			asked := 0
			s := r.vm.newest["recorder\x00root"].sink.(*logSink)
			s.logLevel = func() abi.Level { asked++; return abi.LevelInfo }
			r.downstream(id, strings.Repeat("x", 10_000))
			require.Equal(t, row.asked, asked)
		})
	}
}

// TestTimeOfClosedWindows counts how often reads outside of a window ask for the time: not before a tick is due, with a
// second for one that is late, unless a window or the strategy's end may come until then.
func TestTimeOfClosedWindows(t *testing.T) {
	const reach = 1*second + 1*second
	until := func(at int64) string {
		return `{"strategy":{"switch":"ON","interval":30,"duration":10,"until":"` + strategy.Moment(at).String() + `"},"resource_guard":"off"}`
	}
	for _, row := range []struct {
		name, config string
		at           int64 // the last tick
		asked        int
		reason       strategy.Reason // a moment later
	}{
		{"a window's last moment", on(``, ``), windowEnd - 1, 1, strategy.WindowClosed},
		{"its end", on(``, ``), windowEnd, 0, strategy.WindowClosed},
		{"long before the next", on(``, ``), nextWindow - reach - 1, 0, strategy.WindowClosed},
		{"the next may begin", on(``, ``), nextWindow - reach, 1, strategy.WindowClosed},
		{"the next begins", on(``, ``), nextWindow - 1, 1, strategy.Recorded},
		{"it ends in time", until(windowEnd + 3*second), windowEnd + 3*second - reach, 1, strategy.WindowClosed},
		{"it ends later", until(windowEnd + 3*second), windowEnd + 3*second - reach - 1, 0, strategy.WindowClosed},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, row.config)
			id := r.connect()
			r.now = row.at
			r.Tick()
			r.now++
			asked := 0
			r.vm.Now = func() int64 { asked++; return r.now }
			r.downstream(id, "x")
			require.Equal(t, row.asked, asked)
			if row.reason == strategy.Recorded {
				require.Equal(t, uint64(1), r.vm.metrics.bytesKept)
			} else {
				require.Equal(t, uint64(1), r.vm.metrics.bytesDropped[row.reason])
			}
		})
	}

	t.Run("no tick comes", func(t *testing.T) {
		r := newRig(t, on(``, ``))
		r.now = windowEnd
		p := r.vm.newest["recorder\x00root"]
		p.ticks = false
		p.refresh()
		id := r.connect()
		r.now = nextWindow
		r.downstream(id, "x")
		require.Equal(t, uint64(1), r.vm.metrics.bytesKept)
	})
}

func TestNextFilter(t *testing.T) {
	for _, row := range []struct{ name, capture, want string }{
		{"not configured", ``, ""},
		{"tcp_proxy", `"next_filter":"tcp_proxy"`, "tcp_proxy"},
		{"HTTP", `"next_filter":"http_connection_manager"`, "http_connection_manager"},
		{"other", `"next_filter":"other"`, "other"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, on(row.capture, ``))
			r.downstream(r.connect(), "x")
			require.Equal(t, row.want, r.records()[0].Open.Next)
		})
	}
}

func TestProxyConnection(t *testing.T) {
	for _, row := range []struct {
		name  string
		id    []byte
		known bool
		want  uint64
	}{
		{"none", nil, false, 0},
		{"the first", make([]byte, 8), true, 0},
		{"another", []byte{2, 1, 0, 0, 0, 0, 0, 0}, true, 0x102},
		{"not a number", []byte{1, 2}, false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, on(``, ``))
			r.number = row.id
			r.configure(on(``, ``))
			r.downstream(r.connect(), "x")
			open := r.records()[0].Open
			require.Equal(t, row.known, open.HasProxyConn)
			require.Equal(t, row.want, open.ProxyConn)
		})
	}
}
