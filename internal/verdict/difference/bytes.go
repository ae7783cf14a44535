package difference

import "strings"

// excerpt is how many bytes of a value a Difference has at most.
const excerpt = 256

// context is how many bytes before a difference its excerpt begins.
const context = excerpt / 4

// WholeAnswer is the path of answers whose inside is not known.
const WholeAnswer = "bytes"

// Unasked is the path of what answers nothing.
const Unasked = "unasked"

// Within has the differences of whole answers stand at another place.
func Within(path string, found []Difference) []Difference {
	for i := range found {
		found[i].At = path + strings.TrimPrefix(found[i].At, found[i].Path)
		found[i].Path = path
	}
	return found
}

// Bytes compares two answers whose inside is not known. Nil means that they are equal.
func Bytes(a, b string) []Difference {
	if a == b {
		return nil
	}
	d := texts(a, b)
	d.Path, d.At = WholeAnswer, WholeAnswer
	return []Difference{d}
}

// texts tells where two texts that are not equal differ: in their length alone if one begins with the other.
func texts(a, b string) Difference {
	n := min(len(a), len(b))
	at := 0
	for at < n && a[at] == b[at] {
		at++
	}
	d := Difference{Kind: Value, Offset: at, HasA: true, HasB: true, LengthA: len(a), LengthB: len(b)}
	if at == n {
		d.Kind = Length
	}
	d.From = max(0, at-context)
	d.A, d.B = cut(a[d.From:]), cut(b[d.From:])
	return d
}

func cut(s string) string { return s[:min(len(s), excerpt)] }
