package replay

import (
	"errors"
	"fmt"
	"io"
	"time"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/protocol"
)

// framedTurns are the turns of a connection whose protocol is known: each is a request, and gates count answers. Answers
// of other lengths, and answers in another order if the protocol pairs them, change nothing.
type framedTurns struct {
	book
	pairing  *playbook.Pairing
	requests []*openTurn // by number of the request, from number first on
	first    int
	partial  *openTurn // the message that answers no request, and is not complete

	order      *playbook.Order
	following  uint64              // the turn whose answer the recorded client had next
	ordered    bool                // there is one
	done       map[uint64]struct{} // answered before its turn
	answers    uint64              // how many of order are answered
	milestones uint64              // since then
	variable   bool                // the last answer is of a request whose number of answers is not known
}

func newFramedTurns(l *live) *framedTurns {
	t := &framedTurns{
		book: newBook(l), pairing: playbook.NewPairing(l.player.framer(l.script.Protocol)), order: l.script.Order(),
		done: map[uint64]struct{}{},
	}
	t.follow()
	return t
}

func (t *framedTurns) follow() {
	var err error
	t.following, err = t.order.Next()
	t.ordered = err == nil
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
}

func (t *framedTurns) sending(_ uint64, bytes []byte, ended bool, at time.Time) error {
	err := t.pairing.Feed(capture.Downstream, bytes, ended, func(p *playbook.Part, _ []byte) {
		if p.Kind != protocol.Request {
			return
		}
		if p.First {
			t.variable, t.live.mayWait = false, 0
			t.requests = append(t.requests, t.asked(at))
		}
		if p.Wait != 0 {
			t.live.mayWait = p.Wait
		}
		if p.Last && p.Answers == 0 {
			t.book.finish(t.request(p.Request), true)
		}
		t.after(p)
	})
	return errors.Join(err, t.err)
}

// asked opens the turn of the request that is about to be sent. Before it may be turns without a request, which the
// target did not begin.
func (t *framedTurns) asked(at time.Time) *openTurn {
	for t.more && t.next.Request.Len() == 0 {
		t.book.finish(t.begin(true, at), false)
	}
	return t.begin(true, at)
}

func (t *framedTurns) request(number int) *openTurn {
	if number < t.first {
		return nil
	}
	return t.requests[number-t.first]
}

func (t *framedTurns) receive(bytes []byte, ended bool, at time.Time) error {
	err := t.pairing.Feed(capture.Upstream, bytes, ended, func(p *playbook.Part, bytes []byte) {
		turn := t.turnOf(p)
		if turn == nil {
			t.stray.add(bytes, t.keep())
			return
		}
		t.book.receive(turn, bytes, at)
		turn.Failed = turn.Failed || p.Failed
		if p.Last && !p.Done {
			t.milestones++
		}
		t.after(p)
	})
	return errors.Join(err, t.err)
}

// turnOf returns the turn that a part of the target's stream belongs to; nil: to none.
func (t *framedTurns) turnOf(p *playbook.Part) *openTurn {
	switch {
	case p.Kind == protocol.Push:
		return nil
	case p.Request != playbook.Unasked:
		return t.request(p.Request)
	}
	if p.First && t.partial == nil && t.more && t.next.Request.Len() == 0 {
		t.partial = t.begin(true, t.live.at)
	}
	return t.partial
}

// after ends what a part was the last of.
func (t *framedTurns) after(p *playbook.Part) {
	switch {
	case p.Kind != protocol.Request && p.Request == playbook.Unasked && p.Last:
		t.answered(t.partial.Index)
		t.book.finish(t.partial, true)
		t.partial = nil
	case p.Done:
		turn := t.request(p.Request)
		t.answered(turn.Index)
		t.over(turn)
		if t.variable = t.pairing.Oldest() <= p.Request; !t.variable {
			t.book.finish(turn, true)
		}
	}
	for oldest := t.pairing.Oldest(); t.first < oldest && len(t.requests) > 0; t.first++ {
		if turn := t.requests[0]; !turn.told { // one whose number of answers is not known
			t.book.finish(turn, true)
		}
		t.requests = t.requests[1:]
	}
}

// answered says that a turn is complete.
func (t *framedTurns) answered(turn int) {
	t.done[uint64(turn)] = struct{}{}
	for t.ordered {
		if _, ok := t.done[t.following]; !ok {
			return
		}
		delete(t.done, t.following)
		t.answers++
		t.milestones = 0
		t.follow()
	}
}

func (t *framedTurns) open(g *playbook.Gate, ended bool) (Release, bool) {
	return Met, (t.answers > g.Answers || t.answers == g.Answers && t.milestones >= g.Milestones) && (ended || !g.End)
}

// quiet has a gate open though fewer answers came, if their number is the target's to choose.
func (t *framedTurns) quiet() time.Duration {
	if !t.variable {
		return 0
	}
	return minQuiet
}

func (*framedTurns) settle() time.Duration { return 0 }

func (t *framedTurns) pass(*playbook.Gate, Release) {}

func (t *framedTurns) missing(g *playbook.Gate) string {
	switch {
	case t.answers >= g.Answers && g.End:
		return "the end of the target's stream"
	case t.answers >= g.Answers:
		return fmt.Sprintf("message %d before answer %d, got %d", g.Milestones, t.answers+1, t.milestones)
	}
	got, want := uint64(0), uint64(0)
	for _, turn := range t.waiting {
		if uint64(turn.Index) == t.following {
			got, want = turn.Answer.Length, turn.AnswerBytes()
		}
	}
	return fmt.Sprintf("answer %d of %d, got %d bytes of %d", t.answers+1, g.Answers, got, want)
}

// rest returns what of the target's stream is in no message.
func (t *framedTurns) rest() []byte { return t.pairing.Rest(capture.Upstream) }

func (t *framedTurns) finish(How) {
	if rest := t.rest(); len(rest) > 0 {
		if len(t.waiting) > 0 {
			t.book.receive(t.waiting[0], rest, t.live.at)
		} else {
			t.stray.add(rest, t.keep())
		}
	}
	for len(t.waiting) > 0 {
		turn := t.waiting[0]
		t.book.finish(turn, t.variable && turn.Answer.Length > 0)
	}
}

func (*framedTurns) diverged() bool { return false }
