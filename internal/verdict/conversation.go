package verdict

import (
	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	"l4dump/internal/verdict/difference"
)

// conversation compares one connection, turn by turn. It is a replay.Transcript.
type conversation struct {
	collector *Collector
	of        *replay.Connection
	protocol  protocol.Protocol    // nil: raw
	waiting   map[int]*replay.Turn // by index: what one target has answered and the other has not yet
	found     map[findingKey]bool
	classes   map[string]bool // of its turns
	compared  uint64          // turns of the judged target
	last      string          // class of its last turn
	// diverged says that without a protocol a turn had another length: later turns may differ for that reason alone.
	diverged bool
	joined   *joined // turns whose border is not certain
	closed   [2]*replay.End
}

// joined is a run of turns that are compared as one.
type joined struct {
	first *replay.Turn
	turns uint64
	a, b  answer
}

// Turn implements replay.Transcript.
func (c *conversation) Turn(t *replay.Turn) {
	if t.Target == c.collector.target() {
		c.collector.ends.gates[t.Release].Add(1)
		c.compared++
		c.last = t.Class
	}
	c.time(t)
	if !c.collector.options.Baseline {
		a, err := recorded(c.of.Script, &t.Turn)
		if err != nil {
			c.collector.ends.faults.Add(1)
			c.count(t, func(n *Class) { n.NotCompared++ })
			return
		}
		b := live(&t.Answer)
		c.compare(t, &a, &b, true)
		return
	}
	other := c.waiting[t.Index]
	if other == nil || other.Target == t.Target {
		c.waiting[t.Index] = t
		return
	}
	delete(c.waiting, t.Index)
	expected, came := other, t
	if t.Target == 0 {
		expected, came = t, other
	}
	a, b := live(&expected.Answer), live(&came.Answer)
	c.compare(came, &a, &b, expected.Answered)
}

// compare compares a turn. complete says that the expected answer is.
func (c *conversation) compare(t *replay.Turn, a, b *answer, complete bool) {
	switch {
	case !complete, t.Open && a.length < b.length: // nobody knows how the expected one continues
		c.count(t, func(n *Class) { n.NotCompared++ })
		return
	case !t.Answered && a.length > b.length:
		c.different(t, a, []difference.Difference{unanswered(a, b)})
		return
	}
	if c.raw() {
		if c.join(t, a, b) {
			return
		}
	}
	c.judge(t, 1, a, b)
}

// raw reports whether answers have no messages.
func (c *conversation) raw() bool { return c.protocol == nil }

// join reports whether the turn was put aside, since where its answer ends is not certain.
func (c *conversation) join(t *replay.Turn, a, b *answer) bool {
	if a.blocks != nil || b.blocks != nil {
		return false
	}
	j := c.joined
	if j == nil {
		if !t.Uncertain {
			return false
		}
		j = &joined{first: t}
		c.joined = j
	}
	j.turns++
	j.a.bytes += a.bytes
	j.b.bytes += b.bytes
	if !t.Uncertain || len(j.a.bytes) > maxWhole || len(j.b.bytes) > maxWhole {
		c.flush()
	}
	return true
}

// flush compares the turns that were put aside.
func (c *conversation) flush() {
	j := c.joined
	if j == nil {
		return
	}
	c.joined = nil
	j.a.length, j.b.length = uint64(len(j.a.bytes)), uint64(len(j.b.bytes))
	c.judge(j.first, j.turns, &j.a, &j.b)
}

// judge compares what turns turns, of which t is the first, were answered.
func (c *conversation) judge(t *replay.Turn, turns uint64, a, b *answer) {
	found, err := differences(c.protocol, c.of.Script, &t.Turn, a, b)
	if err != nil {
		c.collector.ends.faults.Add(1)
		c.count(t, func(n *Class) { n.NotCompared += turns })
		return
	}
	if learner := c.collector.options.Learner; learner != nil {
		learner.Turn(c.of.Script.Protocol, t.Class, found)
	}
	left, masked := found[:0:0], uint64(0)
	whole := false
	for i := range found {
		d := &found[i]
		taken, known := c.noise(t.Class, d)
		if !taken {
			left = append(left, *d)
			continue
		}
		if known {
			continue
		}
		masked += uint64(max(d.LengthA, d.LengthB))
		whole = whole || d.Path == "body" || d.Path == "value" || d.Path == difference.WholeAnswer
	}
	switch {
	case len(left) > 0 && c.diverged:
		c.count(t, func(n *Class) { n.Dependent += turns; n.Bytes += a.length })
	case len(left) > 0:
		c.different(t, a, left)
		c.count(t, func(n *Class) { n.Dependent += turns - 1 })
	case len(found) > 0:
		c.count(t, func(n *Class) {
			n.Masked += turns
			n.Bytes += a.length
			n.MaskedBytes += min(masked, a.length)
			if whole {
				n.WholeMasked += turns
			}
		})
	default:
		c.count(t, func(n *Class) { n.Equal += turns; n.Bytes += a.length })
	}
	if c.raw() && a.length != b.length {
		c.diverged = true
	}
}

func (c *conversation) noise(class string, d *difference.Difference) (taken, known bool) {
	if c.collector.options.Noise == nil {
		return false, false
	}
	return c.collector.options.Noise.Takes(c.of.Script.Protocol, class, d)
}

func (c *conversation) different(t *replay.Turn, a *answer, found []difference.Difference) {
	c.count(t, func(n *Class) { n.Different++; n.Bytes += a.length })
	c.collector.tally.found(c.of.Script.Protocol, t.Class, c.example(t.Index), found, c.found)
}

func (c *conversation) example(turn int) Example {
	return Example{Connection: c.of.Script.ID, Script: c.of.Index, Copy: c.of.Copy, Turn: turn}
}

func (c *conversation) count(t *replay.Turn, change func(*Class)) {
	first := !c.classes[t.Class]
	c.classes[t.Class] = true
	c.collector.tally.count(c.of.Script.Protocol, t.Class, func(n *Class) {
		if change(n); first {
			n.Connections++
		}
	})
}

// unanswered is the difference of an answer that did not come, or not whole.
func unanswered(a, b *answer) difference.Difference {
	d := difference.Difference{
		Kind: difference.NoAnswer, HasA: true, LengthA: int(a.length), LengthB: int(b.length),
	}
	if b.length > 0 {
		d.Kind, d.HasB = difference.EarlyEnd, true
		d.Offset = int(b.length)
	}
	return d
}

// End implements replay.Transcript.
func (c *conversation) End(e *replay.End) {
	c.closed[e.Target] = e
	if e.Target != c.collector.target() && c.closed[c.collector.target()] == nil {
		return
	}
	if c.collector.options.Baseline && (c.closed[0] == nil || c.closed[1] == nil) {
		return
	}
	c.flush()
	for _, t := range c.waiting { // the other target did not answer it
		if t.Target == 0 {
			continue // it counts as not replayed
		}
		c.count(t, func(n *Class) { n.NotCompared++ })
	}
	c.end(c.closed[c.collector.target()])
}

// end counts how the connection to the judged target ended.
func (c *conversation) end(e *replay.End) {
	ends := &c.collector.ends
	ends.connections.Add(1)
	ends.failed[e.How].Add(1)
	if e.Raw != "" {
		ends.raw.Add(1)
	}
	script := c.of.Script
	if missed := script.Info.Turns - min(c.compared, script.Info.Turns); missed > 0 {
		c.collector.tally.count(script.Protocol, c.last, func(n *Class) { n.NotReplayed += missed })
	}
	example := c.example(int(c.compared))
	switch {
	case e.How == replay.Stalled && c.compared >= script.Info.Turns && !c.baselineIs(replay.Stalled): // waiting for its end
		c.collector.tally.found(script.Protocol, c.last, example, []difference.Difference{
			{Kind: difference.Ending, A: capture.Upstream.String(), B: "open", HasA: true, HasB: true},
		}, c.found)
	case e.How == replay.EndedEarly && !c.baselineIs(replay.EndedEarly):
		c.collector.tally.found(script.Protocol, c.last, example,
			[]difference.Difference{{Kind: difference.EarlyEnd, At: e.Reason}}, c.found)
	case e.How == replay.Finished:
		ends.played.Add(1)
		if want := c.closedBy(); want != "" && e.By != "" && want != e.By {
			c.collector.tally.found(script.Protocol, c.last, example,
				[]difference.Difference{{Kind: difference.Ending, A: want, B: e.By, HasA: true, HasB: true}}, c.found)
		}
	}
}

// baselineIs reports whether the connection to the baseline ended that way.
func (c *conversation) baselineIs(how replay.How) bool {
	return c.collector.options.Baseline && c.closed[0].How == how
}

// closedBy is who is expected to close: as the baseline did, or as was recorded; empty if that is not known.
func (c *conversation) closedBy() string {
	if c.collector.options.Baseline {
		return c.closed[0].By
	}
	switch by := c.of.Script.Closed; by {
	case capture.Downstream.String(), capture.Upstream.String():
		return by
	default:
		return ""
	}
}

// time keeps how long a target took to answer.
func (c *conversation) time(t *replay.Turn) {
	if t.Answered && t.Last > t.Sent && t.Release == replay.Met {
		c.count(t, func(n *Class) { n.times[t.Target].add(t.Last - t.Sent) })
	}
}
