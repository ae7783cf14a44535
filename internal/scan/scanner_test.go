package scan

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzScanner holds the scanner to encoding/json: both take the same texts, and read the same strings.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,-0.5e+7,true,false,null,"x\u00e9\ud83d\ude00\n"]}`, `"\ud800"`, `01`, `[1,]`, `{"a"}`, "\"\x01\"", "\"\xff\"", ` 1 `, `1.`, `-`,
		`"\u+123"`, `nul`, `"\/\b\f\r\t\"\\"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{text: text}
		value := s.value()
		valid := s.damage == "" && s.peek() == 0 && s.damage == ""
		if s.damage == "it is nested too deep" {
			return
		}
		if strings.Contains(s.damage, "UTF-8") || strings.Contains(s.damage, `\u`) || strings.Contains(s.damage, "zero byte") {
			return // encoding/json replaces what is no text
		}
		require.Equal(t, json.Valid(text), valid, "%q: %s", text, s.damage)
		var content string
		if valid && json.Unmarshal(text, &content) == nil && value[0] == '"' {
			again := scanner{text: value}
			require.Equal(t, content, again.string())
			quoted := scanner{text: AppendQuoted(nil, content)}
			require.Equal(t, content, quoted.string())
		}
	})
}

func TestInteger(t *testing.T) {
	for _, row := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"0", 0, true},
		{"-0", 0, true},
		{"0.000e99999999999999999999", 0, true},
		{"5", 5, true},
		{"5.0", 5, true},
		{"5.10", 0, false},
		{"1.048576e+06", 1048576, true},
		{"1.048576E6", 1048576, true},
		{"1.0485765e6", 0, false},
		{"1048576000e-3", 1048576, true},
		{"1048576001e-3", 0, false},
		{"1e-1", 0, false},
		{"-3e1", -30, true},
		{"9007199254740993", 1<<53 + 1, true},
		{"9007199254740993.0", 1<<53 + 1, true},
		{"9.007199254740993e15", 1<<53 + 1, true},
		{"9223372036854775807", 1<<63 - 1, true},
		{"9.223372036854775807e18", 1<<63 - 1, true},
		{"9223372036854775808", 0, false},
		{"-9223372036854775808", -1 << 63, true},
		{"-9223372036854775809", 0, false},
		{"1e18", 1e18, true},
		{"1e19", 0, false},
		{"1e9223372036854775807", 0, false},
		{"1e-99999999999999999999", 0, false},
		{"1" + strings.Repeat("0", 1000) + "e-1000", 1, true},
		{"0." + strings.Repeat("0", 1000) + "1e1001", 1, true},
	} {
		t.Run(row.text[:min(len(row.text), 40)], func(t *testing.T) {
			got := int64(-7)
			p := NewParser([]byte(row.text))
			err := p.Document(p.Integer(&got, -1<<63, 1<<63-1, ""))
			if !row.ok {
				require.ErrorContains(t, err, "want a whole number from ")
				require.Equal(t, int64(-7), got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, got)
		})
	}
}

// FuzzInteger holds whole numbers to exact arithmetic.
func FuzzInteger(f *testing.F) {
	for _, text := range []string{"0", "-1.50e1", "9223372036854775808e-1", "12e400", "1e-400"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 100 || !json.Valid([]byte(text)) || !strings.ContainsAny(text[:1], "-0123456789") {
			return
		}
		if i := strings.IndexAny(text, "eE"); i >= 0 && len(text)-i > 6 {
			return // more than big.Rat is fast for
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok || strings.ContainsAny(text, " \t\r\n") {
			return
		}
		got, whole := decimalOf(text).whole()
		require.Equal(t, exact.IsInt() && exact.Num().IsInt64(), whole, text)
		if whole {
			require.Equal(t, exact.Num().Int64(), got, text)
		}
	})
}
