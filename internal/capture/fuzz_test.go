package capture

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// fuzzedEvents reads events out of bytes, each of which picks one number: small ones, so that they repeat, overlap and
// leave holes, and some at the ends of their range.
type fuzzedEvents struct{ input []byte }

func (f *fuzzedEvents) next() uint64 {
	if len(f.input) == 0 {
		return 0
	}
	n := f.input[0]
	f.input = f.input[1:]
	if n >= 250 {
		return 1<<63 - 3 + uint64(n-250) // across the largest offset
	}
	if n == 249 {
		return 1<<64 - 1
	}
	return uint64(n)
}

func (f *fuzzedEvents) event() Event {
	e := Event{Header: Header{Seq: f.next() % 12, Port: 80, Conn: ID{VM: 1, Number: f.next() % 4}}}
	if f.next()%7 == 0 {
		e.Seq = f.next()
	}
	e.Window[0] = byte(f.next() % 2)
	e.Kind = Kind(f.next() % 4)
	switch e.Kind {
	case KindOpen:
		e.Open = &Open{Unit: []string{"bytes", "connections"}[f.next()%2], Next: []string{"", NextRepeats}[f.next()%2]}
	case KindData:
		e.Direction, e.Offset = Direction(f.next()%2), f.next()
		e.Payload = []byte(strings.Repeat(string(rune('a'+f.next()%26)), int(f.next()%9)))
	case KindEnd:
		e.Direction, e.Offset = Direction(f.next()%2), f.next()
	case KindClose:
		e.Close = &Close{By: "proxy", HasLedger: f.next()%4 > 0}
		for d := range e.Close.Ledger {
			l := &e.Close.Ledger[d]
			l.Kept = f.next()
			for range f.next() % 3 {
				reason := []string{"sink", "budget", "window_closed"}[f.next()%3]
				l.Dropped = append(l.Dropped, record.Drop{Reason: reason, Bytes: f.next()})
			}
			l.Seen = f.next()
		}
	}
	return e
}

// FuzzAssembler holds that no events make the assembler panic, hold more than it may, give a connection's events out of
// order, or call certain what is not: the bytes that a verdict calls certain are those of its events, without a hole.
func FuzzAssembler(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 { // so that the test finds something without being fuzzed
		seed := make([]byte, 100)
		for i := range seed {
			if seed[i] = byte(random.IntN(12)); random.IntN(50) == 0 {
				seed[i] = byte(248 + random.IntN(8))
			}
		}
		f.Add(seed)
	}
	limits := Limits{HeldRecords: 3, HeldBytes: 16, OpenConnections: 2, ClosedConnections: 1, HistoryRecords: 4}
	f.Fuzz(func(t *testing.T, input []byte) {
		var text, json, talk strings.Builder
		h := &checking{t: t, sinks: []Sink{
			NewTextWriter(&text, false), NewJSONWriter(&json), NewConversationWriter(&talk, false), SinkFunc(func(c *Connection) Consumer {
				return NewConversation(c, 1<<20, func(c *Conversation) error { return requireCertain(t, c) })
			}),
		}}
		a := NewAssembler(h, Options{Limits: limits, Reporter: &h.faults})
		h.assembler = a
		events := fuzzedEvents{input[:min(len(input), 400)]}
		for i := 0; len(events.input) > 0; i++ {
			e := events.event()
			print := Fingerprint{Sum: uint64(len(e.Payload)), Length: 1}
			require.NoError(t, a.Add(&e, print, Place{Input: Name("fuzz"), Number: int64(i + 1)}, time.Time{}))
			require.LessOrEqual(t, a.heldRecords, limits.HeldRecords)
			for i := range e.Payload {
				e.Payload[i] = 0xff // of a held event, a copy must be kept
			}
		}
		require.NoError(t, a.Finish())
		require.Zero(t, a.heldRecords)
		require.Zero(t, a.heldBytes)
		require.Zero(t, h.open, "every connection that began has its end")
		for _, out := range []string{text.String(), json.String(), talk.String(), strings.Join(h.faults, "\n")} {
			require.NotRegexp(t, `[^\n -~]`, out)
		}
	})
}

// requireCertain holds that the bytes that are called certain are there, from the start and without a hole.
func requireCertain(t *testing.T, c *Conversation) error {
	var certain [2]uint64
	for _, turn := range c.Turns {
		end := turn.Offset + uint64(len(turn.Bytes))
		if turn.Offset < c.Verdict.Upto[turn.Direction] {
			require.Equal(t, certain[turn.Direction], turn.Offset)
			require.NotContains(t, string(turn.Bytes), "\xff")
			certain[turn.Direction] = min(end, c.Verdict.Upto[turn.Direction])
		}
	}
	require.Equal(t, c.Verdict.Upto, certain)
	return nil
}
