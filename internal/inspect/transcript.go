package inspect

import (
	"l4dump/internal/capture"
)

// The bounds of what is kept of conversations.
const (
	maxTranscripts    = 50_000   // connections
	maxTranscriptCost = 16 << 20 // of all conversations
	maxCostEach       = 64 << 10 // of one, as long as there is room
	minCostEach       = 256      // of one, if there are many
	turnCost          = 64       // of a turn besides its bytes
	maxFaultTexts     = 8        // of one connection
)

// transcripts keeps the beginning of each conversation. If there is no more room, all are shortened to half of what
// they may take: many connections show a little each, few show much.
type transcripts struct {
	list    []*transcript
	cost    int
	each    int
	full    bool   // no conversation may grow any more
	leftOut uint64 // connections
}

// transcript is a connection with the beginning of its conversation.
type transcript struct {
	row    Connection
	turns  []turn
	faults []string
	ends   [2]bool // the direction was closed by its sender

	first     int64 // time of the first event
	cost      int
	truncated bool   // there were more bytes
	more      uint64 // faults that are not in faults
}

// turn is a run of bytes that one peer sent, while the other sent nothing and nothing is missing.
type turn struct {
	direction capture.Direction
	offset    uint64
	time      int64 // of the first byte
	bytes     []byte
}

func newTranscripts() *transcripts { return &transcripts{each: maxCostEach} }

// begin returns the transcript of another connection, or nil if there are too many.
func (t *transcripts) begin() *transcript {
	if len(t.list) == maxTranscripts {
		t.leftOut++
		return nil
	}
	one := &transcript{}
	t.list = append(t.list, one)
	return one
}

// add takes an event of a connection.
func (t *transcripts) add(one *transcript, e *capture.Event) {
	switch e.Kind {
	case capture.KindEnd:
		one.ends[e.Direction] = true
	case capture.KindData:
		t.data(one, e)
	}
}

func (t *transcripts) data(one *transcript, e *capture.Event) {
	if one.truncated || len(e.Payload) == 0 {
		return
	}
	n := len(one.turns) - 1
	continues := n >= 0 && one.turns[n].continues(e)
	cost := 0
	if !continues {
		cost = turnCost
	}
	room := t.each - one.cost - cost
	if t.full || room <= 0 {
		one.truncated = true
		return
	}
	payload := e.Payload
	if len(payload) > room {
		payload, one.truncated = payload[:room], true
	}
	if continues {
		one.turns[n].bytes = append(one.turns[n].bytes, payload...)
	} else {
		one.turns = append(one.turns, turn{e.Direction, e.Offset, e.Time, append([]byte(nil), payload...)})
	}
	one.cost += cost + len(payload)
	t.cost += cost + len(payload)
	for t.cost > maxTranscriptCost && !t.full {
		t.shorten()
	}
}

func (t *turn) continues(e *capture.Event) bool {
	return t.direction == e.Direction && t.offset+uint64(len(t.bytes)) == e.Offset
}

// shorten makes room.
func (t *transcripts) shorten() {
	if t.each /= 2; t.each < minCostEach {
		t.each, t.full = minCostEach, true
	}
	t.cost = 0
	for _, one := range t.list {
		one.shorten(t.each)
		t.cost += one.cost
	}
}

func (one *transcript) shorten(most int) {
	for one.cost > most {
		last := &one.turns[len(one.turns)-1]
		excess := one.cost - most
		one.truncated = true
		if excess < len(last.bytes) {
			last.bytes = append([]byte(nil), last.bytes[:len(last.bytes)-excess]...)
			one.cost -= excess
			return
		}
		one.cost -= len(last.bytes) + turnCost
		one.turns = one.turns[:len(one.turns)-1]
	}
}

// fault takes what is wrong with the connection.
func (one *transcript) fault(f *capture.Fault) {
	if len(one.faults) == maxFaultTexts {
		one.more++
		return
	}
	one.faults = append(one.faults, f.String())
}
