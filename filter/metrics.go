package filter

import (
	"l4dump/internal/abi"
	"l4dump/internal/poll"
	"l4dump/strategy"
)

// metrics are counted here and given to the proxy on each tick, since a hostcall for each read would cost more than
// the counting. As scraped their names begin with "l4dump_" (docs/OPERATIONS.md); Envoy's /stats puts "wasmcustom."
// before.
type metrics struct {
	connectionsSeen    uint64
	connectionsKept    uint64
	connectionsDropped [strategy.Reasons]uint64
	bytesSeen          uint64
	bytesKept          uint64
	bytesDropped       [strategy.Reasons]uint64
	bytesLost          uint64 // by the sink, of those that were counted as kept
	lines              uint64
	polls              [pollResults]uint64

	counters []counter
	gauges   struct {
		valid, window, sidecar, shedding abi.Metric
		off                              [strategy.Reasons]abi.Metric
	}
}

// counter is a number here and its metric at the proxy.
type counter struct {
	pending *uint64
	metric  abi.Metric
}

// define makes the metrics at the proxy. One that it refuses is not counted there.
func (m *metrics) define() {
	m.count("l4dump_connections_seen_total", &m.connectionsSeen)
	m.count("l4dump_connections_kept_total", &m.connectionsKept)
	m.count("l4dump_bytes_seen_total", &m.bytesSeen)
	m.count("l4dump_bytes_kept_total", &m.bytesKept)
	m.count("l4dump_lines_total", &m.lines)
	for r := strategy.Recorded + 1; r < strategy.Reasons; r++ {
		m.count("l4dump_bytes_dropped_"+r.String()+"_total", &m.bytesDropped[r])
		if r != strategy.ConnectionLimit && r != strategy.SinkLost { // with these, something was recorded
			m.count("l4dump_connections_dropped_"+r.String()+"_total", &m.connectionsDropped[r])
		}
		if r.Lasting() {
			m.gauges.off[r] = gauge("l4dump_off_" + r.String())
		}
	}
	for result := range pollResults {
		m.count("l4dump_polls_"+result.String()+"_total", &m.polls[result])
	}
	m.gauges.valid = gauge("l4dump_configuration_valid")
	m.gauges.window = gauge("l4dump_window_open")
	m.gauges.sidecar = gauge("l4dump_sidecar_fresh")
	m.gauges.shedding = gauge("l4dump_shedding")
}

func (m *metrics) count(name string, pending *uint64) {
	if metric, err := abi.DefineCounter(name); err == nil {
		m.counters = append(m.counters, counter{pending, metric})
	}
}

func gauge(name string) abi.Metric {
	metric, err := abi.DefineGauge(name)
	if err != nil {
		return 0
	}
	return metric
}

// handIn gives the proxy what was counted, and what the configurations in use do at now. All VMs set the same gauges.
func (v *vm) handIn(now int64) {
	m := &v.metrics
	m.settle()
	for _, c := range m.counters {
		c.metric.Add(*c.pending)
		*c.pending = 0
	}
	if len(v.plugins) == 0 {
		return // the VM in which a proxy tries a configuration ends while others continue
	}
	valid, window, fresh := true, false, false
	shedding := strategy.ShedNothing
	var off [strategy.Reasons]bool
	for p := range v.plugins {
		if p.replacedAt != 0 {
			continue
		}
		d := p.decide(now, false)
		off[d.Begin] = true
		shedding = max(shedding, d.Shedding.Level)
		valid = valid && p.valid
		window = window || p.off == strategy.Recorded && d.Open
		fresh = fresh || p.sidecar != nil && p.fresh(now)
	}
	m.gauges.valid.Set(asNumber(valid))
	m.gauges.window.Set(asNumber(window))
	m.gauges.sidecar.Set(asNumber(fresh))
	m.gauges.shedding.Set(uint64(shedding))
	for r := strategy.Recorded + 1; r < strategy.Reasons; r++ {
		if r.Lasting() {
			m.gauges.off[r].Set(asNumber(off[r]))
		}
	}
}

// totals returns what the whole process has counted, which the proxy adds up. Of other VMs, what they counted since their
// last tick is missing.
func (m *metrics) totals() *poll.Totals {
	t := &poll.Totals{
		ConnectionsSeen: m.total(&m.connectionsSeen), ConnectionsKept: m.total(&m.connectionsKept),
		BytesSeen: m.total(&m.bytesSeen), BytesKept: m.total(&m.bytesKept),
	}
	for r := range t.BytesDropped {
		t.BytesDropped[r] = m.total(&m.bytesDropped[r])
	}
	return t
}

func (m *metrics) total(pending *uint64) uint64 {
	for _, c := range m.counters {
		if c.pending == pending {
			return c.metric.Value() + *pending
		}
	}
	return *pending
}

// settle takes what the sink has lost from what is counted as kept. The proxy's counters cannot go back: what was given
// to them as kept already is settled with what is kept next.
func (m *metrics) settle() {
	lost := min(m.bytesLost, m.bytesKept)
	m.bytesLost -= lost
	m.bytesKept -= lost
	m.bytesDropped[strategy.SinkLost] += lost
}

func asNumber(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
