package envoyapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScalars(t *testing.T) {
	number := func(text string) any { return json.Number(text) }
	for _, row := range []struct {
		text              string
		envoy, kubernetes any
	}{
		{"~", nil, nil},
		{"''", "", ""},
		{"text", "text", "text"},
		{"on", true, true},
		{"OFF", false, false},
		{"oN", "oN", "oN"},
		{"'on'", "on", "on"},
		{"5", number("5"), number("5")},
		{"'5'", "5", "5"},
		{"!!str 5", number("5"), "5"},
		{"-2147483648", number("-2147483648"), number("-2147483648")},
		{"-2147483649", "-2147483649", number("-2147483649")},
		{"2147483648", "2147483648", number("2147483648")},
		{"18446744073709551616", "18446744073709551616", number("18446744073709551616")},
		{"5.0", "5.0", number("5.0")},
		{"1.048576e+06", "1.048576e+06", number("1.048576e+06")},
		{".5", ".5", number("0.5")},
		{"1e999", "1e999", number("1e999")},
		{".inf", ".inf", ".inf"},
		{"0x1F", number("31"), number("31")},
		{"0xb", number("11"), number("11")},
		{"017", number("15"), number("15")},
		{"08", "08", number("8")},
		{"0b11", "0b11", number("3")},
		{"1_000", "1_000", number("1000")},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1"},
		{"2026-01-02", "2026-01-02", "2026-01-02"},
		{"-", nil, nil}, // a list with nothing in it
	} {
		t.Run(row.text, func(t *testing.T) {
			documents, err := Documents([]byte("a: " + row.text))
			if row.text == "-" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Len(t, documents, 1)
			envoy, err := documents[0].Envoy()
			require.NoError(t, err)
			require.Equal(t, map[string]any{"a": row.envoy}, envoy.Value)
			kubernetes, err := documents[0].Kubernetes()
			require.NoError(t, err)
			require.Equal(t, map[string]any{"a": row.kubernetes}, kubernetes.Value)
		})
	}
}

func TestDocuments(t *testing.T) {
	for _, row := range []struct {
		name, text string
		envoy      []any
		wantErr    string
	}{
		{"none", "", nil, ""},
		{"a comment only", "# nothing\n", nil, ""},
		{"empty ones", "---\n---\na: 1\n---\n", []any{nil, map[string]any{"a": json.Number("1")}, nil}, ""},
		{"JSON in a row", `{"a":1.50} {"b":"\ud83d\ude00"}`, []any{map[string]any{"a": json.Number("1.50")}, map[string]any{"b": "😀"}}, ""},
		{"flow that is no JSON", "{a: b}", []any{map[string]any{"a": "b"}}, ""},
		{"a byte order mark", "\ufeff{\"a\":null}", []any{map[string]any{"a": nil}}, ""},
		{"an error after a document", "a: b\n---\nc: [\n", []any{map[string]any{"a": "b"}}, "yaml: line 3: did not find expected node content"},
	} {
		t.Run(row.name, func(t *testing.T) {
			documents, err := Documents([]byte(row.text))
			if row.wantErr != "" {
				require.EqualError(t, err, row.wantErr)
			} else {
				require.NoError(t, err)
			}
			var got []any
			for _, d := range documents {
				content, err := d.Envoy()
				require.NoError(t, err)
				got = append(got, content.Value)
			}
			require.Equal(t, row.envoy, got)
		})
	}
}

// An alias that contains itself, or that doubles many times, ends with an error instead of the memory.
func TestAliasesAreBounded(t *testing.T) {
	doubling := "a0: &a0 [x, x, x, x]\n"
	for i := range 20 {
		n, before := string(rune('b'+i)), string(rune('a'+i))
		if i == 0 {
			before = "a0"
		}
		doubling += n + ": &" + n + " [*" + before + ", *" + before + ", *" + before + ", *" + before + "]\n"
	}
	for _, text := range []string{doubling, "a: &a [*a]\n", strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)} {
		documents, err := Documents([]byte(text))
		if len(documents) == 0 {
			require.Error(t, err)
			continue
		}
		if documents[0].node == nil {
			continue // JSON has no aliases
		}
		_, err = documents[0].Envoy()
		require.ErrorContains(t, err, "want values nested at most 200 deep, and aliases of at most 100000 values")
	}
}

func TestMergeKeys(t *testing.T) {
	const text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {b: 5, <<: [*x, *y]}\n"
	documents, err := Documents([]byte(text))
	require.NoError(t, err)
	content, err := documents[0].Kubernetes()
	require.NoError(t, err)
	require.Equal(t, map[string]any{"a": json.Number("1"), "b": json.Number("5"), "c": json.Number("4")}, content.Value.(map[string]any)["z"])
	content, err = documents[0].Envoy()
	require.NoError(t, err)
	require.Contains(t, content.Value.(map[string]any)["z"], "<<")
}
