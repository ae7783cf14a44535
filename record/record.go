// Package record is the dump line: the text of one record, written by the plugin and read back from a log.
// It is the only code that knows the format; docs/FORMAT.md draws it.
//
// A record is one run of printable ASCII without a line break, wherever in a log line it is:
//
//	[01935651-7800-801e-ac34-64756d700000][8080] L4D1 data conn=9f0c6a1be3d2a417-2a seq=1 direction=downstream
//	  offset=0 time=1732320000000000000 length=5 data=68656c6c6f sum=16260c95
//
// (one line, broken here for the page). The package links nothing that the plugin cannot afford.
package record

// Kind is what a record says of its connection.
type Kind uint8

// The kinds of records, in the order in which a connection writes them.
const (
	KindOpen  Kind = iota // the connection and its peers
	KindData              // bytes that passed
	KindEnd               // the end of one direction's stream
	KindClose             // who closed, and where every byte went
)

var kindNames = [...]string{"open", "data", "end", "close"}

// String returns the kind as a record spells it.
func (k Kind) String() string { return kindNames[k] }

// Direction is the peer that a stream of bytes comes from.
type Direction uint8

// The directions.
const (
	Downstream Direction = iota // sent by the client, on its way to the service
	Upstream                    // sent by the service, on its way to the client
)

var directionNames = [...]string{"downstream", "upstream"}

// String returns the direction as a record spells it.
func (d Direction) String() string { return directionNames[d] }

// UUID is a window's identifier, in the byte order of RFC 9562.
type UUID [16]byte

// ConnID identifies a connection among all workers, restarts and pods: VM is drawn at random when a plugin's VM
// starts, Number counts that VM's connections from 1. Its text is VM in 16 hex digits, a hyphen, and Number in hex.
type ConnID struct {
	VM     uint64
	Number uint64
}

// Header is what every record carries.
type Header struct {
	Window UUID   // the sampling window
	Port   uint16 // the port that the client connected to
	Conn   ConnID
	Seq    uint64 // counts the connection's records over both directions, from 0; a hole is a loss
	Time   int64  // nanoseconds since the Unix epoch
}

// Open is the connection and its peers. Texts are as the proxy gave them; an empty one was not known.
type Open struct {
	_ [0]func() // not comparable: a function that compares them is 1.2 KiB of the plugin

	Unit    string // what is captured: "bytes" or "connections"
	Started int64  // when the proxy accepted the connection, in nanoseconds since the Unix epoch
	// ProxyConn is the proxy's own number of the connection, which is unique in one process only and may be 0.
	// HasProxyConn is false if the proxy did not give one.
	ProxyConn    uint64
	HasProxyConn bool
	Source       string // address of the client
	Destination  string // address that the client connected to
	SNI          string // server name that the client asked for
	Peer         string // URI of the client's certificate
	MTLS         bool   // the client showed a certificate
	Next         string // the filter after the plugin as the configuration says: a word, as "tcp_proxy"
}

// Ledger is where the bytes of one direction went: Seen = Kept + the sum of Dropped.
type Ledger struct {
	Seen    uint64 // bytes that passed while the plugin watched the connection
	Kept    uint64 // bytes in data records
	Masked  uint64 // of them, those that were overwritten
	Dropped []Drop // bytes that do not, by reason
}

// Drop is a number of bytes that were not recorded for one reason. A reason is a word of lower-case letters and '_'.
type Drop struct {
	Reason string
	Bytes  uint64
}

// Close is the end of a connection.
type Close struct {
	By         string // who ended it: "downstream", "upstream", "proxy" or "unknown"
	Downstream Ledger
	Upstream   Ledger
}

// Record is a record that was read back. Of Payload, Open and Close only the one of Kind is set.
type Record struct {
	Kind Kind
	Header
	Direction Direction // of KindData and KindEnd
	Offset    uint64    // of KindData: of the payload's first byte; of KindEnd: the stream's length
	Payload   []byte    // of KindData; belongs to the buffer given to Parse
	Masked    uint64    // of KindData: bytes of Payload that were overwritten
	Open      *Open     // of KindOpen
	Close     *Close    // of KindClose
}

// mark is between the fields that Layotto writes too, window and port, and the rest. 1 is the format's version.
const mark = "] L4D1 "

// The most bytes that the escaped texts of an open record take; what is longer is cut.
const (
	MaxAddressBytes = 96
	MaxSNIBytes     = 384
	MaxPeerBytes    = 512
	maxWordBytes    = 16
	maxNextBytes    = 32
)
