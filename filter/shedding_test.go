package filter

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/record"
	"l4dump/strategy"
)

// TestShedding has usage rise to its limit, and fall. A connection that is recorded by then is recorded on, of each
// read less; new ones are not.
func TestShedding(t *testing.T) {
	whole := strings.Repeat("0123456789", 30)
	for _, row := range []struct {
		name, unit, reason  string
		new, payload, limit [2]int // CPU and memory that reach a level
	}{
		{"connections by CPU", "connections", "cpu", [2]int{75, 60}, [2]int{78, 60}, [2]int{80, 60}},
		{"connections by memory", "connections", "memory", [2]int{70, 65}, [2]int{70, 68}, [2]int{70, 70}},
		{"bytes by CPU", "bytes", "cpu", [2]int{75, 60}, [2]int{78, 60}, [2]int{80, 60}},
	} {
		for _, each := range subjects {
			t.Run(row.name+"/"+each.name, func(t *testing.T) {
				s := each.start(t, strings.Replace(guarded, `"unit":"connections"`,
					`"max_bytes_per_second":0,"max_lines_per_second":0,"unit":"`+row.unit+`"`, 1))
				// until has usage change, and repeats step until it has seen the effect.
				until := func(usage [2]int, step func() bool) {
					t.Helper()
					s.measure(usage[0], usage[1])
					require.Eventually(t, step, time.Minute, time.Millisecond)
				}
				recorded := func(c flow, data string) (payload string) {
					before := len(recordLines(s))
					c.send(down, data)
					records := recordsOf(t, s)[before:]
					for _, r := range records {
						payload += string(r.Payload)
					}
					return payload
				}
				var c flow
				dropped := uint64(0)
				until([2]int{70, 60}, func() bool { // what comes before usage is known is not recorded
					next := s.connect()
					if recorded(next, whole) == whole {
						c = next
						return true
					}
					next.close(types.PeerTypeLocal)
					return false
				})
				until(row.new, func() bool {
					next := s.connect()
					got := recorded(next, whole)
					next.close(types.PeerTypeLocal)
					return got == ""
				})
				require.Equal(t, whole, recorded(c, whole), "a connection that is recorded by then is not shortened")
				read := func(want string) func() bool {
					return func() bool {
						got := recorded(c, whole)
						dropped += uint64(len(whole) - len(got))
						return got == want
					}
				}
				until(row.payload, read(whole[:strategy.ShedBytes]))
				until(row.limit, read(""))
				until([2]int{70, 60}, read(whole))
				c.close(types.PeerTypeLocal)
				records := recordsOf(t, s)
				last := records[len(records)-1]
				require.Equal(t, record.KindClose, last.Kind)
				require.Equal(t, []record.Drop{{Reason: row.reason, Bytes: dropped}}, last.Close.Downstream.Dropped)
				s.finish()
				require.NotZero(t, s.metric("l4dump_connections_dropped_"+row.reason+"_total"))
			})
		}
	}
}

// TestSheddingShare has a level at which a part of the connections is taken. With bytes, what is left out is looked at
// again with each read.
func TestSheddingShare(t *testing.T) {
	r := newRig(t, strings.Replace(guarded, `"unit":"connections"`, `"unit":"bytes"`, 1))
	s := native{r}
	levels := map[int]uint64{}
	var ids []uint32
	for cpu := 80; cpu >= 70; cpu-- {
		s.measure(cpu, 10)
		s.measure(cpu, 10) // a good reading more closes the fuse
		levels[cpu] = r.gauge("shedding")
		if cpu != 72 {
			continue
		}
		for range 1000 {
			r.now++
			ids = append(ids, r.connect())
			r.downstream(ids[len(ids)-1], "a")
		}
		taken := r.vm.metrics.connectionsKept
		require.InDelta(t, 600, taken, 60)
		for _, id := range ids {
			r.downstream(id, "b")
		}
		require.Equal(t, taken, r.vm.metrics.connectionsKept, "the same ones")
	}
	require.Equal(t, map[int]uint64{80: 0, 79: 3, 78: 3, 77: 2, 76: 2, 75: 2, 74: 1, 73: 1, 72: 1, 71: 1, 70: 0}, levels)
	for _, id := range ids {
		r.downstream(id, "c")
	}
	require.Equal(t, uint64(1000), r.counter("connections_kept_total")+r.vm.metrics.connectionsKept)
}
