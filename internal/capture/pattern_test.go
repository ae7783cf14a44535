package capture

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParsePattern(t *testing.T) {
	for _, row := range []struct {
		name, text, err string
	}{
		{"text", "GET /", ""},
		{"text that looks like another kind", "text:re:(", ""},
		{"longest text", strings.Repeat("a", MaxMatchBytes), ""},
		{"exceeds it by 1", strings.Repeat("a", MaxMatchBytes+1), "want 1 to 4096 bytes, got 4097"},
		{"nothing", "", "want 1 to 4096 bytes, got 0"},
		{"no text", "text:", "want 1 to 4096 bytes, got 0"},
		{"hex", "hex:0d 0A", ""},
		{"half a byte", "hex:0d0", "want hex: with an even number of hex digits"},
		{"no digit", "hex:0x", "want hex: with an even number of hex digits"},
		{"expression", `re:^GET /\d+`, ""},
		{"broken expression", "re:(", `want a regular expression after re:, but it has missing closing ): "("`},
		{"empty expression", "re:", "want a regular expression that takes a byte at least: this one matches everywhere"},
		{"expression that may be empty", "re:a*", "want a regular expression that takes a byte at least: this one matches everywhere"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := ParsePattern(row.text)
			if row.err != "" {
				require.EqualError(t, err, row.err)
				return
			}
			require.NoError(t, err)
		})
	}
}

// piece is bytes of a stream at an offset.
type piece struct {
	offset  uint64
	payload string
}

// matches returns the ranges that a pattern matches in a stream, as Marks has them. overlap is 0 for that of the pattern.
func matches(t require.TestingT, pattern string, overlap int, pieces ...piece) []Range {
	p, err := ParsePattern(pattern)
	require.NoError(t, err)
	if overlap == 0 || p.expr == nil {
		overlap = p.overlap()
	}
	var marks Marks
	var text []byte
	m := matcher{pattern: p, overlap: overlap, text: &text, found: func(r Range) bool {
		marks.add(Downstream, r)
		return true
	}}
	for _, piece := range pieces {
		m.add(piece.offset, []byte(piece.payload))
		require.LessOrEqual(t, len(m.window), 2*overlap+1+len(piece.payload))
	}
	m.finish()
	return marks[Downstream]
}

func TestMatcher(t *testing.T) {
	long := strings.Repeat("x", 3*MaxMatchBytes)
	n := uint64(len(long))
	for _, row := range []struct {
		name    string
		pattern string
		pieces  []piece
		want    []Range
	}{
		{"one piece", "bc", []piece{{0, "abcd"}}, []Range{{1, 3}}},
		{"twice", "bc", []piece{{0, "bcabc"}}, []Range{{0, 2}, {3, 5}}},
		{"across a border", "bc", []piece{{0, "ab"}, {2, "cd"}}, []Range{{1, 3}}},
		{"a byte in each piece", "abc", []piece{{0, "a"}, {1, "b"}, {2, "c"}}, []Range{{0, 3}}},
		{"bytes are missing between", "bc", []piece{{0, "ab"}, {3, "cd"}}, nil},
		{"after missing bytes", "bc", []piece{{5, "bc"}}, []Range{{5, 7}}},
		{"hex", "hex:00ff", []piece{{0, "\x00"}, {1, "\xff"}}, []Range{{0, 2}}},
		{"text beyond ASCII", "ä", []piece{{0, "\xc3"}, {1, "\xa4"}}, []Range{{0, 2}}},
		{"after much else", "ab", []piece{{0, long + "a"}, {n + 1, "b"}}, []Range{{n, n + 2}}},
		{"expression", `re:b\d+`, []piece{{0, "ab1"}, {3, "2c"}}, []Range{{1, 4}}},
		{"expression of bytes", `re:\x00[\x80-\xff]+`, []piece{{0, "\xff\x00\x80"}, {3, "\xfe\x7f"}}, []Range{{1, 4}}},
		{"expression with text beyond ASCII", "re:ä+", []piece{{0, "a\xc3\xa4\xe4"}}, []Range{{1, 3}}},
		{"begin of the stream", "re:^x", []piece{{0, long}, {n, "x"}}, []Range{{0, 1}}},
		{"end of the stream", "re:x$", []piece{{0, long}, {n, "x"}}, []Range{{n, n + 1}}},
		{"a line", "re:(?m)^b$", []piece{{0, "a\n"}, {2, "b"}, {3, "\nbb"}}, []Range{{2, 3}}},
		{"a word across a border", `re:\bb\b`, []piece{{0, " b"}, {2, "b b"}, {5, " "}}, []Range{{4, 5}}},
		{"the longest match", "re:<x{1000}x{1000}x{1000}x{1000}x{94}>", []piece{{0, long + "<" + long[:2000]}, {n + 2001, long[:2094]}, {n + 4095, ">"}}, []Range{{n, n + 4096}}},
	} {
		t.Run(row.name, func(t *testing.T) { require.Equal(t, row.want, matches(t, row.pattern, 0, row.pieces...)) })
	}
}

// TestMatcherProperty holds that the borders of events change nothing: with text, in what is marked; with an expression,
// in whether anything is.
func TestMatcherProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n\xff")), 0, 200).Draw(t, "stream")
		pattern := rapid.SampledFrom([]string{
			"ab", "aa", "text:abab", "hex:ff61", "re:a[^a]{0,4}b", "re:(?m)^a.$", "re:^ab", `re:ba\z`, `re:\xff{3,8}a`, `re:\bab\b`,
		}).Draw(t, "pattern")
		var pieces []piece
		for offset := 0; offset < len(stream); {
			n := rapid.IntRange(1, min(20, len(stream)-offset)).Draw(t, "length")
			pieces = append(pieces, piece{uint64(offset), string(stream[offset : offset+n])})
			offset += n
		}
		got := matches(t, pattern, 12, pieces...)

		p, err := ParsePattern(pattern)
		require.NoError(t, err)
		if p.expr != nil {
			require.Equal(t, p.expr.Match(appendCharacters(nil, stream)), len(got) > 0, "%v", got)
			return
		}
		var want Marks
		for i := range stream {
			if bytes.HasPrefix(stream[i:], p.literal) {
				want.add(Downstream, Range{uint64(i), uint64(i + len(p.literal))})
			}
		}
		require.Equal(t, want[Downstream], got)
	})
}
