package difference

import (
	"l4dump/internal/protocol"
)

// MaxDifferences bounds what is told of one message.
const MaxDifferences = 100

// Messages compares two messages of a protocol. Nil means that they say the same. At most MaxDifferences are told.
func Messages(a, b *protocol.Message) []Difference {
	var c comparison
	switch {
	case !a.Failed && b.Failed:
		c.add(Difference{Kind: NewError, A: a.Class, B: b.Class, HasA: true, HasB: true})
	case a.Failed && !b.Failed:
		c.add(Difference{Kind: NoError, A: a.Class, B: b.Class, HasA: true, HasB: true})
	}
	others := make(map[string]*protocol.Value, len(b.Fields))
	for i := range b.Fields {
		others[b.Fields[i].Part] = &b.Fields[i].Value
	}
	for i := range a.Fields {
		f := &a.Fields[i]
		at := part(f.Part)
		if other, ok := others[f.Part]; ok {
			c.values(at, &f.Value, other)
			delete(others, f.Part)
		} else {
			c.removed(at, &f.Value)
		}
	}
	for i := range b.Fields {
		if _, ok := others[b.Fields[i].Part]; ok {
			c.added(part(b.Fields[i].Part), &b.Fields[i].Value)
		}
	}
	return c.found
}

// Unordered compares values that came in no order. Nil means that they are the same.
func Unordered(path string, a, b []protocol.Value) []Difference {
	var c comparison
	c.sets(part(path), a, b)
	return c.found
}

// comparison collects differences.
type comparison struct{ found []Difference }

func (c *comparison) add(d Difference) {
	if len(c.found) < MaxDifferences {
		c.found = append(c.found, d)
	}
}

func (c *comparison) removed(at place, v *protocol.Value) {
	d := at.difference(Removed)
	d.HasA = true
	d.A, d.LengthA = written(v)
	c.add(d)
}

func (c *comparison) added(at place, v *protocol.Value) {
	d := at.difference(Added)
	d.HasB = true
	d.B, d.LengthB = written(v)
	c.add(d)
}

func (c *comparison) both(kind Kind, at place, a, b *protocol.Value) {
	d := at.difference(kind)
	d.HasA, d.HasB = true, true
	d.A, d.LengthA = written(a)
	d.B, d.LengthB = written(b)
	if kind == Type {
		d.TypeA, d.TypeB = a.Type.String(), b.Type.String()
	}
	c.add(d)
}

// values compares two values at one place.
func (c *comparison) values(at place, a, b *protocol.Value) {
	switch {
	case a.Type != b.Type:
		c.both(Type, at, a, b)
	case a.Type == protocol.Array:
		c.lists(at, a.Items, b.Items)
	case a.Type == protocol.Set:
		c.sets(at, a.Items, b.Items)
	case a.Type == protocol.Map:
		c.maps(at, a.Members, b.Members)
	case a.Text == b.Text:
	default:
		d := texts(a.Text, b.Text)
		if a.Type == protocol.Error && word(a.Text) == word(b.Text) {
			d.Kind = ErrorText
		}
		if a.Type == protocol.Number || a.Type == protocol.Bool {
			d.Kind = Value // of 1 and 10 neither is a part of the other
		}
		at.set(&d)
		c.add(d)
	}
}

// lists compares what has an order. What both begin with and what both end with is the same; between these, items are
// compared one by one, and of more items on one side it is told how many there are.
func (c *comparison) lists(at place, a, b []protocol.Value) {
	head := 0
	for head < min(len(a), len(b)) && equal(&a[head], &b[head]) {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && equal(&a[len(a)-1-tail], &b[len(b)-1-tail]) {
		tail++
	}
	restA, restB := a[head:len(a)-tail], b[head:len(b)-tail]
	if len(restA) == 0 && len(restB) == 0 {
		return
	}
	if len(a) == len(b) && sameItems(restA, restB) {
		item := at.item(head)
		c.both(Order, place{at.path, item.at, item.exact}, &restA[0], &restB[0])
		return
	}
	for i := range min(len(restA), len(restB)) {
		c.values(at.item(head+i), &restA[i], &restB[i])
	}
	if len(a) != len(b) {
		d := at.difference(Length)
		d.A, d.B, d.HasA, d.HasB, d.LengthA, d.LengthB = count(len(a)), count(len(b)), true, true, len(a), len(b)
		c.add(d)
	}
}

// sets compares what has no order: what only one side has is compared in the order of its text.
func (c *comparison) sets(at place, a, b []protocol.Value) {
	restA, restB := unmatched(a, b)
	n := min(len(restA), len(restB))
	for i := range n {
		c.values(at.item(restA[i]), &a[restA[i]], &b[restB[i]])
	}
	for _, i := range restA[n:] {
		c.removed(at.item(i), &a[i])
	}
	for _, i := range restB[n:] {
		c.added(at.item(i), &b[i])
	}
}

// maps compares by key. A key that stands more than once has as many values, in order.
func (c *comparison) maps(at place, a, b []protocol.Member) {
	others := map[string][]*protocol.Value{}
	for i := range b {
		others[b[i].Key] = append(others[b[i].Key], &b[i].Value)
	}
	taken := map[string]int{}
	for i := range a {
		key := a[i].Key
		if of := others[key]; taken[key] < len(of) {
			c.values(at.member(key), &a[i].Value, of[taken[key]])
		} else {
			c.removed(at.member(key), &a[i].Value)
		}
		taken[key]++
	}
	seen := map[string]int{}
	for i := range b {
		key := b[i].Key
		if seen[key]++; seen[key] > taken[key] {
			c.added(at.member(key), &b[i].Value)
		}
	}
}
