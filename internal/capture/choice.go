package capture

import (
	"cmp"
	"container/heap"
)

// Choice is a Sink that chooses connections, so that a second reading takes these only. Its memory grows with the
// connections that are chosen, or open, and not with what they carry.
type Choice struct {
	// Pattern must match in one of a connection's directions; nil: anything does.
	Pattern *Pattern
	// Marks says that Chosen returns where it matches.
	Marks bool
	// Last chooses the connections that began last, Largest those with the most bytes; 0: all. At most one is set.
	Last, Largest int

	chosen map[ID]*Marks
	best   candidates
	marks  int // ranges in all
	begun  uint64
	text   []byte // scratch of the matchers
}

// maxMarks bounds the ranges that a Choice keeps; matches after them have none.
const maxMarks = 1 << 20

// Chosen returns the connections when the reading has ended, with the ranges that were matched.
func (c *Choice) Chosen() map[ID]*Marks {
	if c.chosen == nil {
		c.chosen = map[ID]*Marks{}
	}
	for _, b := range c.best {
		c.chosen[b.id] = b.marks
	}
	return c.chosen
}

// Begin implements Sink.
func (c *Choice) Begin(info *Connection) Consumer {
	c.begun++
	chooser := &chooser{choice: c, candidate: candidate{id: info.ID, began: c.begun}, time: info.Time, marks: &Marks{}}
	if c.Pattern != nil {
		for d := range chooser.matchers {
			chooser.matchers[d] = matcher{
				pattern: c.Pattern, overlap: c.Pattern.overlap(), text: &c.text,
				found: func(r Range) bool { return chooser.found(Direction(d), r) },
			}
		}
	}
	return chooser
}

// Flush implements Sink.
func (c *Choice) Flush() error { return nil }

// chooser is the Consumer of one connection.
type chooser struct {
	choice *Choice
	candidate
	time     int64
	marks    *Marks
	matched  bool
	matchers [2]matcher
}

func (c *chooser) found(d Direction, r Range) (more bool) {
	c.matched = true
	if c.choice.Marks && c.choice.marks < maxMarks && c.marks.add(d, r) {
		c.choice.marks++
	}
	return c.choice.Marks && c.choice.marks < maxMarks
}

// Event implements Consumer.
func (c *chooser) Event(e *Event, _ Place) error {
	if e.Kind == KindData && c.choice.Pattern != nil && (!c.matched || c.choice.Marks) {
		c.matchers[e.Direction].add(e.Offset, e.Payload)
	}
	return nil
}

// Fault implements Consumer.
func (*chooser) Fault(*Fault) {}

// End implements Consumer.
func (c *chooser) End(v *Verdict) error {
	choice := c.choice
	if choice.Pattern != nil {
		for d := range c.matchers {
			c.matchers[d].finish()
		}
		if !c.matched {
			return nil
		}
	}
	b := c.candidate
	b.marks = c.marks
	most := choice.Last
	switch {
	case choice.Largest > 0:
		most, b.value = choice.Largest, v.Received[Downstream]+v.Received[Upstream]
	case choice.Last > 0:
		b.value = uint64(c.time) ^ 1<<63 // in the order of signed numbers
	default:
		if choice.chosen == nil {
			choice.chosen = map[ID]*Marks{}
		}
		choice.chosen[b.id] = b.marks
		return nil
	}
	heap.Push(&choice.best, b)
	if len(choice.best) > most {
		gone := heap.Pop(&choice.best).(candidate)
		choice.marks -= len(gone.marks[Downstream]) + len(gone.marks[Upstream])
	}
	return nil
}

// candidate is a connection that may be chosen.
type candidate struct {
	id    ID
	value uint64 // the more, the better
	began uint64 // of two with the same value the later one is better
	marks *Marks
}

// candidates are a container/heap with the worst one first.
type candidates []candidate

func (c candidates) Len() int { return len(c) }

func (c candidates) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(c[i].value, c[j].value), cmp.Compare(c[i].began, c[j].began)) < 0
}

func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)   { *c = append(*c, x.(candidate)) }

func (c *candidates) Pop() any {
	n := len(*c) - 1
	last := (*c)[n]
	*c = (*c)[:n]
	return last
}
