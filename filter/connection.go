package filter

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/record"
	"l4dump/strategy"
)

// connection is one TCP connection: a stream context. Its plugin is the one whose configuration it was born under.
type connection struct {
	types.DefaultTcpContext
	plugin   *plugin
	started  int64
	selected strategy.Reason // why none of it is recorded, or Recorded
	choice   *choice         // nil as soon as it is decided whether it is selected
	masking  *masking        // nil as long as nothing is masked
	admitted bool            // with UnitConnections: it was to be recorded whole
	claim    strategy.Claim  // on the budget, with UnitConnections
	opened   bool            // its open record is accepted
	written  bool            // one of its records is
	closed   bool            // nothing more is heard of it
	kept     uint64          // bytes of both directions
	last     strategy.Reason // why it was not recorded, last
	first    string          // who ended its stream first
	header   record.Header
	streams  [2]stream // by record.Direction
}

// stream is one direction of a connection.
type stream struct {
	seen    uint64
	kept    uint64
	dropped drops
	ended   bool
}

// OnNewConnection implements types.TcpContext.
func (c *connection) OnNewConnection() types.Action {
	p := c.plugin
	c.started = p.vm.Now()
	p.vm.metrics.connectionsSeen++
	if limit := p.config.Capture.MaxConnectionTime; limit > 0 {
		c.claim.Until = c.started + limit.Nanoseconds()
	}
	d := p.decide(c.started, false)
	c.last = d.New(c.seed())
	if p.config.Capture.Unit == strategy.UnitConnections {
		c.header.Window = p.idOf(d.Window)
		c.selected = c.last
	}
	if c.selected == strategy.Recorded {
		c.begin(d.Window)
		p.sink.settle()
	}
	return types.ActionContinue
}

// admit asks the budget for a connection that is selected.
func (c *connection) admit(w strategy.Window, now int64) {
	p := c.plugin
	if p.config.Capture.Unit == strategy.UnitConnections {
		c.selected = p.vm.admission.Admit(&p.config.Capture, &p.shared, w, &c.claim, now)
		c.admitted = c.selected == strategy.Recorded
		c.last = c.selected
	}
}

// OnDownstreamData implements types.TcpContext.
func (c *connection) OnDownstreamData(size int, end bool) types.Action {
	c.read(record.Downstream, abi.DownstreamData, size, end)
	return types.ActionContinue
}

// OnUpstreamData implements types.TcpContext.
func (c *connection) OnUpstreamData(size int, end bool) types.Action {
	c.read(record.Upstream, abi.UpstreamData, size, end)
	return types.ActionContinue
}

// OnDownstreamClose implements types.TcpContext. It is the last that is heard of a connection's traffic.
func (c *connection) OnDownstreamClose(peer types.PeerType) {
	by := "unknown"
	switch {
	case c.first != "":
		by = c.first
	case peer == types.PeerTypeRemote:
		by = record.Downstream.String()
	case peer == types.PeerTypeLocal:
		by = "proxy"
	}
	c.close(by)
}

// OnStreamDone implements types.TcpContext.
func (c *connection) OnStreamDone() { c.close("unknown") }

// read takes size bytes of direction d, which data returns, and records what it may. Allocation-free but for the
// connection's open record, and for a direction's first bytes that are dropped for another reason than those before.
func (c *connection) read(d record.Direction, data func(start, size int) ([]byte, error), size int, end bool) {
	if size > 0 && !c.hold(d, data, size) {
		now, reason := c.decide(d, size)
		c.header.Time = now
		c.take(d, data, size, now, reason)
	}
	if s := &c.streams[d]; end && !s.ended {
		c.choose(true)
		s.ended = true
		if c.first == "" {
			c.first = d.String()
		}
		c.end(d)
	}
	c.plugin.sink.settle()
}

// take records what it may of a read, unless there is a reason not to, and counts it. Budgets are asked at now.
func (c *connection) take(
	d record.Direction, data func(start, size int) ([]byte, error), size int, now int64, reason strategy.Reason,
) {
	s := &c.streams[d]
	m := &c.plugin.vm.metrics
	done := 0
	if reason == strategy.Recorded {
		done, reason = c.record(d, data, c.plugin.shedding.Keep(size), now)
	}
	s.seen += uint64(size)
	s.kept += uint64(done)
	c.kept += uint64(done)
	m.bytesSeen += uint64(size)
	m.bytesKept += uint64(done)
	if rest := uint64(size - done); rest > 0 {
		if reason == strategy.Recorded {
			reason = c.plugin.shedding.Reason
		}
		s.dropped.add(reason, rest)
		m.bytesDropped[reason] += rest
		c.last = reason
	}
}

// seed is what the connection's draw is made of, if only a share of them is recorded.
func (c *connection) seed() uint64 { return c.plugin.vm.id ^ uint64(c.started) }

// decide returns whether size bytes of direction d are recorded now. The time is 0 if it is not needed.
func (c *connection) decide(d record.Direction, size int) (now int64, reason strategy.Reason) {
	p := c.plugin
	capture := &p.config.Capture
	if c.admitted {
		c.selected = c.claim.Reason() // the budget may have given it up since
	}
	wanted := capture.Downstream
	if d == record.Upstream {
		wanted = capture.Upstream
	}
	if wanted && c.claim.Reason() != strategy.Recorded {
		p.vm.admission.Count(capture, &c.claim, size, p.sink.payload())
	}
	whole := capture.Unit == strategy.UnitConnections
	switch {
	case c.selected != strategy.Recorded:
		return 0, c.selected
	case p.off != strategy.Recorded:
		return 0, p.off
	case p.closed && !whole:
		return 0, strategy.WindowClosed
	}
	now = p.vm.Now()
	if c.choice == nil && c.claim.Over(now) {
		p.vm.admission.Outlive(&c.claim, now)
		c.selected = strategy.ConnectionTime
		return now, c.selected
	}
	decision := p.decide(now, whole)
	switch {
	case whole:
		reason = decision.Continue
	case c.opened:
		reason = decision.Begin
	default:
		reason = decision.New(c.seed())
	}
	if !whole && reason == strategy.Recorded {
		c.header.Window = p.idOf(decision.Window)
	}
	if reason == strategy.Recorded && !wanted {
		reason = strategy.OtherDirection
	}
	return now, reason
}

// record gives the sink the data of a read and returns how many of its bytes are kept, and why not more.
func (c *connection) record(
	d record.Direction, data func(start, size int) ([]byte, error), size int, now int64,
) (done int, reason strategy.Reason) {
	p, capture := c.plugin, &c.plugin.config.Capture
	if !c.opened && !c.admitted && !p.shared.Begins(capture, p.current) {
		return 0, strategy.WindowBytes // a connection that comes later than a window's bytes has no record
	}
	if reason = c.open(); reason != strategy.Recorded {
		return 0, reason
	}
	most := p.sink.payload()
	end := size
	if limit := capture.MaxBytesPerConnection; limit > 0 {
		end = int(min(int64(size), limit-int64(c.kept)))
	}
	if c.admitted && end > 0 {
		reason = p.vm.admission.Take(capture, p.current, &c.claim, end, most, now)
		if reason != strategy.Recorded {
			return 0, reason
		}
	}
	var block []byte
	start := 0 // of what is left of the block
	for done < end {
		n := min(end-done, most)
		if !c.admitted {
			taken := p.shared.TakeBytes(capture, p.current, n)
			if taken == 0 {
				return done, strategy.WindowBytes
			}
			n = p.vm.budget.Take(capture, p.vm.spentUntil, taken, now)
			p.shared.GiveBack(taken - n)
			if n == 0 {
				return done, capture.Binding(min(end, most))
			}
		}
		if len(block) == 0 {
			var err error
			block, err = data(done, min(end-done, p.block))
			if err != nil || len(block) == 0 {
				return done, strategy.Unreadable
			}
			start = 0
			c.mask(d, c.streams[d].seen+uint64(done), block)
		}
		n = min(n, len(block))
		masked := c.masked(start, start+n)
		written, reason := p.sink.data(&c.header, d, c.streams[d].seen+uint64(done), block[:n], masked)
		if reason != strategy.Recorded {
			return done, reason
		}
		c.count(written)
		if masked > 0 {
			c.masking.masked[d] += uint64(masked)
		}
		block = block[n:]
		start += n
		done += n
	}
	if done < size {
		return done, strategy.ConnectionLimit
	}
	return done, strategy.Recorded
}

// open gives the sink the connection's open record before its first other one. That is later than the connection's
// start, since the peer's identity is known only then. It returns why the sink refuses it, or Recorded.
func (c *connection) open() strategy.Reason {
	if c.opened {
		return strategy.Recorded
	}
	p := c.plugin
	destination := property("destination", "address")
	if c.header.Conn.Number == 0 {
		c.header.Port = portOf(destination)
		c.header.Conn = p.vm.nextConn()
	}
	mtls := property("connection", "mtls")
	open := record.Open{
		Unit:        string(p.config.Capture.Unit),
		Started:     c.started,
		MTLS:        mtls != "" && mtls != "\x00",
		Source:      property("source", "address"),
		Destination: destination,
		SNI:         property("connection", "requested_server_name"),
		Peer:        property("connection", "uri_san_peer_certificate"),
		Next:        string(p.config.Capture.NextFilter),
	}
	if number := abi.Property("connection", "id"); len(number) == 8 {
		open.ProxyConn, open.HasProxyConn = uint64Of(number), true
	}
	size, reason := p.sink.open(c, &open)
	if reason != strategy.Recorded {
		return reason
	}
	c.opened = true
	c.countAnyway(size)
	return strategy.Recorded
}

func (c *connection) end(d record.Direction) {
	if !c.due() {
		return
	}
	if size, reason := c.plugin.sink.end(&c.header, d, c.streams[d].seen); reason == strategy.Recorded {
		c.countAnyway(size)
	}
}

// due makes ready for an end or close record, and reports whether one is due: for each connection with an open record,
// which is written now for one that was admitted and of which nothing is recorded yet.
func (c *connection) due() bool {
	p := c.plugin
	if !c.opened && !c.admitted {
		return false
	}
	c.header.Time = p.vm.Now()
	if c.opened {
		return p.sink.ready() == strategy.Recorded
	}
	reason := p.decide(c.header.Time, true).Continue
	if reason == strategy.Recorded {
		reason = c.open()
	}
	if reason != strategy.Recorded {
		c.last = reason
	}
	return reason == strategy.Recorded
}

// lost takes bytes of direction d that the sink has accepted, and lost later, from what is kept. What is lost after the
// close record is in the metrics only.
func (c *connection) lost(d record.Direction, bytes uint64) {
	s := &c.streams[d]
	s.kept -= bytes
	s.dropped.add(strategy.SinkLost, bytes)
	c.plugin.vm.metrics.bytesLost += bytes
}

// close gives the sink the close record, once, and counts the connection.
func (c *connection) close(by string) {
	if c.closed {
		return
	}
	c.choose(true)
	c.closed = true
	p := c.plugin
	if c.due() {
		closed := record.Close{
			By: by, Downstream: c.ledger(record.Downstream), Upstream: c.ledger(record.Upstream),
		}
		if size, reason := p.sink.close(&c.header, &closed); reason == strategy.Recorded {
			c.countAnyway(size)
		}
	}
	if c.admitted {
		c.header.Time = p.vm.Now()
	}
	p.sink.settle()
	p.vm.admission.Close(&p.config.Capture, &c.claim, c.header.Time)
	if !c.written && c.last != strategy.Recorded { // else it had no bytes: neither kept nor dropped
		p.vm.metrics.connectionsDropped[c.last]++
	}
}

func (c *connection) ledger(d record.Direction) record.Ledger {
	s := &c.streams[d]
	l := record.Ledger{Seen: s.seen, Kept: s.kept}
	if c.masking != nil {
		l.Masked = min(c.masking.masked[d], l.Kept) // the sink may have lost some
	}
	for _, each := range s.dropped {
		l.Dropped = append(l.Dropped, record.Drop{Reason: each.reason.String(), Bytes: each.bytes})
	}
	return l
}

// countAnyway counts a record that the ledger needs and that was written budget or not: the budget pays for it
// afterwards, unless it has admitted the connection and so paid for it already.
func (c *connection) countAnyway(size int) {
	if size > 0 && !c.admitted {
		c.plugin.vm.budget.Owe(&c.plugin.config.Capture, size/2)
	}
	c.count(size)
}

// count counts a record that the sink has accepted.
func (c *connection) count(size int) {
	if size == 0 {
		return
	}
	m := &c.plugin.vm.metrics
	if !c.written {
		c.written = true
		m.connectionsKept++
	}
	m.lines++
	c.header.Seq++
}

// portOf returns the port of an address "host:port", 0 if it has none.
func portOf(address string) uint16 {
	var port uint
	digits := 0
	for i := len(address) - 1; i >= 0 && digits <= len("65535"); i-- {
		c := address[i]
		if c == ':' {
			if digits > 0 && port <= 65535 {
				return uint16(port)
			}
			break
		}
		if c < '0' || c > '9' {
			break
		}
		scale := uint(1)
		for range digits {
			scale *= 10
		}
		port += uint(c-'0') * scale
		digits++
	}
	return 0
}
