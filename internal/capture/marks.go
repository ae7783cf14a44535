package capture

import "sort"

// Range is the bytes of a direction's stream from First on, before End.
type Range struct{ First, End uint64 }

// Marks are the bytes of a connection that a Pattern has matched, by Direction, in order.
type Marks [2][]Range

// add adds a range that was found after the others. One that touches the last one extends it. It reports whether there
// is one more than before.
func (m *Marks) add(d Direction, r Range) (another bool) {
	list := m[d]
	if n := len(list); n > 0 && r.First <= list[n-1].End {
		list[n-1].First = min(list[n-1].First, r.First)
		list[n-1].End = max(list[n-1].End, r.End)
		return false
	}
	m[d] = append(list, r)
	return true
}

// from returns the ranges of a direction that end after offset.
func (m *Marks) from(d Direction, offset uint64) []Range {
	if m == nil {
		return nil
	}
	list := m[d]
	return list[sort.Search(len(list), func(i int) bool { return list[i].End > offset }):]
}
