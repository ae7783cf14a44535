package protocol_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/internal/protocol"
)

func TestPathParse(t *testing.T) {
	key := func(k string) protocol.Step { return protocol.Step{IsKey: true, Key: k} }
	for _, row := range []struct {
		name string
		path protocol.Path
		part string
		want []protocol.Step
		err  string
	}{
		{"a part", "status", "status", nil, ""},
		{"a part with a name", "header:x-request-id", "header:x-request-id", nil, ""},
		{"a name in quotes", `query:'a.b[\'\\'[0]`, `query:'a.b[\'\\'`, []protocol.Step{{}}, ""},
		{"an item", "header:set-cookie[12]", "header:set-cookie", []protocol.Step{{Index: 12}}, ""},
		{"keys and items", "body:$.items[3].id", "body:$", []protocol.Step{key("items"), {Index: 3}, key("id")}, ""},
		{"any", "body:$.items[*].*", "body:$", []protocol.Step{key("items"), {Any: true}, {IsKey: true, Any: true}}, ""},
		{"odd keys", `body:$['a.b']['\'\\']['']['*']`, "body:$", []protocol.Step{key("a.b"), key(`'\`), key(""), key("*")}, ""},
		{"nothing", "", "", nil, `parse path "": want a part, as status, header:date or body:$`},
		{"no part", ".a", "", nil, `parse path ".a": want a part, as status, header:date or body:$`},
		{"a name that does not end", "query:'a", "", nil, `parse path "query:'a": want a ' at the end of the name`},
		{"text after a name", "query:'a'b", "", nil, `parse path "query:'a'b": want . or [ before the next step`},
		{"no key", "body:$.", "", nil, `parse path "body:$.": want a key after the dot`},
		{"two dots", "body:$..a", "", nil, `parse path "body:$..a": want a key after the dot`},
		{"an odd key", "body:$.a b", "", nil, `parse path "body:$.a b": key "a b": want ['a b']`},
		{"an empty index", "body:$[]", "", nil, `parse path "body:$[]": want [*] or a number from 0 on in brackets, not "[]"`},
		{"a negative index", "body:$[-1]", "", nil, `parse path "body:$[-1]": want [*] or a number from 0 on in brackets, not "[-1]"`},
		{"an index with a zero", "body:$[01]", "", nil, `parse path "body:$[01]": want [*] or a number from 0 on in brackets, not "[01]"`},
		{"a bracket that does not end", "body:$[1", "", nil, `parse path "body:$[1": want [*] or a number from 0 on in brackets, not "[1"`},
		{"quotes that do not end", "body:$['a", "", nil, `parse path "body:$['a": want '] at the end of a key`},
		{"a key without a bracket", "body:$['a'b", "", nil, `parse path "body:$['a'b": want '] at the end of a key`},
	} {
		t.Run(row.name, func(t *testing.T) {
			part, steps, err := row.path.Parse()
			if row.err != "" {
				require.EqualError(t, err, row.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.part, part)
			require.Equal(t, row.want, steps)
		})
	}
}

// TestPathAnyKey has every key and name come back from a path.
func TestPathAnyKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name, key, index := rapid.String().Draw(t, "name"), rapid.String().Draw(t, "key"), rapid.IntRange(0, 1000).Draw(t, "index")
		want := protocol.Part("query", name)
		part, steps, err := protocol.Path(want).AppendKey(key).AppendIndex(index).AppendKey(key).Parse()
		require.NoError(t, err)
		require.Equal(t, want, part)
		require.Equal(t, []protocol.Step{{IsKey: true, Key: key}, {Index: index}, {IsKey: true, Key: key}}, steps)
	})
}

func TestPathGeneral(t *testing.T) {
	require.Equal(t, protocol.Path("body:$.items[*]['a.b'][*]"), protocol.Path("body:$.items[3]['a.b'][0]").General())
	require.Equal(t, protocol.Path("header:date"), protocol.Path("header:date").General())
	require.Equal(t, protocol.Path("body:$.*[*]"), protocol.Path("body:$.*[*]").General())
}

func TestRule(t *testing.T) {
	for _, row := range []struct {
		name, rule string
		path       protocol.Path
		want       bool
	}{
		{"the same", "header:date", "header:date", true},
		{"another part", "header:date", "header:age", false},
		{"what is inside", "header:date", "header:date[1]", true},
		{"what is outside", "body:$.a.b", "body:$.a", false},
		{"any item", "body:$.items[*].id", "body:$.items[7].id", true},
		{"one item", "body:$.items[7].id", "body:$.items[7].id", true},
		{"another item", "body:$.items[7].id", "body:$.items[8].id", false},
		{"another key", "body:$.items[*].id", "body:$.items[7].price", false},
		{"any key", "body:$.*.id", "body:$.a.id", true},
		{"any key is no item", "body:$.*", "body:$[0]", false},
		{"any item is no key", "body:$[*]", "body:$.a", false},
		{"a path that is none", "body:$", "body:$[", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			rule, err := protocol.ParseRule(row.rule)
			require.NoError(t, err)
			require.Equal(t, row.want, rule.Covers(row.path))
		})
	}
	_, err := protocol.ParseRule("body:$.")
	require.Error(t, err)
}
