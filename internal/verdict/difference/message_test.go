package difference

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/internal/protocol"
)

func str(s string) protocol.Value    { return protocol.Value{Type: protocol.String, Text: s} }
func num(s string) protocol.Value    { return protocol.Value{Type: protocol.Number, Text: s} }
func failed(s string) protocol.Value { return protocol.Value{Type: protocol.Error, Text: s} }

func list(items ...protocol.Value) protocol.Value {
	return protocol.Value{Type: protocol.Array, Items: items}
}

func set(items ...protocol.Value) protocol.Value {
	return protocol.Value{Type: protocol.Set, Items: items}
}

func object(members ...any) protocol.Value {
	v := protocol.Value{Type: protocol.Map}
	for i := 0; i < len(members); i += 2 {
		v.Members = append(v.Members, protocol.Member{Key: members[i].(string), Value: members[i+1].(protocol.Value)})
	}
	return v
}

// fields takes parts and their values in turn.
func fields(parts ...any) (f []protocol.Field) {
	for i := 0; i < len(parts); i += 2 {
		f = append(f, protocol.Field{Part: parts[i].(string), Value: parts[i+1].(protocol.Value)})
	}
	return f
}

func TestMessages(t *testing.T) {
	body := func(v protocol.Value) protocol.Message {
		return protocol.Message{Fields: []protocol.Field{{Part: "body", Value: v}}}
	}
	both := func(d Difference) Difference { d.HasA, d.HasB = true, true; return d }
	onlyA := func(d Difference) Difference { d.HasA = true; return d }
	onlyB := func(d Difference) Difference { d.HasB = true; return d }
	for _, row := range []struct {
		name string
		a, b protocol.Message
		want []Difference
	}{
		{"equal", body(object("a", num("1"))), body(object("a", num("1"))), nil},
		{"fields in another order", body(object("a", num("1"), "b", num("2"))), body(object("b", num("2"), "a", num("1"))), nil},
		{
			"parts in another order",
			protocol.Message{Fields: fields("a", num("1"), "b", num("2"))},
			protocol.Message{Fields: fields("b", num("2"), "a", num("1"))},
			nil,
		},
		{"a set in another order", body(set(num("1"), num("2"), num("1"))), body(set(num("2"), num("1"), num("1"))), nil},
		{"sets of sets in another order", body(list(set(set(num("1")), set(num("2"))))), body(list(set(set(num("2")), set(num("1"))))), nil},

		{
			"an error for success",
			protocol.Message{Class: "200"},
			protocol.Message{Class: "404", Failed: true},
			[]Difference{both(Difference{Kind: NewError, A: "200", B: "404"})},
		},
		{
			"success for an error",
			protocol.Message{Class: "404", Failed: true},
			protocol.Message{Class: "200"},
			[]Difference{both(Difference{Kind: NoError, A: "404", B: "200"})},
		},
		{
			"a header is gone",
			protocol.Message{Fields: fields("header:etag", str("x"))},
			protocol.Message{},
			[]Difference{onlyA(Difference{Kind: Removed, Path: "header:etag", At: "header:etag", A: "x"})},
		},
		{
			"a header is new",
			protocol.Message{},
			protocol.Message{Fields: fields("header:etag", str("x"))},
			[]Difference{onlyB(Difference{Kind: Added, Path: "header:etag", At: "header:etag", B: "x"})},
		},

		{
			"a number", body(object("a", num("1.0"))), body(object("a", num("1.00"))),
			[]Difference{both(Difference{Kind: Value, Path: "body:$.a", At: "body:$.a", A: "1.0", B: "1.00", Offset: 3})},
		},
		{
			"another type", body(object("a", num("1"))), body(object("a", str("1"))),
			[]Difference{both(Difference{Kind: Type, Path: "body:$.a", At: "body:$.a", A: "1", B: "1", TypeA: "number", TypeB: "string"})},
		},
		{"a field is gone and one is new", body(object("a", num("1"))), body(object("b", list(str("x"), num("2")))), []Difference{
			onlyA(Difference{Kind: Removed, Path: "body:$.a", At: "body:$.a", A: "1"}),
			onlyB(Difference{Kind: Added, Path: "body:$.b", At: "body:$.b", B: `["x",2]`}),
		}},
		{
			"a key that stands twice", body(object("a", num("1"), "a", num("2"))), body(object("a", num("1"))),
			[]Difference{onlyA(Difference{Kind: Removed, Path: "body:$.a", At: "body:$.a", A: "2"})},
		},
		{
			"a key that now stands twice", body(object("a", num("1"))), body(object("a", num("1"), "a", num("2"))),
			[]Difference{onlyB(Difference{Kind: Added, Path: "body:$.a", At: "body:$.a", B: "2"})},
		},
		{
			"a key with spaces", body(object("a b", num("1"))), body(object("a b", num("2"))),
			[]Difference{both(Difference{Kind: Value, Path: "body:$.{}", At: "body:$.{}", Exact: `body:$["a b"]`, A: "1", B: "2"})},
		},
		{
			"an empty key", body(object("", num("1"))), body(object("", num("2"))),
			[]Difference{both(Difference{Kind: Value, Path: "body:$.{}", At: "body:$.{}", Exact: `body:$[""]`, A: "1", B: "2"})},
		},

		{
			"an item", body(list(object("n", num("1")), object("n", num("2")))), body(list(object("n", num("1")), object("n", num("3")))),
			[]Difference{both(Difference{Kind: Value, Path: "body:$[*].n", At: "body:$[1].n", A: "2", B: "3"})},
		},
		{
			"an item in front", body(list(num("1"), num("2"))), body(list(num("0"), num("1"), num("2"))),
			[]Difference{both(Difference{Kind: Length, Path: "body", At: "body", A: "2 values", B: "3 values"})},
		},
		{
			"an item in the middle is gone and another differs", body(list(num("1"), num("2"), num("3"), num("4"))), body(list(num("1"), num("5"), num("4"))),
			[]Difference{
				both(Difference{Kind: Value, Path: "body:$[*]", At: "body:$[1]", A: "2", B: "5"}),
				both(Difference{Kind: Length, Path: "body", At: "body", A: "4 values", B: "3 values"}),
			},
		},
		{
			"another order", body(list(num("1"), num("2"), num("3"))), body(list(num("1"), num("3"), num("2"))),
			[]Difference{both(Difference{Kind: Order, Path: "body", At: "body:$[1]", A: "2", B: "3"})},
		},
		{
			"a member of a set", body(set(num("1"), num("2"))), body(set(num("2"), num("3"))),
			[]Difference{both(Difference{Kind: Value, Path: "body:$[*]", At: "body:$[0]", A: "1", B: "3"})},
		},
		{
			"members of a set", body(set(num("1"), num("2"))), body(set(num("2"))),
			[]Difference{onlyA(Difference{Kind: Removed, Path: "body:$[*]", At: "body:$[0]", A: "1"})},
		},
		{
			"new members of a set", body(set(num("2"))), body(set(num("2"), num("2"))),
			[]Difference{onlyB(Difference{Kind: Added, Path: "body:$[*]", At: "body:$[1]", B: "2"})},
		},

		{
			"text", body(str("hello")), body(str("help!")),
			[]Difference{both(Difference{Kind: Value, Path: "body", At: "body", A: "hello", B: "help!", Offset: 3})},
		},
		{
			"more text", body(str("hello")), body(str("hello!")),
			[]Difference{both(Difference{Kind: Length, Path: "body", At: "body", A: "hello", B: "hello!", Offset: 5})},
		},
		{
			"other words of an error", body(failed("ERR no such key")), body(failed("ERR no key")),
			[]Difference{both(Difference{Kind: ErrorText, Path: "body", At: "body", A: "ERR no such key", B: "ERR no key", Offset: 7})},
		},
		{
			"another error", body(failed("ERR no")), body(failed("MOVED no")),
			[]Difference{both(Difference{Kind: Value, Path: "body", At: "body", A: "ERR no", B: "MOVED no"})},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Messages(&row.a, &row.b)
			for i := range got { // TestLengths
				got[i].LengthA, got[i].LengthB = 0, 0
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestLengths(t *testing.T) {
	long, longer := strings.Repeat("x", 1000), strings.Repeat("x", 2000)
	for _, row := range []struct {
		name string
		a, b protocol.Value
		want [2]int
	}{
		{"of texts", str(long), str(longer), [2]int{1000, 2000}},
		{"of texts of other types", str(long), num("17"), [2]int{1000, 2}},
		{"of values", list(num("1")), list(num("1"), num("2"), num("3")), [2]int{1, 3}},
		{"of values of other types", list(num("1"), num("1")), object("a", num("1")), [2]int{2, 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Messages(&protocol.Message{Fields: fields("v", row.a)}, &protocol.Message{Fields: fields("v", row.b)})
			require.Len(t, got, 1)
			require.Equal(t, row.want, [2]int{got[0].LengthA, got[0].LengthB})
			require.LessOrEqual(t, len(got[0].A), excerpt)
			require.LessOrEqual(t, len(got[0].B), excerpt)
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	for _, n := range []int{MaxDifferences, MaxDifferences + 1} {
		var a, b protocol.Value
		a.Type, b.Type = protocol.Array, protocol.Array
		for range n {
			a.Items = append(a.Items, num("1"))
			b.Items = append(b.Items, num("2"))
		}
		require.Len(t, Messages(&protocol.Message{Fields: fields("v", a)}, &protocol.Message{Fields: fields("v", b)}), MaxDifferences)
	}
}

func TestBytes(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, row := range []struct {
		name string
		a, b string
		want []Difference
	}{
		{"equal", "abc", "abc", nil},
		{"nothing and nothing", "", "", nil},
		{"a byte", "abc", "abd", []Difference{{Kind: Value, A: "abc", B: "abd", Offset: 2}}},
		{"shorter", "abc", "ab", []Difference{{Kind: Length, A: "abc", B: "ab", Offset: 2}}},
		{"nothing", "abc", "", []Difference{{Kind: Length, A: "abc"}}},
		{"another length and another value", "abc", "aXcd", []Difference{{Kind: Value, A: "abc", B: "aXcd", Offset: 1}}},
		{"far", long + "a" + long, long + "b", []Difference{{
			Kind: Value, Offset: 1000, From: 936,
			A: strings.Repeat("x", 64) + "a" + strings.Repeat("x", 191), B: strings.Repeat("x", 64) + "b",
		}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for i := range row.want {
				row.want[i].Path, row.want[i].At, row.want[i].HasA, row.want[i].HasB = "bytes", "bytes", true, true
				row.want[i].LengthA, row.want[i].LengthB = len(row.a), len(row.b)
			}
			require.Equal(t, row.want, Bytes(row.a, row.b))
		})
	}
}

// TestAnyValues holds Messages to a plain definition of equality: no order in sets and maps, and nothing else.
func TestAnyValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := value(t, 3)
		b := shuffled(t, a)
		ma := protocol.Message{Fields: fields("v", a)}
		require.Empty(t, Messages(&ma, &protocol.Message{Fields: fields("v", b)}), "the same in another order")

		c := value(t, 3)
		found := Messages(&ma, &protocol.Message{Fields: fields("v", c)})
		require.Equal(t, key(&a) == key(&c), len(found) == 0, "%v and %v", a, c)
	})
}

func value(t *rapid.T, depth int) protocol.Value {
	types := []protocol.Type{protocol.Null, protocol.Bool, protocol.Number, protocol.String}
	if depth > 0 {
		types = append(types, protocol.Array, protocol.Set, protocol.Map)
	}
	v := protocol.Value{Type: rapid.SampledFrom(types).Draw(t, "type")}
	n := rapid.IntRange(0, 3).Draw(t, "length")
	switch v.Type {
	case protocol.Bool, protocol.Number, protocol.String:
		v.Text = rapid.SampledFrom([]string{"0", "1", "10"}).Draw(t, "text")
	case protocol.Array, protocol.Set:
		for range n {
			v.Items = append(v.Items, value(t, depth-1))
		}
	case protocol.Map:
		for i := range n {
			v.Members = append(v.Members, protocol.Member{Key: string(rune('a' + i)), Value: value(t, depth-1)})
		}
	}
	return v
}

func shuffled(t *rapid.T, v protocol.Value) protocol.Value {
	v.Items = slices.Clone(v.Items)
	for i := range v.Items {
		v.Items[i] = shuffled(t, v.Items[i])
	}
	if v.Type == protocol.Set {
		v.Items = rapid.Permutation(v.Items).Draw(t, "order")
	}
	v.Members = slices.Clone(v.Members)
	for i := range v.Members {
		v.Members[i].Value = shuffled(t, v.Members[i].Value)
	}
	v.Members = rapid.Permutation(v.Members).Draw(t, "order")
	return v
}
