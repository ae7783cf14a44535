package playbook

import "l4dump/internal/capture"

// compileRaw makes steps and turns of the events before seq, without knowing what their bytes mean.
func compileRaw(r *events, seq uint64, w *scriptWriter) error {
	gate := Gate{At: w.script.Start}
	turn := -1        // the last one
	answered := false // it is
	var sent uint64
	err := r.each(seq, func(e *event, piece []byte, _ bool) error {
		n := uint64(len(piece))
		switch {
		case e.kind == capture.KindData && e.d == capture.Downstream:
			if turn < 0 || answered {
				turn, answered = w.begin(Turn{Request: Span{sent, sent}, At: e.time}), false
				if err := w.storeTurns(turn); err != nil {
					return err
				}
			}
			span := Span{sent, sent + n}
			sent += n
			w.turn(turn).Request.To = sent
			joined, err := w.send(span, e.time, gate)
			if !joined {
				w.turn(turn).Writes++
			}
			return err
		case e.kind == capture.KindData:
			if turn < 0 {
				turn = w.begin(Turn{Request: Span{sent, sent}, At: e.time})
			}
			w.turn(turn).answer(Span{gate.Bytes, gate.Bytes + n}, e.time)
			answered = true
			gate.Bytes, gate.At = gate.Bytes+n, e.time
		case e.kind == capture.KindEnd && e.d == capture.Downstream:
			return w.step(Step{Kind: HalfClose, At: e.time, Gate: gate})
		case e.kind == capture.KindEnd:
			gate.End, gate.At = true, e.time
		}
		return nil
	})
	if err != nil {
		return err
	}
	if turn >= 0 {
		w.turn(turn).Open = w.script.Cut != ""
	}
	return w.end(Span{0, sent}, gate)
}

// answer adds bytes of the server's stream to what answers a turn.
func (t *Turn) answer(span Span, at int64) {
	if t.Done > 0 {
		t.Gap = max(t.Gap, at-t.Done)
	}
	t.Done = at
	if last := len(t.Answer) - 1; last >= 0 && t.Answer[last].To == span.From {
		t.Answer[last].To = span.To
		return
	}
	t.Answer = append(t.Answer, span)
}
