package verdict

import (
	"slices"

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
	classes   map[string]bool // of its turns, as the tally tells them apart
	sent      indices         // turns of the judged target
	last      string          // class of its last turn
	// diverged says that without a protocol a turn had another length: later turns may differ for that reason alone.
	diverged bool
	joined   *joined // turns whose border is not certain
	// silent are turns that the target did not answer, or not whole. Only how the connection ends tells whose fault it is.
	silent []silent
	closed [2]*replay.End
}

// silent is a turn that was not answered.
type silent struct {
	turn           int
	class          string
	expected, came uint64 // bytes
}

// Turn implements replay.Transcript.
func (c *conversation) Turn(t *replay.Turn) {
	if t.Target == c.collector.target() {
		c.collector.ends.gates[t.Release].Add(1)
		c.sent.add(t.Index)
		c.last = t.Class
	}
	c.time(t)
	if !c.collector.options.Baseline {
		a, err := recorded(c.of.Script, &t.Turn)
		if err != nil {
			c.unread(t.Class, 1)
			return
		}
		b := live(&t.Answer)
		c.compare(t, &a, &b, true)
		return
	}
	other := c.waiting[t.Index]
	if other == nil {
		c.wait(t)
		return
	}
	c.collector.waiting.Add(-int64(len(other.Answer.Bytes)))
	delete(c.waiting, t.Index)
	expected, came := other, t
	if t.Target == 0 {
		expected, came = t, other
	}
	if expected.Failed && came.Failed && !came.Turn.Failed {
		c.collector.ends.alike.Add(1)
	}
	a, b := live(&expected.Answer), live(&came.Answer)
	c.compare(came, &a, &b, expected.Answered)
}

// wait keeps a turn until the other target has answered it. Of what does not fit into memory only hashes are kept.
func (c *conversation) wait(t *replay.Turn) {
	n := int64(len(t.Answer.Bytes))
	if c.collector.waiting.Add(n) > c.collector.options.maxWaiting() && t.Answer.Blocks == nil {
		a := live(&t.Answer)
		t.Answer.Blocks = a.hashes()
		t.Answer.Bytes = append([]byte(nil), t.Answer.Bytes[:min(len(t.Answer.Bytes), hashedHead)]...)
		c.collector.waiting.Add(int64(len(t.Answer.Bytes)) - n)
	}
	c.waiting[t.Index] = t
}

// compare compares a turn. complete says that the expected answer is.
func (c *conversation) compare(t *replay.Turn, a, b *answer, complete bool) {
	switch {
	case c.leftOut(t.Class), !complete, t.Open && a.length < b.length: // nobody knows how the expected one continues
		c.count(t.Class, func(n *Class) { n.NotCompared++ })
	case !t.Answered && a.length > b.length:
		c.silent = append(c.silent, silent{t.Index, t.Class, a.length, b.length})
	case c.protocol != nil || !c.join(t, a, b):
		c.judge(t, 1, a, b)
	}
}

func (c *conversation) leftOut(class string) bool {
	leaveOut := c.collector.options.LeaveOut
	return leaveOut != nil && leaveOut(c.of.Script.Protocol, class)
}

// judge compares what turns turns, of which t is the first, were answered.
func (c *conversation) judge(t *replay.Turn, turns uint64, a, b *answer) {
	found, err := differences(c.protocol, c.of.Script, &t.Turn, a, b)
	if err != nil {
		c.unread(t.Class, turns)
		return
	}
	if len(found) > 0 && c.protocol != nil && a.length <= maxWhole && b.length <= maxWhole && (a.blocks != nil || b.blocks != nil) {
		c.count(t.Class, func(n *Class) { n.NotCompared += turns }) // what may be noise in it did not fit into memory
		return
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
		whole = whole || slices.Contains(wholePaths, d.Path)
	}
	if learner := c.collector.options.Learner; learner != nil {
		learner.Turn(c.of.Script.Protocol, t.Class, left)
	}
	switch {
	case len(left) > 0 && c.diverged:
		c.count(t.Class, func(n *Class) { n.Dependent += turns; n.Bytes += a.length })
	case len(left) > 0:
		c.different(t.Index, t.Class, a.length, left)
		c.count(t.Class, func(n *Class) { n.Dependent += turns - 1 })
		// What is noise hides nothing after it.
		c.diverged = c.protocol == nil && a.length != b.length
	case len(found) > 0:
		c.count(t.Class, func(n *Class) {
			n.Masked += turns
			n.Bytes += a.length
			n.MaskedBytes += min(masked, a.length)
			if whole {
				n.WholeMasked += turns
			}
		})
	default:
		c.count(t.Class, func(n *Class) { n.Equal += turns; n.Bytes += a.length })
	}
}

// wholePaths are those of all that an answer says.
var wholePaths = []string{"body", "body:$", "value:$", difference.WholeAnswer}

func (c *conversation) noise(class string, d *difference.Difference) (taken, known bool) {
	if c.collector.options.Noise == nil {
		return false, false
	}
	return c.collector.options.Noise.Takes(c.of.Script.Protocol, class, d)
}

func (c *conversation) different(turn int, class string, length uint64, found []difference.Difference) {
	c.count(class, func(n *Class) { n.Different++; n.Bytes += length })
	c.tell(turn, class, found...)
}

// tell tells differences of the connection, in or after a turn.
func (c *conversation) tell(turn int, class string, found ...difference.Difference) {
	c.collector.tally.found(c.of.Script.Protocol, class, c.example(turn), found, c.found)
}

func (c *conversation) example(turn int) Example {
	return Example{Connection: c.of.Script.ID, Script: c.of.Index, Copy: c.of.Copy, Turn: turn}
}

// unread counts turns that cannot be compared, since the playbook cannot be read.
func (c *conversation) unread(class string, turns uint64) {
	c.collector.ends.unread.Add(turns)
	c.count(class, func(n *Class) { n.NotCompared += turns })
}

func (c *conversation) count(class string, change func(*Class)) {
	c.collector.tally.count(c.of.Script.Protocol, class, func(n *Class) {
		change(n)
		if !c.classes[n.Class] {
			c.classes[n.Class] = true
			n.Connections++
		}
	})
}

// time keeps how long a target took to answer.
func (c *conversation) time(t *replay.Turn) {
	if t.Answered && t.Last > t.Sent && t.Release == replay.Met {
		c.count(t.Class, func(n *Class) { n.times[t.Target].add(t.Last - t.Sent) })
	}
}

// indices is a set of small numbers.
type indices struct {
	bits []uint64
	n    uint64
}

func (s *indices) add(i int) {
	for len(s.bits) <= i/64 {
		s.bits = append(s.bits, 0)
	}
	if !s.has(i) {
		s.bits[i/64] |= 1 << (i % 64)
		s.n++
	}
}

func (s *indices) has(i int) bool { return i/64 < len(s.bits) && s.bits[i/64]>>(i%64)&1 == 1 }
