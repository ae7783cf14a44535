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
	selected strategy.Reason // with UnitConnections: why it is not recorded, or Recorded
	opened   bool            // its open record is written
	closed   bool            // its close record is written, or never will be
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
	dropped [strategy.Reasons]uint64
	ended   bool
}

// OnNewConnection implements types.TcpContext.
func (c *connection) OnNewConnection() types.Action {
	p := c.plugin
	c.started = p.vm.Now()
	p.vm.metrics.connectionsSeen++
	c.last = p.decide(c.started)
	if p.config.Capture.Unit == strategy.UnitConnections {
		c.selected = c.last
		c.header.Window = p.windowID
	}
	return types.ActionContinue
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

// read takes size bytes of direction d, which data hands out, and records what it may. Allocation-free but for the
// connection's open record.
func (c *connection) read(d record.Direction, data func(start, size int) ([]byte, error), size int, end bool) {
	s := &c.streams[d]
	m := &c.plugin.vm.metrics
	if size > 0 {
		now, reason := c.decide(d)
		done := 0
		if reason == strategy.Recorded {
			done, reason = c.record(d, data, size, now)
		}
		s.seen += uint64(size)
		s.kept += uint64(done)
		c.kept += uint64(done)
		m.bytesSeen += uint64(size)
		m.bytesKept += uint64(done)
		if rest := uint64(size - done); rest > 0 {
			s.dropped[reason] += rest
			m.bytesDropped[reason] += rest
			c.last = reason
		}
	}
	if end && !s.ended {
		s.ended = true
		if c.first == "" {
			c.first = d.String()
		}
		c.writeEnd(d)
	}
}

// decide returns whether bytes of direction d are recorded now. The time is 0 where it is not needed.
func (c *connection) decide(d record.Direction) (now int64, reason strategy.Reason) {
	p := c.plugin
	capture := &p.config.Capture
	switch {
	case capture.Unit == strategy.UnitConnections && c.selected != strategy.Recorded:
		return 0, c.selected
	case p.reason != strategy.Recorded:
		return 0, p.reason
	}
	now = p.vm.Now()
	if capture.Unit == strategy.UnitConnections {
		reason = p.allowed(now)
	} else if reason = p.decide(now); reason == strategy.Recorded {
		c.header.Window = p.windowID
	}
	wanted := capture.Downstream
	if d == record.Upstream {
		wanted = capture.Upstream
	}
	if reason == strategy.Recorded && !wanted {
		reason = strategy.OtherDirection
	}
	return now, reason
}

// record writes the data records of a read and returns how many of its bytes they hold, and why not more.
func (c *connection) record(
	d record.Direction, data func(start, size int) ([]byte, error), size int, now int64,
) (done int, reason strategy.Reason) {
	p, capture := c.plugin, &c.plugin.config.Capture
	c.header.Time = now
	c.open()
	var block []byte
	for done < size {
		n := min(size-done, p.payload)
		if limit := capture.MaxBytesPerConnection; limit > 0 {
			left := limit - int64(c.kept) - int64(done)
			if left <= 0 {
				return done, strategy.ConnectionLimit
			}
			n = int(min(int64(n), left))
		}
		n = p.vm.allowance.take(capture, n, now)
		if n == 0 {
			return done, strategy.Budget
		}
		if len(block) == 0 {
			var err error
			block, err = data(done, min(size-done, p.block))
			if err != nil || len(block) == 0 {
				return done, strategy.Unreadable
			}
		}
		n = min(n, len(block))
		c.writeData(d, c.streams[d].seen+uint64(done), block[:n])
		block = block[n:]
		done += n
	}
	return done, strategy.Recorded
}

func (c *connection) writeData(d record.Direction, offset uint64, payload []byte) {
	p := c.plugin
	if p.config.Output.Format == strategy.FormatLayotto {
		p.vm.line = record.AppendLayotto(p.vm.line[:0], c.header.Window, c.header.Port, payload)
	} else {
		p.vm.line = record.AppendData(p.vm.line[:0], &c.header, d, offset, payload)
	}
	c.write()
}

// open writes the connection's open record before its first other one. That is later than the connection's start, since
// the peer's identity is known only then.
func (c *connection) open() {
	if c.opened {
		return
	}
	p := c.plugin
	c.opened = true
	p.vm.metrics.connectionsKept++
	destination := property("destination", "address")
	number := abi.Property("connection", "id")
	proxyConn, known := uint64Of(number), len(number) == 8
	c.header.Port = portOf(destination)
	c.header.Conn = p.vm.nextConn()
	if p.config.Output.Format == strategy.FormatLayotto {
		return
	}
	mtls := property("connection", "mtls")
	open := record.Open{
		Unit:      string(p.config.Capture.Unit),
		Started:   c.started,
		MTLS:      mtls != "" && mtls != "\x00",
		ProxyConn: proxyConn, HasProxyConn: known,
		Source:      property("source", "address"),
		Destination: destination,
		SNI:         property("connection", "requested_server_name"),
		Peer:        property("connection", "uri_san_peer_certificate"),
	}
	p.vm.line = record.AppendOpen(p.vm.line[:0], &c.header, &open)
	c.writeAnyway()
}

func (c *connection) writeEnd(d record.Direction) {
	p := c.plugin
	if !c.ledger() {
		return
	}
	p.vm.line = record.AppendEnd(p.vm.line[:0], &c.header, d, c.streams[d].seen)
	c.writeAnyway()
}

// ledger makes ready for an end or close record, and reports whether one is due: for each connection with an open
// record, which is written now for one that was selected whole and of which no byte has passed.
func (c *connection) ledger() bool {
	p := c.plugin
	if p.config.Output.Format == strategy.FormatLayotto || p.hidden {
		return false
	}
	now := p.vm.Now()
	c.header.Time = now
	whole := p.config.Capture.Unit == strategy.UnitConnections && c.selected == strategy.Recorded
	if whole && p.allowed(now) == strategy.Recorded {
		c.open()
	}
	return c.opened
}

// close writes the close record, once, and counts the connection.
func (c *connection) close(by string) {
	if c.closed {
		return
	}
	c.closed = true
	p := c.plugin
	if c.ledger() {
		closed := record.Close{
			By: by, Downstream: c.streams[record.Downstream].ledger(), Upstream: c.streams[record.Upstream].ledger(),
		}
		p.vm.line = record.AppendClose(p.vm.line[:0], &c.header, &closed)
		c.writeAnyway()
	}
	if !c.opened && c.last != strategy.Recorded { // else it had no bytes: neither kept nor dropped
		p.vm.metrics.connectionsDropped[c.last]++
	}
}

func (s *stream) ledger() record.Ledger {
	l := record.Ledger{Seen: s.seen, Kept: s.kept}
	for reason, n := range s.dropped {
		if n > 0 {
			l.Dropped = append(l.Dropped, record.Drop{Reason: strategy.Reason(reason).String(), Bytes: n})
		}
	}
	return l
}

// writeAnyway logs a record that the ledger needs, budget or not. The budget pays for it afterwards.
func (c *connection) writeAnyway() {
	v := c.plugin.vm
	v.allowance.owe(&c.plugin.config.Capture, len(v.line)/2)
	c.write()
}

// write logs the record in the VM's line.
func (c *connection) write() {
	v := c.plugin.vm
	v.Log(c.plugin.level, v.line)
	v.metrics.lines++
	c.header.Seq++
}

// portOf returns the port of an address "host:port", 0 where it has none.
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

// uint64Of reads a property of eight bytes, little-endian; 0 where it has another length.
func uint64Of(b []byte) (n uint64) {
	if len(b) != 8 {
		return 0
	}
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n
}
