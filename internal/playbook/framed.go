package playbook

import (
	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// compileFramed makes steps and turns of the events before seq by the messages of a protocol. The error is the framer's
// if the connection does not speak it.
func compileFramed(r *events, seq uint64, framer protocol.Framer, w *scriptWriter) error {
	f := &framed{w: w, pairing: NewPairing(framer), gate: Gate{At: w.script.Start}, unasked: -1}
	var sent uint64
	var wrong error
	err := r.each(seq, func(e *event, piece []byte, _ bool) error {
		f.at = e.time
		n := uint64(len(piece))
		switch {
		case e.kind == capture.KindClose:
			return nil
		case e.kind == capture.KindEnd && e.d == capture.Downstream:
			if err := w.step(Step{Kind: HalfClose, At: e.time, Gate: f.gate}); err != nil {
				return err
			}
		case e.kind == capture.KindEnd:
			f.gate.End, f.gate.At = true, e.time
		case e.d == capture.Downstream:
			if _, err := w.send(Span{sent, sent + n}, e.time, f.gate); err != nil {
				return err
			}
			sent += n
		default:
			f.gate.Bytes, f.gate.At = f.gate.Bytes+n, e.time
		}
		if wrong = f.pairing.Feed(e.d, piece, e.kind == capture.KindEnd, f.part); wrong != nil {
			return wrong
		}
		return f.err
	})
	switch {
	case wrong != nil:
		return &framerError{wrong}
	case err != nil:
		return err
	}
	for _, turn := range f.turns {
		w.turn(turn).Open = w.script.Cut != ""
	}
	return w.end(Span{0, sent}, f.gate)
}

// framerError says that bytes are not of the protocol that they were taken for.
type framerError struct{ error }

// framed is a recording that is compiled by its messages.
type framed struct {
	w       *scriptWriter
	pairing *Pairing
	gate    Gate
	at      int64 // of the event
	turns   []int // by request, from number first on
	first   int
	unasked int // the turn of a message that answers nothing; -1: there is none
	err     error
}

func (f *framed) part(p *Part, _ []byte) {
	if p.Kind == protocol.Push || f.err != nil {
		return
	}
	span := Span{p.From, p.From + uint64(p.Size)}
	if p.Kind == protocol.Request {
		f.request(p, span)
	} else {
		f.answer(p, span)
	}
	if p.Done {
		f.answered(f.turns[p.Request-f.first])
	}
	f.store()
}

func (f *framed) request(p *Part, span Span) {
	if !p.First {
		f.w.turn(f.turns[p.Request-f.first]).Request.To = span.To
		return
	}
	f.turns = append(f.turns, f.w.begin(Turn{Request: span, Class: p.Class, At: f.at}))
}

func (f *framed) answer(p *Part, span Span) {
	if p.Request != Unasked {
		turn := f.w.turn(f.turns[p.Request-f.first])
		turn.answer(span, f.at)
		turn.Failed = turn.Failed || p.Failed
		if p.Last && !p.Done {
			f.gate.Milestones++
		}
		return
	}
	// The server speaks first, or answers what nobody asked.
	if f.unasked < 0 {
		at := f.pairing.Offset(capture.Downstream)
		f.unasked = f.w.begin(Turn{Request: Span{at, at}, At: f.at})
	}
	f.w.turn(f.unasked).answer(span, f.at)
	if p.Last {
		f.answered(f.unasked)
		f.unasked = -1
	}
}

// answered says that a turn is complete.
func (f *framed) answered(turn int) {
	f.gate.Answers++
	f.gate.Milestones = 0
	f.err = f.w.order(turn)
}

// store stores the turns that get nothing more.
func (f *framed) store() {
	oldest := f.pairing.Oldest()
	if n := min(oldest-f.first, len(f.turns)); n > 0 {
		f.turns, f.first = f.turns[n:], f.first+n
	}
	final := f.w.next()
	if len(f.turns) > 0 {
		final = f.turns[0]
	}
	if f.unasked >= 0 {
		final = min(final, f.unasked)
	}
	if f.err == nil {
		f.err = f.w.storeTurns(final)
	}
}
