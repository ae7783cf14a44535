package envoytap

import (
	"net/netip"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"l4dump/internal/capture"
)

// traced writes one connection, as a capture.Consumer.
type traced struct {
	w    *Writer
	info *capture.Connection
	id   uint64    // of its trace
	next [2]uint64 // offset after the last byte, by capture.Direction
	late uint64    // 1: its beginning is missing, so that seq_num does not begin at 1
}

// The fields of SocketEvent and of what it holds.
const (
	fieldTimestamp protowire.Number = 1
	fieldRead      protowire.Number = 2
	fieldWrite     protowire.Number = 3
	fieldClosed    protowire.Number = 4
	fieldSeqNum    protowire.Number = 6

	fieldData      protowire.Number = 1 // of a read or write
	fieldEndStream protowire.Number = 2 // of a write
	fieldAsBytes   protowire.Number = 1 // of data
	fieldTruncated protowire.Number = 3 // of data
	fieldSeconds   protowire.Number = 1 // of a timestamp
	fieldNanos     protowire.Number = 2 // of a timestamp

	fieldLocal         protowire.Number = 1 // of a connection
	fieldRemote        protowire.Number = 2 // of a connection
	fieldSocketAddress protowire.Number = 1 // of an address
	fieldPipe          protowire.Number = 2 // of an address
	fieldAddress       protowire.Number = 2 // of a socket address
	fieldPort          protowire.Number = 3 // of a socket address
	fieldPath          protowire.Number = 1 // of a pipe
)

// Event implements capture.Consumer.
func (c *traced) Event(e *capture.Event, _ capture.Place) error {
	w := c.w
	b := w.message[:0]
	if e.Kind == capture.KindOpen {
		b = c.appendPeers(b, e.Open)
	} else {
		if e.Seq > 0 && c.info.Open == nil {
			c.late = 1
		}
		b = c.appendEvent(b, e)
	}
	w.record = capture.AppendDetached(w.record[:0], e, c.info.Foreign)
	w.message = appendBytes(b, fieldOwn, w.record)
	return w.write(c.id, w.message)
}

// appendPeers appends the addresses as a tap at the listener names them.
func (c *traced) appendPeers(b []byte, o *capture.Open) []byte {
	b, at := begin(b, fieldConnection)
	b = appendAddress(b, fieldLocal, o.Destination)
	b = appendAddress(b, fieldRemote, o.Source)
	return end(b, at)
}

// appendAddress appends an address as a proxy writes it, if there is one.
func appendAddress(b []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	b, at := begin(b, number)
	if a, err := netip.ParseAddrPort(text); err == nil {
		var inner int
		b, inner = begin(b, fieldSocketAddress)
		b = appendString(b, fieldAddress, a.Addr().String())
		b = end(appendVarint(b, fieldPort, uint64(a.Port())), inner)
	} else {
		var inner int
		b, inner = begin(b, fieldPipe)
		b = end(appendString(b, fieldPath, strings.ToValidUTF8(text, "\uFFFD")), inner)
	}
	return end(b, at)
}

// appendEvent appends an event as a tap at the listener sees it: it reads what the client sends.
func (c *traced) appendEvent(b []byte, e *capture.Event) []byte {
	b, at := begin(b, fieldEvent)
	if e.Time != 0 {
		b = appendTime(b, e.Time)
	}
	seq := 1 + c.late
	switch e.Kind {
	case capture.KindOpen:
	case capture.KindData:
		c.next[e.Direction] = max(c.next[e.Direction], e.Offset)
		seq += c.next[0] + c.next[1]
		c.next[e.Direction] += uint64(len(e.Payload))
		b = appendBody(b, e)
	case capture.KindEnd:
		c.next[e.Direction] = max(c.next[e.Direction], e.Offset)
		seq += c.next[0] + c.next[1]
		if e.Direction == capture.Upstream {
			b = appendBytes(b, fieldWrite, appendVarint(nil, fieldEndStream, 1))
		} else {
			b = appendBytes(b, fieldRead, nil) // a tap has no end of what is read
		}
	case capture.KindClose:
		for d, l := range e.Close.Ledger {
			c.next[d] = max(c.next[d], l.Seen)
		}
		seq += c.next[0] + c.next[1] + 1
		b = appendBytes(b, fieldClosed, nil)
	}
	return end(appendVarint(b, fieldSeqNum, seq), at)
}

// appendBody appends bytes that were read or written.
func appendBody(b []byte, e *capture.Event) []byte {
	number := fieldRead
	if e.Direction == capture.Upstream {
		number = fieldWrite
	}
	b, outer := begin(b, number)
	b, inner := begin(b, fieldData)
	b = appendBytes(b, fieldAsBytes, e.Payload)
	if e.Cut {
		b = appendVarint(b, fieldTruncated, 1)
	}
	return end(end(b, inner), outer)
}

func appendTime(b []byte, ns int64) []byte {
	at := time.Unix(0, ns)
	b, start := begin(b, fieldTimestamp)
	b = appendVarint(b, fieldSeconds, uint64(at.Unix()))
	return end(appendVarint(b, fieldNanos, uint64(at.Nanosecond())), start)
}

// Fault implements capture.Consumer: a tap has no place for faults.
func (c *traced) Fault(*capture.Fault) {}

// End implements capture.Consumer.
func (c *traced) End(*capture.Verdict) error { return nil }
