package filter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/record"
	"l4dump/strategy"
)

// TestSelectionScenarios has clients from 10.0.0.7:40112 that connect to 10.0.0.8:8080.
func TestSelectionScenarios(t *testing.T) {
	const now = windowStart
	whole := func(criteria string) string { return on(`"unit":"connections",`+criteria, ``) }
	windows := func(criteria string) string {
		return on(`"unit":"bytes","directions":["downstream","upstream"],`+criteria, ``)
	}
	exchange := func(s subject) {
		c := s.connect()
		c.send(down, "ping")
		c.send(up, "pong!")
		c.close(types.PeerTypeLocal)
	}
	exchanged := func(unit string) []record.Record {
		return []record.Record{
			anonymous(header(1, 0, now), unit, now, ""),
			dataRecord(header(1, 1, now), down, 0, "ping"),
			dataRecord(header(1, 2, now), up, 0, "pong!"),
			closeRecord(header(1, 3, now), "proxy", ledger(4, 4), ledger(5, 5)),
		}
	}
	refused := func(reason string, bytes uint64) map[string]uint64 {
		counters := map[string]uint64{"connections_seen": 1, "connections_dropped_" + reason: 1}
		if bytes > 0 {
			counters["bytes_seen"], counters["bytes_dropped_"+reason] = bytes, bytes
		}
		return counters
	}
	rows := []scenario{
		{
			name: "none of a few connections", config: whole(`"connection_rate":1e-9`), run: exchange,
			counters: refused("sampled_out", 9),
		},
		{
			name: "of a connection of many in windows, none", config: windows(`"connection_rate":1e-9`), run: exchange,
			counters: refused("sampled_out", 9),
		},
		{
			name:   "no byte, but selected when it began",
			config: whole(`"match":{"ports":[8080]}`),
			run:    func(s subject) { s.connect().close(types.PeerTypeLocal) },
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				closeRecord(header(1, 1, now), "proxy", ledger(0, 0), ledger(0, 0)),
			},
		},
		{
			name:     "no byte, and the first ones are wanted",
			config:   whole(`"match":{"first_bytes":["70"]}`),
			run:      func(s subject) { s.connect().close(types.PeerTypeLocal) },
			counters: refused("not_selected", 0),
		},
		{
			name:   "no byte, and the first ones are not wanted",
			config: whole(`"except":{"first_bytes":["70"]}`),
			run:    func(s subject) { s.connect().close(types.PeerTypeLocal) },
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				closeRecord(header(1, 1, now), "proxy", ledger(0, 0), ledger(0, 0)),
			},
		},
		{
			name:   "the service speaks first, and the client byte by byte",
			config: whole(`"match":{"first_bytes":["70696e67"]}`),
			run: func(s subject) {
				c := s.connect()
				for i, read := range []string{"banner", "p", "i", "more", "n"} {
					s.setNow(now + int64(i) + 1)
					c.send([]record.Direction{up, down, down, up, down}[i], read)
				}
				require.Empty(t, recordLines(s))
				s.setNow(now + 6)
				c.send(down, "ging")
				s.setNow(now + 7)
				c.send(up, "pong")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now+1), "connections", now, ""),
				dataRecord(header(1, 1, now+1), up, 0, "banner"),
				dataRecord(header(1, 2, now+2), down, 0, "p"),
				dataRecord(header(1, 3, now+3), down, 1, "i"),
				dataRecord(header(1, 4, now+4), up, 6, "more"),
				dataRecord(header(1, 5, now+5), down, 2, "n"),
				dataRecord(header(1, 6, now+6), down, 3, "ging"),
				dataRecord(header(1, 7, now+7), up, 10, "pong"),
				closeRecord(header(1, 8, now+7), "proxy", ledger(7, 7), ledger(14, 14)),
			},
			counters: map[string]uint64{
				"connections_seen": 1, "connections_kept": 1, "bytes_seen": 21, "bytes_kept": 21, "lines": 9,
			},
		},
		{
			name:   "other first bytes after some that fit",
			config: whole(`"match":{"first_bytes":["70696e67"]}`),
			run: func(s subject) {
				c := s.connect()
				c.send(up, "banner")
				c.send(down, "pi")
				c.send(down, "ck")
				c.send(up, "bye")
				c.close(types.PeerTypeLocal)
			},
			counters: refused("not_selected", 13),
		},
		{
			name:   "the client ends before enough has come",
			config: whole(`"except":{"first_bytes":["70696e67"]}`),
			run: func(s subject) {
				c := s.connect()
				c.send(down, "pin")
				c.end(down)
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				dataRecord(header(1, 1, now), down, 0, "pin"),
				endRecord(header(1, 2, now), down, 3),
				closeRecord(header(1, 3, now), "downstream", ledger(3, 3), ledger(0, 0)),
			},
		},
		{
			name:   "windows open and close while it waits",
			config: windows(`"match":{"first_bytes":["61626364"]}`),
			run: func(s subject) {
				s.setNow(now - 1)
				c := s.connect()
				c.send(down, "a")
				s.setNow(now)
				c.send(down, "b")
				s.setNow(windowEnd)
				c.send(up, "between")
				s.setNow(nextWindow)
				c.send(down, "cd")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "bytes", now-1, ""),
				dataRecord(header(1, 1, now), down, 1, "b"),
				dataRecord(in(nextWindow, header(1, 2, nextWindow)), down, 2, "cd"),
				closeRecord(in(nextWindow, header(1, 3, nextWindow)), "proxy",
					ledger(4, 3, dropped("window_closed", 1)), ledger(7, 0, dropped("window_closed", 7))),
			},
		},
	}
	for _, row := range []struct {
		name, criteria string
		selected       bool
	}{
		{"the port", `"match":{"ports":[1,8080]}`, true},
		{"another port", `"match":{"ports":[8081]}`, false},
		{"the block of the client", `"match":{"sources":["10.0.0.0/28"]}`, true},
		{"another block", `"match":{"sources":["10.0.0.8/29"]}`, false},
		{"the address that it connects to", `"match":{"destinations":["::ffff:10.0.0.8"]}`, true},
		{"except the port", `"except":{"ports":[8080]}`, false},
		{"except another port", `"except":{"ports":[8081]}`, true},
		{"a direction that is not known", `"match":{"directions":["inbound"]}`, false},
		{"a name that nobody asked for", `"match":{"sni":["*"]}`, false},
		{"except a name that nobody asked for", `"except":{"sni":["*"]}`, true},
		{"the first bytes", `"match":{"ports":[8080],"first_bytes":["504f","7069"]}`, true},
		{"other first bytes", `"match":{"first_bytes":["706a"]}`, false},
		{"more first bytes than there are", `"match":{"first_bytes":["70696e6770"]}`, false},
	} {
		for unit, config := range map[string]string{"bytes": windows(row.criteria), "connections": whole(row.criteria)} {
			s := scenario{name: row.name + ", " + unit, config: config, run: exchange, counters: refused("not_selected", 9)}
			if row.selected {
				s.want, s.counters = exchanged(unit), nil
			}
			rows = append(rows, s)
		}
	}
	runScenarios(t, rows)
}

// TestSelectionWaits has the service's bytes, and the reads, each side of what waits for the client's first bytes.
func TestSelectionWaits(t *testing.T) {
	for _, row := range []struct {
		name     string
		reads    []string
		selected bool
	}{
		{"as many bytes as may", []string{strings.Repeat("x", maxHeldBytes)}, true},
		{"more in one read", []string{strings.Repeat("x", maxHeldBytes+1)}, false},
		{"more in two", []string{strings.Repeat("x", maxHeldBytes), "x"}, false},
		{"as many reads as may", strings.Split(strings.Repeat("x", maxHeldReads), ""), true},
		{"more reads", strings.Split(strings.Repeat("x", maxHeldReads+1), ""), false},
	} {
		for _, each := range subjects {
			t.Run(row.name+"/"+each.name, func(t *testing.T) {
				s := each.start(t, on(`"unit":"connections","match":{"first_bytes":["70"]}`, ``))
				c := s.connect()
				for _, read := range row.reads {
					c.send(up, read)
				}
				c.send(down, "ping")
				c.close(types.PeerTypeLocal)
				var got [2]string
				records := recordsOf(t, s)
				for _, r := range records {
					if r.Kind == record.KindData {
						got[r.Direction] += string(r.Payload)
					}
				}
				want := [2]string{}
				if row.selected {
					want = [2]string{"ping", strings.Join(row.reads, "")}
				}
				require.Equal(t, want, got)
			})
		}
	}
}

// TestSelectionOfNames has a client that shows a name and a certificate.
func TestSelectionOfNames(t *testing.T) {
	for _, row := range []struct {
		name, criteria string
		selected       bool
	}{
		{"the name", `"match":{"sni":["orders.example"]}`, true},
		{"the end of the name", `"match":{"sni":["*.example"]}`, true},
		{"another name", `"match":{"sni":["orders.example.org"]}`, false},
		{"the peer", `"match":{"peers":["spiffe://example/ns/*"]}`, true},
		{"except the peer", `"except":{"peers":["spiffe://example/ns/demo"]}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, on(`"unit":"connections",`+row.criteria, ``))
			id := r.connect()
			r.upstream(id, "banner")
			require.Empty(t, r.records(), "the handshake may not be over")
			r.downstream(id, "x")
			require.Equal(t, row.selected, len(r.records()) > 0)
		})
	}
}

// TestDirectionOfListeners has what proxies say of the listener.
func TestDirectionOfListeners(t *testing.T) {
	for _, row := range []struct {
		name     string
		path     []string
		number   byte
		want     string
		selected bool
	}{
		{"inbound", []string{"xds", "listener_direction"}, 1, "inbound", true},
		{"outbound", []string{"xds", "listener_direction"}, 2, "outbound", true},
		{"as older proxies say it", []string{"listener_direction"}, 2, "outbound", true},
		{"the other one", []string{"xds", "listener_direction"}, 1, "outbound", false},
		{"not specified", []string{"xds", "listener_direction"}, 0, "inbound", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, on(`"unit":"connections","match":{"directions":["`+row.want+`"]}`, ``))
			require.NoError(t, r.SetProperty(row.path, []byte{row.number, 0, 0, 0, 0, 0, 0, 0}))
			r.downstream(r.connect(), "x")
			require.Equal(t, row.selected, len(r.records()) > 0)
		})
	}
}

// TestLeftOutCostsNothing counts what the filter asks the proxy for when a connection is not selected.
func TestLeftOutCostsNothing(t *testing.T) {
	for _, criteria := range []string{`"match":{"ports":[1]}`, `"match":{"first_bytes":["00"]}`, `"connection_rate":1e-9`} {
		for _, unit := range []string{"bytes", "connections"} {
			t.Run(unit+" "+criteria, func(t *testing.T) {
				r := newRig(t, on(`"unit":"`+unit+`",`+criteria, ``))
				id := r.connect()
				r.downstream(id, "x")
				c := r.streams[id].(*connection)
				asked := 0
				r.vm.Now = func() int64 { asked++; return r.now }
				data := func(int, int) ([]byte, error) { asked++; return nil, nil }
				require.Zero(t, testing.AllocsPerRun(100, func() {
					c.read(record.Downstream, data, 64, false)
					c.read(record.Upstream, data, 64, false)
				}))
				require.Zero(t, asked)
				require.Equal(t, uint64(1+101*64), c.streams[record.Downstream].seen)
			})
		}
	}
}

// TestHeldReadsThatAreForbidden has reads that wait while the strategy is forced off: they are not recorded.
func TestHeldReadsThatAreForbidden(t *testing.T) {
	for _, unit := range []string{"bytes", "connections"} {
		t.Run(unit, func(t *testing.T) {
			r := newRig(t, on(`"unit":"`+unit+`","match":{"first_bytes":["7878"]}`, ``))
			id := r.connect()
			r.downstream(id, "x")
			p := r.vm.newest["recorder\x00root"]
			p.inputs.Global = &strategy.Strategy{Switch: strategy.SwitchForceOff, Interval: 30, Duration: 10}
			_, p.off = strategy.Merge(p.config.Strategy, p.inputs.Global, r.now)
			r.downstream(id, "x")
			r.done(id)
			require.Empty(t, r.records())
			require.Equal(t, drops{{strategy.ForcedOff, 2}}, r.streams[id].(*connection).streams[record.Downstream].dropped)
		})
	}
}

// TestLateChoice has connections that are chosen in a later window than that in which they began use up that window's
// limits.
func TestLateChoice(t *testing.T) {
	for _, row := range []struct {
		name, limit, first string
		reason             string
	}{
		{"connections", `"max_connections_per_window":1`, "x", "max_connections_per_window"},
		{"bytes", `"max_bytes_per_window":1024`, "x" + strings.Repeat("y", 1023), "window_bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, on(`"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0,"match":{"first_bytes":["78"]},`+row.limit, ``))
			silent := []uint32{r.connect(), r.connect()}
			for range 2 {
				r.now = nextWindowOf(r.now)
				r.Tick()
			}
			r.downstream(r.connect(), row.first)
			require.Len(t, r.records(), 2)

			for _, id := range append(silent, r.connect()) {
				r.downstream(id, row.first)
			}
			require.Len(t, r.records(), 2)
			for _, id := range silent {
				r.done(id)
			}
			r.Tick()
			require.Equal(t, uint64(2), r.counter("connections_dropped_"+row.reason+"_total"))
		})
	}
}
