package playbook

import (
	"io"

	"l4dump/internal/capture"
)

// Span is the bytes of a stream from From up to, and without, To.
type Span struct{ From, To uint64 }

// Len returns the number of bytes.
func (s Span) Len() uint64 { return s.To - s.From }

// StepKind is what a client does.
type StepKind uint8

// The kinds of steps.
const (
	Send      StepKind = iota // sends Span
	HalfClose                 // ends its stream and continues to read
	Close                     // ends the connection
)

var stepNames = [...]string{"send", "half-close", "close"}

// String returns the kind as a word.
func (k StepKind) String() string { return stepNames[k] }

// Step is one thing that the client of a connection did, and what it may have waited for.
type Step struct {
	Kind StepKind
	Span Span // of the client's stream; empty unless Kind is Send
	At   int64
	Gate Gate
}

// Gate is what the server had sent before a step. Which of its numbers hold depends on the script: if its protocol is
// known, Answers and Milestones, else Bytes.
type Gate struct {
	Bytes uint64 // of the server's stream
	End   bool   // the end of the server's stream
	// Answers is how many turns were answered, in the order of Script.Order. Milestones is what has come since of
	// messages that complete no turn, as 100 Continue, or an answer to a request of which not all was sent.
	Answers    uint64
	Milestones uint64
	At         int64 // when the last of it passed; the connection's begin if there is nothing
}

// Turn is what is compared: a request and what answers it. If the protocol is not known it is what the client sent
// after the same bytes of the server, and what the server sent until the client continued.
type Turn struct {
	Request Span   // of the client's stream; empty if the server spoke unasked
	Answer  []Span // of the server's stream; empty if nothing answers
	Class   string // what groups turns of a kind, as "GET /users"; empty if the protocol is not known
	At      int64  // when the request began to pass
	Done    int64  // when the last byte of the answer passed; 0 if there is none
	Writes  uint64 // how many times the client sent, if the protocol is not known
	Gap     int64  // the longest time between two parts of the answer, in nanoseconds
	Failed  bool   // an answer reports an error, if the protocol tells
	Open    bool   // the recording ends here: the answer may have continued
}

// AnswerBytes returns the length of the answer.
func (t *Turn) AnswerBytes() (n uint64) {
	for _, span := range t.Answer {
		n += span.Len()
	}
	return n
}

// Info is what is known of a script without reading it.
type Info struct {
	ID          capture.ID
	Port        uint16 // that the client connected to; 0: not known
	Source      string // addresses, as the proxy gave them; empty: not known
	Destination string
	SNI         string
	Start       int64 // when the connection began, in nanoseconds since the Unix epoch, as all times here
	End         int64 // when its last event passed
	Protocol    string
	Fallback    string // why the protocol is raw though another was taken for it; else empty
	Closed      string // who closed: "downstream", "upstream", "proxy", "unknown"; empty: it was cut off
	Cut         string // why the script ends before the connection; empty: it does not
	Bytes       [2]uint64
	Steps       uint64
	Turns       uint64
}

// Script is a connection that can be played: what the client did, in order, and what it may have waited for. Its methods
// may be called from several goroutines.
type Script struct {
	Info
	downstream, upstream  io.ReaderAt
	steps, turns, answers *io.SectionReader
}

// Stream returns the bytes that a peer sent.
func (s *Script) Stream(d capture.Direction) io.ReaderAt {
	if d == capture.Downstream {
		return s.downstream
	}
	return s.upstream
}

// ReadSpans appends the bytes of spans of a peer's stream to dst.
func (s *Script) ReadSpans(dst []byte, d capture.Direction, spans ...Span) ([]byte, error) {
	for _, span := range spans {
		n := len(dst)
		dst = append(dst, make([]byte, span.Len())...)
		if _, err := s.Stream(d).ReadAt(dst[n:], int64(span.From)); err != nil {
			return dst[:n], err
		}
	}
	return dst, nil
}
