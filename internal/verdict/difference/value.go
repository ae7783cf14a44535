package difference

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"l4dump/internal/protocol"
)

// key is the text of a value that is the same for equal values only: whatever has no order is sorted.
func key(v *protocol.Value) string { return string(appendKey(nil, v)) }

func appendKey(to []byte, v *protocol.Value) []byte {
	to = append(to, byte(v.Type))
	to = appendSized(to, v.Text)
	switch v.Type {
	case protocol.Array:
		for i := range v.Items {
			to = appendSized(to, key(&v.Items[i]))
		}
	case protocol.Set:
		for _, k := range keys(v.Items) {
			to = appendSized(to, k)
		}
	case protocol.Map:
		members := slices.Clone(v.Members) // of equal keys the order counts
		slices.SortStableFunc(members, func(a, b protocol.Member) int { return strings.Compare(a.Key, b.Key) })
		for i := range members {
			to = appendSized(to, members[i].Key)
			to = appendSized(to, key(&members[i].Value))
		}
	}
	return to
}

func appendSized(to []byte, s string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

// keys returns the items' keys, sorted.
func keys(items []protocol.Value) []string {
	sorted := make([]string, len(items))
	for i := range items {
		sorted[i] = key(&items[i])
	}
	slices.Sort(sorted)
	return sorted
}

func equal(a, b *protocol.Value) bool {
	if a.Type != b.Type || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Members) != len(b.Members) {
		return false
	}
	return len(a.Items)+len(a.Members) == 0 || key(a) == key(b)
}

func sameItems(a, b []protocol.Value) bool { return slices.Equal(keys(a), keys(b)) }

// unmatched returns the indices of what only one side has, in the order of its key.
func unmatched(a, b []protocol.Value) (onlyA, onlyB []int) {
	left := sortedIndices(a)
	right := sortedIndices(b)
	for len(left) > 0 && len(right) > 0 {
		switch strings.Compare(left[0].key, right[0].key) {
		case 0:
			left, right = left[1:], right[1:]
		case -1:
			onlyA = append(onlyA, left[0].index)
			left = left[1:]
		default:
			onlyB = append(onlyB, right[0].index)
			right = right[1:]
		}
	}
	for _, k := range left {
		onlyA = append(onlyA, k.index)
	}
	for _, k := range right {
		onlyB = append(onlyB, k.index)
	}
	return onlyA, onlyB
}

type indexed struct {
	key   string
	index int
}

func sortedIndices(items []protocol.Value) []indexed {
	sorted := make([]indexed, len(items))
	for i := range items {
		sorted[i] = indexed{key(&items[i]), i}
	}
	slices.SortStableFunc(sorted, func(a, b indexed) int { return strings.Compare(a.key, b.key) })
	return sorted
}

// written is the beginning of a value as a person reads it: JSON, but for a string alone, which stands as it is. length
// is that of the value's text, or how many values are in it.
func written(v *protocol.Value) (begin string, length int) {
	length = max(len(v.Text), len(v.Items), len(v.Members))
	if v.Type == protocol.String || v.Type == protocol.Error {
		return cut(v.Text), length
	}
	var to strings.Builder
	writeText(&to, v)
	return cut(to.String()), length
}

func writeText(to *strings.Builder, v *protocol.Value) {
	if to.Len() > 2*excerpt {
		return
	}
	switch v.Type {
	case protocol.Null:
		to.WriteString("null")
	case protocol.Array, protocol.Set:
		to.WriteByte('[')
		for i := range v.Items {
			if i > 0 {
				to.WriteByte(',')
			}
			writeText(to, &v.Items[i])
		}
		to.WriteByte(']')
	case protocol.Map:
		to.WriteByte('{')
		for i := range v.Members {
			if i > 0 {
				to.WriteByte(',')
			}
			to.WriteString(strconv.Quote(v.Members[i].Key))
			to.WriteByte(':')
			writeText(to, &v.Members[i].Value)
		}
		to.WriteByte('}')
	case protocol.String:
		to.WriteString(strconv.Quote(cut(v.Text)))
	default:
		to.WriteString(v.Text)
	}
}

func count(n int) string { return strconv.Itoa(n) + " values" }

// word is the first word of an error, which tells its kind.
func word(s string) string {
	first, _, _ := strings.Cut(s, " ")
	return first
}
