package verdict

import (
	"slices"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/replay"
	"l4dump/internal/verdict/difference"
)

// End implements replay.Transcript.
func (c *conversation) End(e *replay.End) {
	c.closed[e.Target] = e
	if c.closed[c.collector.target()] == nil || c.collector.options.Baseline && c.closed[0] == nil {
		return
	}
	e = c.closed[c.collector.target()]
	c.flush()
	stopped := e.How == replay.Stopped || e.How == replay.Faulty
	for _, s := range c.silent {
		if stopped { // the target could have answered later
			c.count(s.class, func(n *Class) { n.NotCompared++ })
		} else {
			c.different(s.turn, s.class, s.expected, []difference.Difference{s.difference()})
		}
	}
	further := false // the baseline answered more than the target was sent
	for _, t := range c.waiting {
		c.collector.waiting.Add(-int64(len(t.Answer.Bytes)))
		if t.Target == 0 {
			further = further || t.Answered
			continue // it counts as not replayed
		}
		c.count(t.Class, func(n *Class) { n.NotCompared++ })
	}
	c.waiting = nil
	c.notReplayed()
	c.unasked(e)
	c.end(e, further)
}

// difference is that of an answer that did not come, or not whole.
func (s *silent) difference() difference.Difference {
	d := difference.Difference{Kind: difference.NoAnswer, HasA: true, LengthA: int(s.expected), LengthB: int(s.came)}
	if s.came > 0 {
		d.Kind, d.HasB, d.Offset = difference.EarlyEnd, true, int(s.came)
	}
	return d
}

// notReplayed counts the turns that were not sent to the judged target, each in its class.
func (c *conversation) notReplayed() {
	script := c.of.Script
	missed := script.Info.Turns - min(c.sent.n, script.Info.Turns)
	if missed == 0 {
		return
	}
	turns := script.Turns()
	for i := 0; missed > 0; i++ {
		t, err := turns.Next()
		if err != nil {
			c.count(c.last, func(n *Class) { n.NotReplayed += missed })
			return
		}
		if !c.sent.has(i) {
			c.count(t.Class, func(n *Class) { n.NotReplayed++ })
			missed--
		}
	}
}

// end counts how the connection to the judged target ended. further says that the baseline answered turns that were not
// sent to the target.
func (c *conversation) end(e *replay.End, further bool) {
	ends := &c.collector.ends
	ends.connections.Add(1)
	ends.failed[e.How].Add(1)
	if e.Raw != "" {
		ends.raw.Add(1)
	}
	ending := func(want, came string) difference.Difference {
		return difference.Difference{
			Kind: difference.Ending, A: want, B: came, HasA: true, HasB: true, LengthA: len(want), LengthB: len(came),
		}
	}
	next := int(c.sent.n)
	switch e.How {
	case replay.Stalled:
		// It waited for an end that did not come, or for bytes that belong to no turn.
		if len(c.silent) == 0 && (further || !c.baselineIs(replay.Stalled)) {
			c.tell(next, c.last, ending(capture.Upstream.String(), "open"))
		}
	case replay.EndedEarly, replay.WriteFailed:
		// The end of an answer that was awaited is told already.
		if len(c.silent) == 0 && (further || !c.baselineIs(replay.EndedEarly, replay.WriteFailed)) {
			c.tell(next, c.last, difference.Difference{Kind: difference.EarlyEnd, At: e.Reason})
		}
	case replay.Finished:
		ends.played.Add(1)
		if want := c.closedBy(e.By); want != "" && e.By != "" && want != e.By {
			c.tell(next, c.last, ending(want, e.By))
		}
	}
}

// baselineIs reports whether the connection to the baseline ended in one of these ways.
func (c *conversation) baselineIs(hows ...replay.How) bool {
	if !c.collector.options.Baseline {
		return false
	}
	return slices.Contains(hows, c.closed[0].How)
}

// closedBy is who is expected to close first: as the baseline did, or as was recorded; empty if that is not known. It is
// chance if the client ends its stream before it closes: the service then ends its own. The steps are read only if it may
// be another than came.
func (c *conversation) closedBy(came string) string {
	baseline := c.collector.options.Baseline
	if baseline && c.closed[0].By == came || !baseline && came == capture.Upstream.String() {
		return came
	}
	last := playbook.Step{}
	for steps := c.of.Script.Steps(); ; {
		step, err := steps.Next()
		if err != nil {
			break
		}
		if step.Kind == playbook.HalfClose {
			return ""
		}
		last = step
	}
	switch {
	case baseline:
		return c.closed[0].By
	case last.Kind == playbook.Close && last.Gate.End:
		return capture.Upstream.String()
	default: // if the client closed first, its service may have been about to
		return ""
	}
}
