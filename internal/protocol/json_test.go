package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/protocol"
)

func TestParseJSON(t *testing.T) {
	number := func(n string) protocol.Value { return protocol.Value{Type: protocol.Number, Text: n} }
	for _, row := range []struct {
		name, text string
		want       protocol.Value
		err        string
	}{
		{"a number as written", " 1.10 ", number("1.10"), ""},
		{"a number that no float holds", "12345678901234567890.1e400", number("12345678901234567890.1e400"), ""},
		{"minus zero", "-0", number("-0"), ""},
		{"null", "null", protocol.Value{Type: protocol.Null}, ""},
		{"true", "true", protocol.Value{Type: protocol.Bool, Text: "true"}, ""},
		{"a string with escapes", `"\u0061\n"`, protocol.Value{Type: protocol.String, Text: "a\n"}, ""},
		{"an empty array", "[]", protocol.Value{Type: protocol.Array}, ""},
		{"an empty object", "{}", protocol.Value{Type: protocol.Map}, ""},
		{
			"a key twice", `{"a":1,"a":[2]}`,
			protocol.Value{Type: protocol.Map, Members: []protocol.Member{
				{Key: "a", Value: number("1")}, {Key: "a", Value: protocol.Value{Type: protocol.Array, Items: []protocol.Value{number("2")}}},
			}},
			"",
		},
		{"nothing", "", protocol.Value{}, "parse JSON: EOF"},
		{"two values", "1 2", protocol.Value{}, "parse JSON: want the end after the value"},
		{"cut", `{"a":`, protocol.Value{}, "parse JSON: jsontext: unexpected EOF"},
		{"too deep", strings.Repeat("[", 513), protocol.Value{}, "parse JSON: more than 512 values are within each other"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := protocol.ParseJSON([]byte(row.text))
			if row.err != "" {
				require.ErrorContains(t, err, row.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, got)
		})
	}
	_, err := protocol.ParseJSON([]byte(strings.Repeat("[", 512) + strings.Repeat("]", 512)))
	require.NoError(t, err)
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,null,"\ud800"],"a":{}}`))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = protocol.ParseJSON(b) })
}
