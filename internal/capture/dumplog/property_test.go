package dumplog

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/record"
)

// wrappers are what may stand around a line, in any order.
var wrappers = []func(line string) string{
	func(l string) string { return envoyPrefix + l },
	istio,
	istioJSON2,
	func(l string) string { return criLine("stderr", "F", l) },
	func(l string) string { return dockerLine("stderr", l+"\n") },
	func(l string) string { return dockerLine("stderr", l) },
	func(l string) string {
		return `{"kubernetes":{"pod":"a/b"},"n":[1,{"message":` + strconv.Quote(l) + `}]}`
	},
	func(l string) string { return `{"message":"` + jsonEscape(l, `=<>&'`) + `"}` },
	func(l string) string { return `{"message":"` + jsonEscape(l, `[]/:`) + `","x":""}` },
	func(l string) string { return "level=info msg=" + strconv.Quote(l) },
	func(l string) string { return `"` + strings.ReplaceAll(l, `"`, `""`) + `",1` },
	func(l string) string { return "Nov 23 01:23:51 host envoy[1]: " + strings.ReplaceAll(l, "\t", "#011") },
	func(l string) string { return "\x1b[35m\x1b[K0.log\x1b[m\x1b[K:" + l },
	func(l string) string { return strings.ReplaceAll(l, "L4D1", "\x1b[01;31m\x1b[KL4D1\x1b[m\x1b[K") },
	func(l string) string { return l + "\r" },
}

// colored is the wrapper that puts colors into a record.
const colored = 13

func istioJSON2(l string) string {
	return `{"level":"info","msg":` + strconv.Quote("wasm log: "+l) + `,"thread":"1"}`
}

// jsonEscape quotes text as JSON does, and escapes more than it needs to.
func jsonEscape(text, more string) string {
	quoted := strconv.Quote(text)
	return escapeAll(quoted[1:len(quoted)-1], more, func(c rune) string { return fmt.Sprintf(`\u%04x`, c) })
}

// TestShortPart cuts an escape twice: a whole part lies within it.
func TestShortPart(t *testing.T) {
	record := conversation(connA)[0]
	line := wrappers[7](record)
	escape := strings.Index(line, `\u003d`)
	for first := escape; first < escape+len(`\u003d`); first++ {
		for second := first; second < escape+len(`\u003d`); second++ {
			var parts []string
			for i, piece := range cut(line, first, second) {
				parts = append(parts, criLine("stdout", tag(i == 2), piece), criLine("stderr", "F", "abc"))
			}
			got := scan(t, logOf(parts), 1000)
			require.Empty(t, got.faults, "cut at %d and %d", first, second)
			require.Equal(t, []string{record}, got.records)
		}
	}
}

// TestPartOfTwo cuts a line in an escape, which may be a record's beginning, and in the record: its middle part continues
// what ended in the escape, and begins after an escape that it ends itself.
func TestPartOfTwo(t *testing.T) {
	for _, row := range []struct {
		name          string
		nesting       []int // of wrappers
		record        int
		first, second int // cuts
	}{
		{"in a close record", []int{4, 6, 4, 9}, 5, 109, 189},
		{"after the mark", []int{6, 4, 6, 6}, 10, 195, 296},
		{"of a record with escapes", []int{7, 4, 10, 8}, 7, 51, 138},
	} {
		t.Run(row.name, func(t *testing.T) {
			record := append(conversation(connA), conversation(connB)...)[row.record]
			line := record
			for _, w := range row.nesting {
				line = wrappers[w](line)
			}
			var parts []string
			for i, piece := range cut(line, row.first, row.second) {
				parts = append(parts, criLine("stdout", tag(i == 2), piece), criLine("stderr", "F", "abc"))
			}
			got := scan(t, logOf(parts), 1000)
			require.Empty(t, got.faults)
			require.Equal(t, []string{record}, got.records)
		})
	}
}

// TestWrapped wraps a dump at random, and finds exactly its records.
func TestWrapped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := append(conversation(connA), conversation(connB)...)
		nesting := rapid.SliceOfN(rapid.IntRange(0, len(wrappers)-1), 0, 4).Draw(t, "nesting")
		log := make([]string, len(lines))
		for i, line := range lines {
			for _, w := range nesting {
				line = wrappers[w](line)
			}
			log[i] = line
		}
		var input string
		most := 4
		if slices.Contains(nesting, colored) {
			most = 2 // grep colors what a person looks at: no runtime cuts its escapes
		}
		switch rapid.IntRange(0, most).Draw(t, "lines") {
		case 0:
			input = logOf(log)
		case 1:
			input = strings.Join(log, ",")
		case 2:
			input = unicode16(logOf(log), rapid.Bool().Draw(t, "big"), rapid.Bool().Draw(t, "mark"))
		case 3: // a runtime cuts the lines
			var parts []string
			for _, line := range log {
				cuts := []int{rapid.IntRange(0, len(line)).Draw(t, "first cut")}
				// No part is so short that it lies within one escape.
				cuts = append(cuts, rapid.IntRange(min(cuts[0]+maxBrokenEscape, len(line)), len(line)).Draw(t, "second cut"))
				pieces := cut(line, cuts...)
				for i, piece := range pieces {
					parts = append(parts, criLine("stdout", tag(i == len(pieces)-1), piece), criLine("stderr", "F", "abc"))
				}
			}
			input = logOf(parts)
		case 4: // and that of a collector
			var parts []string
			for _, line := range log {
				for _, piece := range cut(line, rapid.IntRange(0, len(line)).Draw(t, "cut")) {
					parts = append(parts, dockerLine("stdout", piece))
				}
			}
			input = logOf(parts)
		}
		got := scan(t, input, rapid.IntRange(1, 2000).Filter(func(n int) bool { return n > 50 || len(input) < 20_000 }).Draw(t, "block"))
		require.Empty(t, got.faults)
		require.Equal(t, lines, got.records)
	})
}

// FuzzScan holds that what is found does not depend on how the input is cut into blocks, and that each record that is
// found stands in the input.
func FuzzScan(f *testing.F) {
	for _, row := range shapes {
		if input := row.shape(conversation(connA)); len(input) < 1<<20 {
			f.Add([]byte(input), uint16(100), uint16(3))
		}
	}
	layotto := string(record.AppendLayotto(nil, window, 8080, []byte("hello")))
	f.Add([]byte(dockerLine("stderr", layotto[:45])+"\n"+dockerLine("stderr", layotto[45:])), uint16(50), uint16(0))
	f.Add([]byte(criLine("stderr", "P", layotto[:45])+"\n"+criLine("stderr", "F", layotto[45:])), uint16(50), uint16(0))
	f.Fuzz(func(t *testing.T, input []byte, block, pad uint16) {
		whole := scan(t, string(input), len(input)+1)
		require.Equal(t, whole, scan(t, string(input), 1+int(block)))
		// Padded, the input stands across the end of a window.
		padded := string(append(bytes.Repeat([]byte("x"), windowBytes-int(pad)), input...))
		whole = scan(t, padded, len(padded)+1)
		require.Equal(t, whole, scan(t, padded, 1000+int(block)))
	})
}
