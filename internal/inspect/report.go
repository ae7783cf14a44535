package inspect

// Format names what a Report is, with a version that changes if a reader of another version would misread it.
const Format = "l4dump-inspect/1"

// Report is what is in a recording. docs/FORMAT.md describes its JSON. Bytes are of payload.
type Report struct {
	Format      string       `json:"format"`
	Records     uint64       `json:"records"`
	Connections uint64       `json:"connections"`
	Bytes       Bytes        `json:"bytes"`
	First       string       `json:"first,omitempty"`
	Last        string       `json:"last,omitempty"`
	Layotto     uint64       `json:"layotto_lines"`
	States      []StateCount `json:"completeness"`
	Ledgerless  uint64       `json:"without_ledger"`
	Inexact     Inexact      `json:"inexact"`
	Sample      Sample       `json:"sample"`
	Drops       []DropCount  `json:"drops"`
	Protocols   []Group      `json:"protocols"`
	Ports       []Group      `json:"ports"`
	Peers       []Group      `json:"peers"`
	Names       []Group      `json:"server_names"`
	Windows     []Window     `json:"windows"`
	Largest     []Connection `json:"largest"`
	Longest     []Connection `json:"longest"`
	Faults      []FaultCount `json:"faults"`
	Series      *Series      `json:"series,omitempty"`
}

// Bytes are numbers of bytes, or of turns, by direction.
type Bytes struct {
	Downstream uint64 `json:"downstream"`
	Upstream   uint64 `json:"upstream"`
}

func (b Bytes) total() uint64 { return b.Downstream + b.Upstream }

func (b *Bytes) add(other Bytes) {
	b.Downstream += other.Downstream
	b.Upstream += other.Upstream
}

func bytesOf(byDirection [2]uint64) Bytes { return Bytes{byDirection[0], byDirection[1]} }

// StateCount is the connections in one state, and why they are.
type StateCount struct {
	State       string       `json:"state"` // a State's name
	Connections uint64       `json:"connections"`
	Bytes       Bytes        `json:"bytes"`
	Causes      []CauseCount `json:"causes,omitempty"` // the most frequent first
}

// CauseCount is the connections that are incomplete for one reason.
type CauseCount struct {
	Cause       string `json:"cause"`
	Reason      string `json:"reason,omitempty"` // why the recorder dropped bytes
	Connections uint64 `json:"connections"`
}

// Inexact counts connections whose bytes are not all those that passed as they passed.
type Inexact struct {
	Repeats uint64 `json:"repeats"` // bytes may stand more than once
	Masked  uint64 `json:"masked"`  // bytes were overwritten
	TLS     uint64 `json:"tls"`     // ciphertext
}

// Sample is what share of the traffic the recording covers, as far as it tells.
type Sample struct {
	Bytes       *Share     `json:"bytes,omitempty"`       // of the connections with a ledger: kept, of those that passed
	Connections *Share     `json:"connections,omitempty"` // recorded, of those that the recorders numbered
	Intervals   []Interval `json:"intervals,omitempty"`
}

// Share is a part of a whole.
type Share struct {
	Part  uint64 `json:"part"`
	Whole uint64 `json:"whole"`
}

// Of returns the share as a number from 0 to 1, and 1 if the whole is 0.
func (s Share) Of() float64 {
	if s.Whole == 0 {
		return 1
	}
	return float64(s.Part) / float64(s.Whole)
}

// Interval is the windows that begin once in so many seconds.
type Interval struct {
	Seconds int64 `json:"seconds"`
	Windows Share `json:"windows"` // with records, of those from the first to the last
	// WithinSeconds after a window's begin, at most, something was recorded: the window lasts at least as long.
	WithinSeconds float64 `json:"within_seconds"`
}

// DropCount is the bytes that recorders dropped for one reason.
type DropCount struct {
	Reason      string `json:"reason"`
	Key         string `json:"key,omitempty"` // of the configuration's limits; empty: the reason is no limit
	Connections uint64 `json:"connections"`
	Bytes       Bytes  `json:"bytes"`
}

// Group is the connections with something in common.
type Group struct {
	Name        string `json:"name"`
	Connections uint64 `json:"connections"`
	Whole       uint64 `json:"whole"`
	Bytes       Bytes  `json:"bytes"`
	Others      bool   `json:"others,omitempty"` // all that had no room for a group of their own
}

// Window is a sampling window.
type Window struct {
	ID          string `json:"id"`
	Start       string `json:"start,omitempty"` // empty: the identifier does not say
	Interval    int64  `json:"interval_seconds,omitempty"`
	Connections uint64 `json:"connections"` // whose first event is in it
	Bytes       Bytes  `json:"bytes"`
}

// FaultCount is the faults of one kind.
type FaultCount struct {
	Kind  string `json:"kind"`
	Count uint64 `json:"count"`
	First string `json:"first"` // the first one, with its place
}

// Connection is one connection in a few words.
type Connection struct {
	ID          string  `json:"conn"`
	Port        uint16  `json:"port"`
	Source      string  `json:"source,omitempty"`
	Destination string  `json:"destination,omitempty"`
	Peer        string  `json:"peer,omitempty"`
	Protocol    string  `json:"protocol"` // a word
	Version     string  `json:"version,omitempty"`
	Name        string  `json:"sni,omitempty"`
	Encrypted   bool    `json:"encrypted,omitempty"`
	Window      string  `json:"window,omitempty"`
	First       string  `json:"first"`
	Seconds     float64 `json:"seconds"`
	Bytes       Bytes   `json:"bytes"`
	State       string  `json:"state"`
	Why         string  `json:"why,omitempty"` // it is not whole, for a person
	By          string  `json:"by,omitempty"`  // who ended it

	title string // the protocol with its version, for a person
	nanos int64  // from the first event to the last
}

// Series is bytes and connections over time.
type Series struct {
	Start   string  `json:"start"`   // of the first step
	Seconds float64 `json:"seconds"` // of a step
	Steps   []Step  `json:"steps"`
}

// Step is what passed in one step of a Series.
type Step struct {
	Downstream  uint64 `json:"downstream"`
	Upstream    uint64 `json:"upstream"`
	Connections uint64 `json:"connections"` // whose first event is in it
}
