package playbook

import (
	"strings"

	"l4dump/internal/capture"
	"l4dump/internal/protocol/guess"
)

// script is a Script as it is stored.
type script struct {
	Info
	Streams     [2]*stream // by Direction
	StoredSteps stream
	StoredTurns stream
	StoredOrder stream
	guessed     guess.Protocol
}

// scriptWriter stores the steps and turns of a script.
type scriptWriter struct {
	script *script
	spool  *spool
	buf    []byte

	pending  *Step // the last step, which more bytes may still join
	turns    []*Turn
	protocol string
	classes  map[Class]uint64
	allowed  []string // classes, in upper case, that may destroy something
	destroys string   // the first class that does, and is not allowed; empty: there is none
	stored   int      // turns before turns[0]
}

// send adds bytes that the client sent. Those of one read have one time, and are one step; joined says that they are not
// the first of it.
func (w *scriptWriter) send(span Span, at int64, gate Gate) (joined bool, err error) {
	if p := w.pending; p != nil && p.Kind == Send && p.Gate == gate && p.At == at {
		p.Span.To = span.To
		return true, nil
	}
	return false, w.step(Step{Kind: Send, Span: span, At: at, Gate: gate})
}

func (w *scriptWriter) step(s Step) error {
	if err := w.storeStep(); err != nil {
		return err
	}
	w.pending = &s
	return nil
}

func (w *scriptWriter) storeStep() error {
	if w.pending == nil {
		return nil
	}
	w.script.Steps++
	w.buf = appendStep(w.buf[:0], w.pending)
	return w.spool.append(&w.script.StoredSteps, w.buf)
}

// begin adds a turn and returns its index.
func (w *scriptWriter) begin(t Turn) int {
	w.forbid(Class{w.protocol, t.Class})
	w.turns = append(w.turns, &t)
	return w.stored + len(w.turns) - 1
}

// next returns the index that the next turn gets.
func (w *scriptWriter) next() int { return w.stored + len(w.turns) }

// order says that a turn is answered.
func (w *scriptWriter) order(turn int) error {
	w.buf = appendUints(w.buf[:0], uint64(turn))
	return w.spool.append(&w.script.StoredOrder, w.buf)
}

// turn returns a turn that has not been stored.
func (w *scriptWriter) turn(index int) *Turn { return w.turns[index-w.stored] }

// storeTurns stores the turns before the one with index.
func (w *scriptWriter) storeTurns(index int) error {
	for ; w.stored < index; w.stored++ {
		w.script.Turns++
		if name := w.turns[0].Class; name != "" {
			count(w.classes, Class{w.protocol, name}, 1, Class{w.protocol, OtherClasses})
		}
		w.buf = appendTurn(w.buf[:0], w.turns[0])
		w.turns = w.turns[1:]
		if err := w.spool.append(&w.script.StoredTurns, w.buf); err != nil {
			return err
		}
	}
	return nil
}

// end adds the end of the connection, after what the client sent.
func (w *scriptWriter) end(sent Span, gate Gate) error {
	s := w.script
	s.Bytes = [2]uint64{sent.Len(), gate.Bytes}
	if s.Cut != "" {
		s.End = max(s.Start, gate.At)
	} else if s.Closed == capture.Upstream.String() {
		gate.End = true
	}
	return w.step(Step{Kind: Close, At: s.End, Gate: gate})
}

// again returns a writer of the same script from its beginning.
func (w *scriptWriter) again() *scriptWriter {
	s := w.script
	for _, of := range []*stream{&s.StoredSteps, &s.StoredTurns, &s.StoredOrder} {
		w.spool.forget(of)
		*of = stream{}
	}
	s.Steps, s.Turns = 0, 0
	return &scriptWriter{script: s, spool: w.spool, destroys: w.destroys, classes: map[Class]uint64{}}
}

// forbid notes a class that destroys something.
func (w *scriptWriter) forbid(c Class) {
	if w.destroys == "" && c.Destroys() && !c.in(w.allowed) {
		w.destroys = strings.ToUpper(c.Name)
	}
}

// finish stores what is left.
func (w *scriptWriter) finish() error {
	if err := w.storeStep(); err != nil {
		return err
	}
	if err := w.storeTurns(w.stored + len(w.turns)); err != nil {
		return err
	}
	s := w.script
	for _, stream := range []*stream{s.Streams[0], s.Streams[1], &s.StoredSteps, &s.StoredTurns, &s.StoredOrder} {
		if err := w.spool.settle(stream); err != nil {
			return err
		}
	}
	return nil
}
