package verdict

import "l4dump/internal/replay"

// joined is a run of turns that are compared as one.
type joined struct {
	first *replay.Turn
	turns uint64
	a, b  []byte
}

// join reports whether the turn was put aside, since where its answer ends is not certain.
func (c *conversation) join(t *replay.Turn, a, b *answer) bool {
	if a.blocks != nil || b.blocks != nil {
		c.flush()
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
	j.a, j.b = append(j.a, a.bytes...), append(j.b, b.bytes...)
	if !t.Uncertain || len(j.a) > maxWhole || len(j.b) > maxWhole {
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
	c.judge(j.first, j.turns,
		&answer{bytes: string(j.a), length: uint64(len(j.a))}, &answer{bytes: string(j.b), length: uint64(len(j.b))})
}
