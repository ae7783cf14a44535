package protocol_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/protocol"
)

// TestSort has two messages that say the same in another order become equal, and two that do not stay apart.
func TestSort(t *testing.T) {
	number := func(n string) protocol.Value { return protocol.Value{Type: protocol.Number, Text: n} }
	list := func(kind protocol.Type, items ...protocol.Value) protocol.Value {
		return protocol.Value{Type: kind, Items: items}
	}
	object := func(members ...protocol.Member) protocol.Value {
		return protocol.Value{Type: protocol.Map, Members: members}
	}
	a, b := protocol.Member{Key: "a", Value: number("1")}, protocol.Member{Key: "b", Value: number("2")}
	for _, row := range []struct {
		name        string
		first, then protocol.Value
		want        bool
	}{
		{"a set", list(protocol.Set, number("1"), number("2")), list(protocol.Set, number("2"), number("1")), true},
		{"a set with one more", list(protocol.Set, number("1"), number("1")), list(protocol.Set, number("1")), false},
		{"an array", list(protocol.Array, number("1"), number("2")), list(protocol.Array, number("2"), number("1")), false},
		{"a map", object(a, b), object(b, a), true},
		{"a map with another value", object(a, b), object(a, protocol.Member{Key: "b", Value: number("3")}), false},
		{"sets of maps", list(protocol.Set, object(a, b), object(a)), list(protocol.Set, object(a), object(b, a)), true},
		{"maps of sets", object(protocol.Member{Key: "a", Value: list(protocol.Set, number("1"), number("2"))}), object(protocol.Member{Key: "a", Value: list(protocol.Set, number("2"), number("1"))}), true},
		{"arrays of sets", list(protocol.Array, list(protocol.Set, number("1"), number("2"))), list(protocol.Array, list(protocol.Set, number("2"), number("1"))), true},
		{"another type", number("1"), protocol.Value{Type: protocol.String, Text: "1"}, false},
		{"a key twice", object(a, protocol.Member{Key: "a", Value: number("2")}), object(protocol.Member{Key: "a", Value: number("2")}, a), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			first := protocol.Message{Fields: []protocol.Field{{Part: "a", Value: row.first}, {Part: "b"}}}
			then := protocol.Message{Fields: []protocol.Field{{Part: "b"}, {Part: "a", Value: row.then}}}
			first.Sort()
			then.Sort()
			if row.want {
				require.Equal(t, first, then)
			} else {
				require.NotEqual(t, first, then)
			}
		})
	}
}

func TestWalk(t *testing.T) {
	text := protocol.Value{Type: protocol.String, Text: "x"}
	m := protocol.Message{Fields: []protocol.Field{
		{Part: "status", Value: text},
		{Part: "body:$", Value: protocol.Value{Type: protocol.Map, Members: []protocol.Member{
			{Key: "items", Value: protocol.Value{Type: protocol.Array, Items: []protocol.Value{text, {Type: protocol.Set}}}},
			{Key: "a.b", Value: text},
		}}},
	}}
	var got []protocol.Path
	m.Walk(func(path protocol.Path, v *protocol.Value) {
		got = append(got, path+" "+protocol.Path(v.Type.String()))
	})
	require.Equal(t, []protocol.Path{"status string", "body:$.items[0] string", "body:$.items[1] set", "body:$['a.b'] string"}, got)
}
