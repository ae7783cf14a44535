package capture

import "l4dump/record"

// The model's words are those of a record, so that nothing is converted; another source fills them in as it can.
type (
	// ID tells connections apart, over all sources that are read together. A source whose connections have no such
	// identifier of their own derives VM from what names its input, as a hash, and counts connections in Number.
	ID = record.ConnID
	// Kind is what an event says of its connection.
	Kind = record.Kind
	// Direction is the peer that bytes come from.
	Direction = record.Direction
	// Header is what every event carries. Seq orders the events of a connection over both directions, from 0.
	Header = record.Header
	// Open is the connection and its peers, as far as they are known.
	Open = record.Open
	// Ledger is where the bytes of one direction went, as the recorder counted them.
	Ledger = record.Ledger
)

// The kinds of events.
const (
	KindOpen  = record.KindOpen
	KindData  = record.KindData
	KindEnd   = record.KindEnd
	KindClose = record.KindClose
)

// The directions.
const (
	Downstream = record.Downstream
	Upstream   = record.Upstream
)

// Close is the end of a connection.
type Close struct {
	By        string    // who ended it: "downstream", "upstream", "proxy" or "unknown"
	Ledger    [2]Ledger // by Direction
	HasLedger bool      // false: the source counts no bytes that it did not record
}

// Event is one thing that was recorded of a connection.
//
//	Kind   sets
//	open   Open
//	data   Direction, Offset of Payload's first byte in the direction's stream, Payload, Masked, Cut
//	end    Direction, Offset: the length of the direction's stream
//	close  Close
type Event struct {
	Kind Kind
	Header
	Direction Direction
	Offset    uint64
	Masked    uint64 // bytes of Payload that the recorder overwrote
	// Cut says that bytes may follow Payload in the direction's stream that the source does not have, and that it does
	// not know how many. The offsets after it count only what is there.
	Cut     bool
	Payload []byte // belongs to the source: valid until the call that it is given to returns
	Open    *Open  // is not changed any more and may be kept
	Close   *Close // is not changed any more and may be kept
}

// EventOf returns what a record says. It shares the record's Payload and Open.
func EventOf(r *record.Record) Event {
	e := Event{
		Kind: r.Kind, Header: r.Header, Direction: r.Direction, Offset: r.Offset, Payload: r.Payload, Masked: r.Masked, Open: r.Open,
	}
	if r.Close != nil {
		e.Close = &Close{By: r.Close.By, Ledger: [2]Ledger{r.Close.Downstream, r.Close.Upstream}, HasLedger: true}
	}
	return e
}

// Fingerprint tells whether two events with the same connection and number are the same one. Sources that read an
// event twice give the same Fingerprint.
type Fingerprint struct {
	Sum    uint64 // over all that the event says
	Length int    // of the event's form in the source, in bytes; more than 0
}
