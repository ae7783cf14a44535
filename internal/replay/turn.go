package replay

import (
	"errors"
	"io"
	"slices"
	"time"

	"l4dump/internal/playbook"
)

// openTurn is a turn that a target may still answer.
type openTurn struct {
	Turn
	at   time.Time // when it was sent
	due  time.Time
	sent bool
	over bool // for the order of connections
	told bool // it is finished
}

// book is what both kinds of turns keep: the script's turns, and those that are open.
type book struct {
	live    *live
	cursor  *playbook.Turns
	next    playbook.Turn // the script's next turn
	more    bool          // there is one
	index   int           // of next
	err     error         // of reading the script
	stray   Answer        // what answers nothing
	waiting []*openTurn   // in the order of the script
}

func newBook(l *live) book {
	b := book{live: l, cursor: l.script.Turns()}
	b.advance(0)
	return b
}

func (b *book) advance(by int) {
	next, err := b.cursor.Next()
	b.next, b.more, b.index = next, err == nil, b.index+by
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
}

// begin opens the script's next turn. sent says that its request is about to be sent, or that it has none.
func (b *book) begin(sent bool, at time.Time) *openTurn {
	t := &openTurn{Turn: Turn{Turn: b.next, Index: b.index, Target: b.live.target}}
	b.advance(1)
	if sent {
		b.sent(t, at)
	}
	b.waiting = append(b.waiting, t)
	b.live.begun++
	return t
}

func (b *book) sent(t *openTurn, at time.Time) {
	t.sent, t.at, t.due, t.Release = true, at, b.live.due, b.live.release
	t.Sent = b.live.player.since(at)
	if !t.due.IsZero() {
		t.Due = b.live.player.since(t.due)
	}
}

// receive adds bytes to the answer of a turn.
func (b *book) receive(t *openTurn, bytes []byte, at time.Time) {
	if len(bytes) == 0 {
		return
	}
	b.receiveAt(t, bytes, b.live.player.since(at))
}

func (b *book) receiveAt(t *openTurn, bytes []byte, at time.Duration) {
	t.Last = at
	if t.First == 0 {
		t.First = t.Last
	}
	t.Answer.add(bytes, b.keep())
}

func (b *book) keep() int {
	if b.live.transcript == nil {
		return 0
	}
	return b.live.player.options.Keep
}

// over says that whoever waits for a turn need not wait any more.
func (b *book) over(t *openTurn) {
	if causal := b.live.player.causal; causal != nil && !t.over {
		t.over = true
		causal.end(b.live.index, t.Index)
	}
}

// finish ends a turn, which is in waiting.
func (b *book) finish(t *openTurn, answered bool) {
	switch i := slices.Index(b.waiting, t); {
	case i == 0: // the usual case moves nothing
		b.waiting = b.waiting[1:]
	case i > 0:
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
	t.told = true
	b.over(t)
	t.Answered = answered
	t.Answer.end()
	b.live.player.turned(t)
	if b.live.transcript != nil {
		b.live.transcript.Turn(&t.Turn)
	}
}

func (b *book) unasked() Answer {
	b.stray.end()
	return b.stray
}
