package parquet

import (
	"fmt"
	"math"
	"strings"

	"l4dump/internal/capture"
)

// maxFaults bounds the faults of a row; there may be any number between two records.
const maxFaults = 64

// consumer writes the rows of a connection.
type consumer struct {
	w      *Writer
	conn   string
	last   capture.Header // of the last row
	opened opened

	faults []string
	more   uint64 // faults beyond maxFaults
}

// opened are the columns that each row of a connection repeats.
type opened struct {
	unit, source, destination, sni, peer, next *string
	started, proxyConn                         *int64
	mtls                                       *bool
}

func newConsumer(w *Writer, c *capture.Connection) *consumer {
	s := &consumer{w: w, conn: string(c.ID.Append(nil)), last: capture.Header{Window: c.Window, Port: c.Port, Time: c.Time}}
	if o := c.Open; o != nil {
		s.opened = opened{
			unit: text(o.Unit), source: known(o.Source), destination: known(o.Destination), sni: known(o.SNI), peer: known(o.Peer),
			next: known(o.Next), started: &o.Started, mtls: &o.MTLS,
		}
		// A proxy counts its connections, from 0 or 1: a number beyond the column's is none of those.
		if o.HasProxyConn && o.ProxyConn <= math.MaxInt64 {
			s.opened.proxyConn = new(int64(o.ProxyConn))
		}
	}
	return s
}

// text returns s as a column takes it.
func text(s string) *string {
	s = strings.ToValidUTF8(s, "\ufffd")
	return &s
}

// known returns s, or null if it is empty.
func known(s string) *string {
	if s == "" {
		return nil
	}
	return text(s)
}

// Event implements capture.Consumer.
func (s *consumer) Event(e *capture.Event, _ capture.Place) error {
	s.last = e.Header
	row := &s.w.row[0]
	var numbers numbers
	row.Kind, row.Seq = e.Kind.String(), numbers.of(e.Seq)
	if e.Kind == capture.KindData || e.Kind == capture.KindEnd {
		row.Direction, row.Offset = new(e.Direction.String()), numbers.of(e.Offset)
	}
	switch e.Kind {
	case capture.KindData:
		row.Length, row.Masked, row.Cut = new(int64(len(e.Payload))), numbers.of(e.Masked), &e.Cut
		if row.Payload = e.Payload; row.Payload == nil {
			row.Payload = []byte{} // none, which is not null
		}
	case capture.KindClose:
		row.ClosedBy = text(e.Close.By)
		if e.Close.HasLedger {
			row.DownstreamSeen, row.DownstreamKept, row.DownstreamMasked, row.DownstreamDropped = numbers.ledger(&e.Close.Ledger[0])
			row.UpstreamSeen, row.UpstreamKept, row.UpstreamMasked, row.UpstreamDropped = numbers.ledger(&e.Close.Ledger[1])
		}
	}
	if numbers.beyond > 0 {
		*row = Row{}
		return &capture.SkipError{Err: fmt.Errorf("its number %d is more than a column holds, which is 2^63-1", numbers.beyond)}
	}
	return s.write()
}

// write writes the row with what each row of the connection has.
func (s *consumer) write() error {
	row := &s.w.row[0]
	row.Window, row.Port, row.Conn, row.Time = string(s.last.Window.Append(nil)), int32(s.last.Port), s.conn, s.last.Time
	row.Unit, row.Started, row.ProxyConn, row.Source = s.opened.unit, s.opened.started, s.opened.proxyConn, s.opened.source
	row.Destination, row.SNI, row.Peer, row.MTLS = s.opened.destination, s.opened.sni, s.opened.peer, s.opened.mtls
	row.Next = s.opened.next
	row.Faults = s.faults
	if s.more > 0 {
		row.Faults = append(row.Faults, fmt.Sprintf("and %d more", s.more))
	}
	s.faults, s.more = s.faults[:0], 0
	return s.w.write()
}

// Fault implements capture.Consumer.
func (s *consumer) Fault(f *capture.Fault) {
	if len(s.faults) == maxFaults {
		s.more++
		return
	}
	s.faults = append(s.faults, strings.ToValidUTF8(f.String(), "\ufffd"))
}

// End implements capture.Consumer.
func (s *consumer) End(v *capture.Verdict) error {
	row := &s.w.row[0]
	row.Kind, row.State, row.Verdict, row.TLS = KindVerdict, new(v.State.String()), text(v.String()), &v.TLS
	row.CertainDownstream = new(int64(min(v.Upto[capture.Downstream], math.MaxInt64)))
	row.CertainUpstream = new(int64(min(v.Upto[capture.Upstream], math.MaxInt64)))
	return s.write()
}

// numbers converts numbers to those of columns.
type numbers struct {
	beyond uint64 // one that does not fit
}

func (n *numbers) of(number uint64) *int64 {
	if number > math.MaxInt64 {
		n.beyond = number
	}
	return new(int64(number))
}

func (n *numbers) ledger(l *capture.Ledger) (seen, kept, masked *int64, dropped []Drop) {
	for _, drop := range l.Dropped {
		dropped = append(dropped, Drop{strings.ToValidUTF8(drop.Reason, "\ufffd"), *n.of(drop.Bytes)})
	}
	return n.of(l.Seen), n.of(l.Kept), n.of(l.Masked), dropped
}
