package replay

import (
	"fmt"
	"time"

	"l4dump/internal/playbook"
)

// The bounds of the silence after which an answer of another length than the recorded one counts as complete.
const (
	minQuiet = 50 * time.Millisecond
	maxQuiet = 2 * time.Second
)

// rawTurns are the turns of a connection whose protocol is not known. As long as as many bytes come as were recorded,
// these are told apart by their place in the stream, and no gate needs a clock. From the first answer on that has another
// length, places mean nothing: what comes until the next request is sent is the answer to the one before, and it is over
// when the target is quiet.
type rawTurns struct {
	book
	offset uint64 // bytes that came
	other  bool   // the lengths have diverged
	strict bool   // so far, the client sent once and waited for the answer: more bytes than recorded are a longer answer
}

func newTurns(l *live) turns {
	if l.script.Protocol != "raw" {
		return newFramedTurns(l)
	}
	t := &rawTurns{book: newBook(l), strict: true}
	t.greet()
	return t
}

// rawTurnsAfter continues turns of a protocol.
func rawTurnsAfter(before turns) turns {
	switch before := before.(type) {
	case *framedTurns:
		t := &rawTurns{book: before.book, other: true, offset: before.live.received}
		if rest := before.rest(); len(rest) > 0 {
			t.give(rest, before.live.at)
		}
		return t
	default:
		return before
	}
}

// greet opens the turns at the beginning that have no request.
func (t *rawTurns) greet() {
	if t.more && t.next.Request.Len() == 0 {
		t.begin(true, t.live.begin)
	}
}

func (t *rawTurns) sending(from uint64, bytes []byte, _ bool, at time.Time) error {
	if len(bytes) == 0 {
		return nil
	}
	to := from + uint64(len(bytes))
	for early := t.early(); early != nil && early.Request.From < to; early = t.early() {
		t.endBefore(early)
		t.sent(early, at)
		t.overIfComplete(early)
		t.strict = t.strict && early.Writes < 2
	}
	for t.more && t.next.Request.From < to {
		if t.next.Request.Len() == 0 { // the target was to speak first, and did not
			t.advance(1)
			continue
		}
		t.strict = t.strict && t.next.Writes < 2
		turn := t.begin(true, at)
		t.endBefore(turn)
		t.overIfComplete(turn)
	}
	return t.err
}

func (t *rawTurns) overIfComplete(turn *openTurn) {
	if turn.Answer.Length >= turn.AnswerBytes() {
		t.over(turn)
	}
}

// early returns the first turn that is answered, or in part, before its request was sent; nil: there is none.
func (t *rawTurns) early() *openTurn {
	for _, turn := range t.waiting {
		if !turn.sent {
			return turn
		}
	}
	return nil
}

// endBefore ends the turns before one whose request is sent.
func (t *rawTurns) endBefore(sent *openTurn) {
	for len(t.waiting) > 0 && t.waiting[0] != sent {
		before := t.waiting[0]
		t.book.finish(before, t.complete(before, t.live.release))
	}
}

// complete says whether a turn is answered if the gate after it was opened by r.
func (t *rawTurns) complete(turn *openTurn, r Release) bool {
	return turn.Answer.Length == turn.AnswerBytes() || r == Quiet || r == Met && t.other
}

func (t *rawTurns) receive(bytes []byte, _ bool, at time.Time) error {
	if len(bytes) == 0 {
		return nil
	}
	t.offset += uint64(len(bytes))
	t.give(bytes, at)
	return t.err
}

func (t *rawTurns) give(bytes []byte, at time.Time) {
	if t.other {
		t.giveLast(bytes, at)
		return
	}
	for i := 0; len(bytes) > 0; i++ {
		if i == len(t.waiting) {
			if !t.more {
				t.giveLast(bytes, at)
				return
			}
			early := t.begin(false, at)
			early.Uncertain = true
			if i > 0 {
				t.waiting[i-1].Uncertain = true
			}
		}
		turn := t.waiting[i]
		left := turn.AnswerBytes() - min(turn.AnswerBytes(), turn.Answer.Length)
		n := min(uint64(len(bytes)), left)
		t.book.receive(turn, bytes[:n], at)
		if n == left && turn.sent {
			t.over(turn)
		}
		bytes = bytes[n:]
	}
}

// giveLast gives bytes to the turn that was sent last.
func (t *rawTurns) giveLast(bytes []byte, at time.Time) {
	if last := t.lastSent(); last != nil {
		t.book.receive(last, bytes, at)
		return
	}
	t.stray.add(bytes, t.keep())
}

func (t *rawTurns) open(g *playbook.Gate, ended bool) (Release, bool) {
	switch {
	case ended && g.End && t.offset < g.Bytes && !t.live.reset:
		last := t.lastSent()
		return Quiet, last == nil || last.Answer.Length > 0 || last.AnswerBytes() == 0
	case g.End && !ended:
		return 0, false
	case !t.other:
		return Met, t.offset >= g.Bytes
	}
	last := t.lastSent()
	return Met, last == nil || last.AnswerBytes() == 0
}

// lastSent returns the turn that was sent last and is not finished; nil: there is none.
func (t *rawTurns) lastSent() *openTurn {
	for i := len(t.waiting) - 1; i >= 0; i-- {
		if t.waiting[i].sent {
			return t.waiting[i]
		}
	}
	return nil
}

func (t *rawTurns) quiet() time.Duration {
	last := t.lastSent()
	if !t.other || last == nil || last.Answer.Length == 0 {
		return 0
	}
	return min(max(20*time.Duration(last.Gap), minQuiet), maxQuiet)
}

// settle has runs that compare wait for more than was recorded.
func (t *rawTurns) settle() time.Duration {
	if t.other || !t.strict || t.offset == 0 || t.keep() == 0 {
		return 0
	}
	return time.Millisecond
}

func (t *rawTurns) pass(g *playbook.Gate, r Release) {
	for _, turn := range t.waiting {
		if turn.sent && (r != Met || t.other) {
			t.over(turn)
		}
	}
	if r != Met || t.strict && t.offset > g.Bytes {
		t.diverge()
	}
}

// diverge says that the lengths differ: what came early belongs to the turn that was sent last.
func (t *rawTurns) diverge() {
	t.other = true
	last := t.lastSent()
	for _, early := range t.waiting {
		if early.sent || early.Answer.Length == 0 {
			continue
		}
		if last != nil {
			last.Uncertain = true
			t.receiveAt(last, early.Answer.Bytes, early.Last)
		}
		early.Answer, early.First, early.Last, early.Uncertain = Answer{}, 0, 0, false
	}
}

func (t *rawTurns) missing(g *playbook.Gate) string {
	if g.End && t.offset >= g.Bytes {
		return "the end of the target's stream"
	}
	return fmt.Sprintf("byte %d, got %d", g.Bytes, t.offset)
}

func (t *rawTurns) finish(how How) {
	if how == Finished {
		t.pass(&playbook.Gate{Bytes: t.offset}, Met)
	}
	if !t.other && len(t.waiting) > 0 && !t.waiting[len(t.waiting)-1].sent {
		t.diverge()
	}
	for len(t.waiting) > 0 {
		turn := t.waiting[0]
		if !turn.sent {
			t.waiting = t.waiting[1:]
			continue
		}
		t.book.finish(turn, t.complete(turn, t.live.release) && how == Finished || turn.Answer.Length == turn.AnswerBytes())
	}
}

func (t *rawTurns) diverged() bool { return t.other }
