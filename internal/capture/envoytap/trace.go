package envoytap

import (
	"errors"
	"iter"

	tapv3 "github.com/envoyproxy/go-control-plane/envoy/data/tap/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// trace is one message: a whole trace, or a piece of one.
type trace struct {
	kind      traceKind
	id        uint64            // Envoy's number of the connection
	peers     *tapv3.Connection // nil: it names none
	truncated [2]bool           // of traceBuffered: what was read, and what was written
	own       []byte            // of traceStreamed: what l4dump says of its event; nil if Envoy wrote it

	// The events stand here, or are not parsed yet: a message of 64 MiB has room for millions that say nothing.
	list  []*tapv3.SocketEvent
	raw   []byte
	field protowire.Number // of an event in raw
}

type traceKind uint8

const (
	traceUnknown traceKind = iota
	traceHTTP
	traceBuffered
	traceStreamed
	traceRate // only says how many connections are sampled
)

// events yields the events, and an error for each that is damaged.
func (t *trace) events() iter.Seq2[*tapv3.SocketEvent, error] {
	return func(yield func(*tapv3.SocketEvent, error) bool) {
		for _, e := range t.list {
			if !yield(e, nil) {
				return
			}
		}
		for b := t.raw; len(b) > 0; {
			number, kind, value, size := consumeField(b) // it was held against its form before
			b = b[size:]
			if number != t.field || kind != protowire.BytesType {
				continue
			}
			e := new(tapv3.SocketEvent)
			if !yield(e, proto.Unmarshal(value, e)) {
				return
			}
		}
	}
}

// consumeField returns a field of a message, the value of one that has a length, and its size. size is negative if the
// message is damaged.
func consumeField(b []byte) (number protowire.Number, kind protowire.Type, value []byte, size int) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return 0, 0, nil, n
	}
	m := protowire.ConsumeFieldValue(number, kind, b[n:])
	if m < 0 {
		return 0, 0, nil, m
	}
	if kind == protowire.BytesType {
		value, _ = protowire.ConsumeBytes(b[n:])
	}
	return number, kind, value, n + m
}

// eachField calls take with each field of a message. number is that of varints.
func eachField(b []byte, take func(number protowire.Number, value []byte, varint uint64) error) error {
	for len(b) > 0 {
		number, kind, value, size := consumeField(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		varint := uint64(0)
		if kind == protowire.VarintType {
			_, _, n := protowire.ConsumeTag(b)
			varint, _ = protowire.ConsumeVarint(b[n:])
		}
		if err := take(number, value, varint); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// parseBinary reads a message TraceWrapper, whose bytes the trace shares.
func parseBinary(b []byte) (*trace, error) {
	t := new(trace)
	err := eachField(b, func(number protowire.Number, value []byte, _ uint64) error {
		switch {
		case value == nil:
		case number == fieldHTTPBuffered, number == fieldHTTPStreamed:
			t.kind = traceHTTP
		case number == fieldSocketBuffered:
			return t.parseBuffered(value)
		case number == fieldSocketStreamed:
			return t.parseStreamed(value)
		case number == fieldSampleRate && t.kind == traceUnknown:
			t.kind = traceRate
		}
		return nil
	})
	return t, err
}

// The fields of SocketBufferedTrace and of SocketStreamedTraceSegment.
const (
	fieldTraceID    protowire.Number = 1
	fieldConnection protowire.Number = 2
	fieldEvent      protowire.Number = 3
	fieldEvents     protowire.Number = 4 // of a segment; its field 1 is an event
	fieldReadCut    protowire.Number = 4 // of a buffered trace
	fieldWriteCut   protowire.Number = 5 // of a buffered trace
)

func (t *trace) parseBuffered(b []byte) error {
	*t = trace{kind: traceBuffered, raw: b, field: fieldEvent}
	return eachField(b, func(number protowire.Number, value []byte, varint uint64) error {
		switch number {
		case fieldTraceID:
			t.id = varint
		case fieldConnection:
			return t.parsePeers(value)
		case fieldReadCut:
			t.truncated[0] = varint != 0
		case fieldWriteCut:
			t.truncated[1] = varint != 0
		}
		return nil
	})
}

func (t *trace) parseStreamed(b []byte) error {
	*t = trace{kind: traceStreamed, raw: b, field: fieldEvent}
	return eachField(b, func(number protowire.Number, value []byte, varint uint64) error {
		switch number {
		case fieldTraceID:
			t.id = varint
		case fieldConnection:
			return t.parsePeers(value)
		case fieldEvents:
			t.raw, t.field = value, 1
			return eachField(value, func(protowire.Number, []byte, uint64) error { return nil })
		case fieldOwn:
			t.own = value
		}
		return nil
	})
}

func (t *trace) parsePeers(b []byte) error {
	t.peers = new(tapv3.Connection)
	return proto.Unmarshal(b, t.peers)
}

// maxTextMessages bounds the messages in a trace of a text form, which is parsed in whole.
const maxTextMessages = 1 << 20

var errMessages = errors.New("it holds more than 1048576 messages")

// traceOf returns what a message that was parsed says.
func traceOf(w *tapv3.TraceWrapper) *trace {
	switch w := w.GetTrace().(type) {
	case *tapv3.TraceWrapper_SocketBufferedTrace:
		b := w.SocketBufferedTrace
		return &trace{
			kind: traceBuffered, id: b.GetTraceId(), peers: b.GetConnection(), list: b.GetEvents(),
			truncated: [2]bool{b.GetReadTruncated(), b.GetWriteTruncated()},
		}
	case *tapv3.TraceWrapper_SocketStreamedTraceSegment:
		s := w.SocketStreamedTraceSegment
		t := &trace{kind: traceStreamed, id: s.GetTraceId(), peers: s.GetConnection(), list: s.GetEvents().GetEvents()}
		if e := s.GetEvent(); e != nil {
			t.list = append(t.list, e)
		}
		return t
	case *tapv3.TraceWrapper_HttpBufferedTrace, *tapv3.TraceWrapper_HttpStreamedTraceSegment:
		return &trace{kind: traceHTTP}
	}
	if w.GetConfiguredSampleRate() != nil {
		return &trace{kind: traceRate}
	}
	return &trace{}
}
