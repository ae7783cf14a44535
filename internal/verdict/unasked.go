package verdict

import (
	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	"l4dump/internal/verdict/difference"
)

// unasked compares what came and answers nothing: with a baseline, in whatever order its messages came. What a protocol
// lets a service send at any time depends on what other connections do, so that it is not compared with the recording:
// what the target sends besides that is more than was recorded.
func (c *conversation) unasked(e *replay.End) {
	if e.How != replay.Finished {
		return
	}
	b := live(&e.Unasked)
	var a answer
	if c.collector.options.Baseline {
		if c.closed[0].How != replay.Finished {
			return
		}
		a = live(&c.closed[0].Unasked)
	} else if b.blocks == nil {
		if b.length > 0 && c.recordedUnasked() {
			return
		}
		b.bytes = withoutPushes(c.protocol, b.bytes)
		b.length = uint64(len(b.bytes))
	}
	if a.same(&b) {
		return
	}
	found := unaskedDifferences(c.protocol, &a, &b)
	if learner := c.collector.options.Learner; learner != nil {
		learner.Turn(c.of.Script.Protocol, c.last, found)
	}
	left := found[:0:0]
	for i := range found {
		if taken, _ := c.noise(c.last, &found[i]); !taken {
			left = append(left, found[i])
		}
	}
	if len(left) > 0 {
		c.tell(int(c.sent.n), c.last, left...)
	}
}

// recordedUnasked reports whether the recorded server sent more than its answers.
func (c *conversation) recordedUnasked() bool {
	answers := uint64(0)
	turns := c.of.Script.Turns()
	for range c.of.Script.Info.Turns {
		t, err := turns.Next()
		if err != nil {
			return true // nobody knows
		}
		answers += t.AnswerBytes()
	}
	return answers < c.of.Script.Bytes[capture.Upstream]
}

func unaskedDifferences(p protocol.Protocol, a, b *answer) []difference.Difference {
	if a.blocks != nil || b.blocks != nil {
		return difference.Within(difference.Unasked, long(a, b))
	}
	x, ok := values(p, a.bytes)
	y, ok2 := values(p, b.bytes)
	if !ok || !ok2 {
		return difference.Within(difference.Unasked, difference.Bytes(a.bytes, b.bytes))
	}
	return difference.Unordered(difference.Unasked, x, y)
}

// values are what messages say that answer nothing; false if that is not known.
func values(p protocol.Protocol, bytes string) (all []protocol.Value, ok bool) {
	ok = cut(p, bytes, func(_ protocol.Kind, message string) bool {
		m, err := p.Fields(capture.Upstream, "", []byte(message))
		if err != nil {
			return false
		}
		v := protocol.Value{Type: protocol.Map}
		for _, f := range m.Fields {
			v.Members = append(v.Members, protocol.Member{Key: f.Part, Value: f.Value})
		}
		all = append(all, v)
		return true
	})
	return all, ok
}

// withoutPushes are the bytes of messages that a service does not send whenever it likes.
func withoutPushes(p protocol.Protocol, bytes string) (rest string) {
	if !cut(p, bytes, func(kind protocol.Kind, message string) bool {
		if kind != protocol.Push {
			rest += message
		}
		return true
	}) {
		return bytes
	}
	return rest
}

// cut cuts bytes into messages without requests. It returns false if that cannot be done, or each returns it.
func cut(p protocol.Protocol, bytes string, each func(kind protocol.Kind, message string) bool) bool {
	if bytes == "" {
		return true
	}
	if p == nil {
		return false
	}
	cutter, ok, whole, from, to := protocol.NewCutter(p.NewFramer()), true, true, 0, 0
	err := cutter.Cut(capture.Upstream, []byte(bytes), true, func(piece protocol.Piece, _ []byte) {
		if piece.First {
			from = to
		}
		to += piece.Size
		if whole = piece.Last; whole {
			ok = ok && each(piece.Kind, bytes[from:to])
		}
	})
	return err == nil && ok && whole && to == len(bytes)
}
