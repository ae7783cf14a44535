// Package protocol cuts the two byte streams of a connection into messages, pairs requests with answers, and names what
// is in a message so that two of them can be compared.
//
// A Protocol is what is known of one protocol; its Framer follows one connection. Package catalog has the protocols by
// name. Nothing here reads or writes anything but the bytes it is given.
package protocol

import (
	"errors"
	"time"

	"l4dump/internal/capture"
)

// Protocol is what is known of one protocol. It is safe for concurrent use.
type Protocol interface {
	// Name is the word that names it in flags and reports, as "http1".
	Name() string
	// Ports are those that it is usually served on.
	Ports() []uint16
	// Match says whether a connection may speak it, by the first bytes of one direction's stream.
	Match(d capture.Direction, first []byte) Match
	// NewFramer returns a Framer for one connection.
	NewFramer() Framer
	// Fields returns what one whole message says, for comparing. For an answer, class is the Class of its request, and ""
	// if that is not known: what an answer means may depend on it. message is not kept.
	Fields(d capture.Direction, class string, message []byte) (*Message, error)
}

// Match is how first bytes fit to a protocol.
type Match uint8

// The matches.
const (
	No     Match = iota // another protocol
	Unsure              // too few bytes, or such as other protocols begin with too
	Yes
)

// Framer follows one connection. It is not for concurrent use, and keeps a bounded state and none of the bytes. Those of
// HTTP/1 and Redis are allocation-free for a message that is like one before it.
type Framer interface {
	// Next returns the next piece of a direction's stream. buf is the unread rest of the stream as far as it has come:
	// the caller removes the piece's Size bytes from it before the next call, and only these, so that a rest without a
	// piece stands in the next call again, with more after it. ended says that nothing comes after buf.
	//
	// No piece (Kind 0) and no error means that more bytes are wanted, or if ended, that there are none.
	//
	// Give a request before its answer: how an answer ends may depend on what was asked. Apart from that, any order of
	// calls and any cut of a stream gives the same messages.
	//
	// An error is final: Next returns it again for either direction, and the rest of both streams has no messages. It is
	// an ErrRaw if the protocol itself ends here, as after an upgrade.
	Next(d capture.Direction, buf []byte, ended bool) (Piece, error)
}

// MaxWanted is the number of bytes without a piece after which a Framer wants no more, and returns an error.
const MaxWanted = 256 << 10

// ErrRaw says that the connection is none of the protocol's any more, in either direction, and that this is no fault of
// its bytes: after "101 Switching Protocols", CONNECT or PSYNC.
var ErrRaw = errors.New("the rest of the connection is raw")

// Piece is a message, or a part of one, so that a message of any length can pass.
//
//	GET / HTTP/1.1\r\n\r\n    {Size: 18, Kind: Request, First, Last, Class: "GET /", Answers: 1}
//
//	HTTP/1.1 200 OK\r\n...     {Size: 4096, Kind: Answer, First, Class: "200"}   the head and what there is of the body
//	4096 bytes of the body     {Size: 4096, Kind: Answer}
//	the last 904               {Size: 904, Kind: Answer, Last}
type Piece struct {
	// Size is the length in bytes. It is 0 only in the Last piece of a message that the end of the stream ends.
	Size int
	Kind Kind // 0: no piece
	// First and Last are set on the first and on the last piece of a message; both if it is one piece.
	First, Last bool
	// Login is set on a request that logs in or agrees on the protocol, as AUTH and HELLO, and so may hold secrets and
	// values of its connection.
	Login bool
	// Failed is set on the First of an answer that reports an error: a status from 400 on, "-ERR".
	Failed bool
	// HasID says that the protocol pairs by ID, in whatever order answers come. Without it, answers come in the order of
	// requests.
	HasID bool
	// Class is set on First. For a request it is what groups messages of a kind: a verb, or a verb, a space and what it
	// applies to, with what differs from message to message left out: "GET", "GET /v1/users/{}". For an answer it is its
	// status, "200", or the word of its error, "WRONGTYPE"; "" if it has none.
	Class string
	ID    uint64 // set on First if HasID: which request this is, or which one it answers
	// Answers is set on the Last of a request: how many answers it has. 0: none is sent. Unknown: it depends on the
	// service's state.
	Answers int
	// Wait is set on the Last of a request that lets the service wait: for how long, by its own word, or Forever. 0 says
	// nothing.
	Wait time.Duration
}

// Unknown is a number of answers that only the service knows.
const Unknown = -1

// Forever is a Wait without an end.
const Forever time.Duration = -1

// Kind is what a message is in its conversation.
type Kind uint8

// The kinds.
const (
	// Request is a message that the client sends, also one without an answer.
	Request Kind = iota + 1
	// Answer is one of the messages that a request gets.
	Answer
	// Milestone is what comes before the answer and lets the client continue, as "100 Continue".
	Milestone
	// Push is what the service sends unasked. It may come or not, at any time, and nobody waits for it.
	Push
)

// String returns the kind as a word.
func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Answer:
		return "answer"
	case Milestone:
		return "milestone"
	case Push:
		return "push"
	}
	return "none"
}
