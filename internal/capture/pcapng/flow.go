package pcapng

import "l4dump/internal/capture"

// flow writes one connection, as a capture.Consumer.
type flow struct {
	w         *Writer
	info      *capture.Connection
	endpoints endpoints
	begun     bool
	peers     [2]peer // by capture.Direction, of what the peer sends
	notes     notes
	time      int64          // of the packet before
	closing   *capture.Event // the close event, which is written together with the verdict
}

// peer is one direction of a flow.
type peer struct {
	initial uint32 // the sequence number of SYN
	next    uint64 // offset in the direction's stream
	wire    uint64 // the same in sequence numbers, from 0; see maxGapBytes
	acked   uint64 // as far as the other peer has acknowledged
	fin     bool
}

const (
	// maxGapBytes is how far a gap advances the sequence numbers at most: from 2^31 on, it would be a step back.
	maxGapBytes = 1 << 30
	// ackBytes are acknowledged at the latest.
	ackBytes = 64 << 10
)

// position returns the sequence number of the peer's next byte.
func (p *peer) position() uint32 {
	n := p.initial + 1 + uint32(p.wire)
	if p.fin {
		n++
	}
	return n
}

// sent returns how much there is to acknowledge, in all.
func (p *peer) sent() uint64 {
	if p.fin {
		return p.wire + 1
	}
	return p.wire
}

// Event implements capture.Consumer.
func (f *flow) Event(e *capture.Event, _ capture.Place) error {
	if e.Kind == capture.KindClose {
		closing := *e
		f.closing = &closing
		return nil
	}
	if !f.begun {
		if err := f.begin(e); err != nil || e.Kind == capture.KindOpen {
			return err
		}
	}
	f.time = e.Time
	switch e.Kind {
	case capture.KindOpen: // a second one: it has no place in TCP
		return f.send(capture.Downstream, flagACK, nil, f.record(e))
	case capture.KindData:
		return f.data(e)
	case capture.KindEnd:
		f.advance(e.Direction, e.Offset, "")
		return f.finish(e.Direction, f.record(e))
	}
	return nil
}

// begin writes the handshake. The open event stands in its first packet.
func (f *flow) begin(e *capture.Event) error {
	f.begun = true
	var made []string
	f.endpoints, made = f.w.claim(f.info)
	f.notes.connection(f.info, e, made)
	for d := range f.peers {
		f.peers[d].initial = initialNumber(f.info.ID, d)
	}
	f.time = e.Time
	if o := e.Open; o != nil && 0 < o.Started && o.Started < e.Time {
		f.time = o.Started
	}
	var text []byte
	if e.Kind == capture.KindOpen {
		text = f.record(e)
	}
	client, server := f.peers[0].initial, f.peers[1].initial
	comments := f.notes.take()
	syn := segment{from: f.endpoints.client, to: f.endpoints.server, seq: client, flags: flagSYN}
	if err := f.w.write(&syn, f.time, text, comments); err != nil {
		return err
	}
	synACK := segment{from: f.endpoints.server, to: f.endpoints.client, seq: server, ack: client + 1, flags: flagSYN | flagACK}
	if err := f.w.write(&synACK, f.time, nil, nil); err != nil {
		return err
	}
	return f.send(capture.Downstream, flagACK, nil, nil)
}

// initialSeed is fixed, so that a recording is written the same each time.
const initialSeed = 0x9e3779b97f4a7c15

// initialNumber returns the sequence number that a direction begins with. Connections that have the same addresses one
// after another differ in it, so that they are not taken for one.
func initialNumber(id capture.ID, direction int) uint32 {
	x := id.VM ^ id.Number*initialSeed ^ uint64(direction)<<63
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return uint32(x >> 32)
}

// data writes a data event in as many segments as it takes.
func (f *flow) data(e *capture.Event) error {
	f.advance(e.Direction, e.Offset, "")
	text := f.record(e)
	payload := e.Payload
	for {
		piece := payload[:min(len(payload), maxSegmentBytes)]
		payload = payload[len(piece):]
		flags := uint8(flagACK)
		if len(payload) == 0 && len(piece) > 0 {
			flags |= flagPSH
		}
		if err := f.send(e.Direction, flags, piece, text); err != nil {
			return err
		}
		if len(payload) == 0 {
			break
		}
		text = nil
	}
	if p := &f.peers[e.Direction]; p.sent()-p.acked >= ackBytes {
		return f.send(1-e.Direction, flagACK, nil, nil)
	}
	return nil
}

// advance leaves out the bytes of a direction before offset, which are missing.
func (f *flow) advance(d capture.Direction, offset uint64, why string) {
	p := &f.peers[d]
	if offset <= p.next {
		return
	}
	gap := offset - p.next
	f.notes.gap(d, p.next, offset-1, why, gap > maxGapBytes)
	p.wire += min(gap, maxGapBytes)
	p.next = offset
}

// finish writes a direction's FIN.
func (f *flow) finish(d capture.Direction, text []byte) error {
	if f.peers[d].fin {
		return f.send(d, flagACK, nil, text)
	}
	if err := f.send(d, flagACK|flagFIN, nil, text); err != nil {
		return err
	}
	f.peers[d].fin = true
	return nil
}

// send writes a segment of a direction, which acknowledges all that the other peer has sent.
func (f *flow) send(d capture.Direction, flags uint8, payload, text []byte) error {
	from, to := &f.peers[d], &f.peers[1-d]
	s := segment{
		from: f.endpoints.client, to: f.endpoints.server, seq: from.position(), ack: to.position(),
		flags: flags, payload: payload,
	}
	if d == capture.Upstream {
		s.from, s.to = s.to, s.from
	}
	to.acked = to.sent()
	from.next += uint64(len(payload))
	from.wire += uint64(len(payload))
	return f.w.write(&s, f.time, text, f.notes.take())
}

// Fault implements capture.Consumer.
func (f *flow) Fault(fault *capture.Fault) { f.notes.fault(fault) }

// End implements capture.Consumer.
func (f *flow) End(v *capture.Verdict) error {
	if f.closing != nil && !f.begun {
		if err := f.begin(f.closing); err != nil {
			return err
		}
	}
	if !f.begun {
		return nil
	}
	defer delete(f.w.live, f.endpoints)
	f.notes.verdict(v)
	if f.closing == nil {
		return f.acknowledge(f.notes.any())
	}
	return f.closeBy(f.closing)
}

// acknowledge writes the acknowledgments that are due, so that a reader does not wait for what is missing; at least one
// if always is set.
func (f *flow) acknowledge(always bool) error {
	for d := range capture.Direction(2) {
		if p := &f.peers[1-d]; p.acked < p.sent() || always {
			if err := f.send(d, flagACK, nil, nil); err != nil {
				return err
			}
			always = false
		}
	}
	return nil
}

// closeBy ends the connection as it was ended: with FIN by a peer, or with RST by the proxy, or if it is not known by
// whom.
func (f *flow) closeBy(e *capture.Event) error {
	f.time = e.Time
	f.notes.closed(e.Close)
	text := f.record(e)
	first := capture.Downstream
	switch by := e.Close.By; {
	case by == capture.Upstream.String():
		first = capture.Upstream
	case by != capture.Downstream.String() && (!f.peers[0].fin || !f.peers[1].fin):
		return f.reset(e.Close, text)
	}
	for _, d := range []capture.Direction{first, 1 - first} {
		f.advanceToEnd(e.Close, d)
		if d == first || !f.peers[d].fin {
			if err := f.finish(d, text); err != nil {
				return err
			}
		}
		text = nil
	}
	return f.acknowledge(false)
}

// reset writes an RST, by the upstream side: that is where the client sees the proxy.
func (f *flow) reset(c *capture.Close, text []byte) error {
	f.advanceToEnd(c, capture.Downstream)
	if err := f.send(capture.Downstream, flagACK, nil, text); err != nil {
		return err
	}
	f.advanceToEnd(c, capture.Upstream)
	return f.send(capture.Upstream, flagACK|flagRST, nil, nil)
}

// advanceToEnd leaves out the bytes after a direction's last event that the ledger says have passed.
func (f *flow) advanceToEnd(c *capture.Close, d capture.Direction) {
	if c.HasLedger && !f.peers[d].fin {
		f.advance(d, c.Ledger[d].Seen, "the recorder dropped them")
	}
}

// record returns what an event's packet says of it, valid until the next call.
func (f *flow) record(e *capture.Event) []byte {
	f.w.record = capture.AppendDetached(f.w.record[:0], e, f.info.Foreign)
	return f.w.record
}
