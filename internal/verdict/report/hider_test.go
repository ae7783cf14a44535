package report_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/replay"
	"l4dump/internal/verdict"
	"l4dump/internal/verdict/difference"
	"l4dump/internal/verdict/noise"
	. "l4dump/internal/verdict/report"
)

// hostile acts on a terminal in three ways, turns text around, and is no UTF-8 and no XML.
const hostile = "\x1b[31m\u009b1m\x00\u202e\xff<b>&\"'"

// reportOf is the report of one finding.
func reportOf(show bool, class string, d difference.Difference) *Report {
	d.HasA, d.HasB = true, true
	set := noise.NewSet(noise.Rule{Class: class, Path: hostile, Reason: hostile})
	compared := &verdict.Compared{Noise: set, Results: &verdict.Results{
		Connections: 1, Played: 1, Turns: verdict.Counts{Selected: 1, Different: 1},
		Classes: []verdict.Class{{Protocol: "my", Class: class, Counts: verdict.Counts{Selected: 1, Different: 1}}},
		Findings: []verdict.Finding{{
			Protocol: "my", Class: class, Kind: d.Kind, Path: d.Path, Turns: 1, Connections: 1,
			Examples: []verdict.Example{{Connection: capture.ID{VM: 1, Number: 1}, Difference: d}},
		}},
		Latencies: []verdict.Latency{{Protocol: "my", Class: class, Shift: 1, Least: 1}},
	}}
	judgment, limits := compared.Judge(verdict.DefaultLimits(), []string{hostile})
	return New(Input{
		Sources: []string{hostile}, Target: hostile, Baseline: hostile, Playbook: &playbook.Playbook{Recorded: 1}, Compared: compared,
		Judgment: judgment, Limits: limits, Selected: 1, ShowValues: show, Again: func(string) string { return hostile },
		Run: &replay.Report{Fallbacks: []replay.Reason{{Count: 1, Example: `resp: no value begins with "se\"cret", or "secret"`}}},
	})
}

// written is a report in each form.
func written(t *testing.T, r *Report) map[string]string {
	t.Helper()
	all := map[string]string{}
	for form, write := range map[string]func(io.Writer) error{
		"text": func(to io.Writer) error { return r.Text(to, false) }, "json": r.JSON, "junit": r.JUnit, "html": r.HTML,
	} {
		var to bytes.Buffer
		require.NoError(t, write(&to))
		all[form] = to.String()
	}
	return all
}

// TestHostile has nothing reach a terminal, a page or a build server that it would act on, values shown or not.
func TestHostile(t *testing.T) {
	for _, show := range []bool{false, true} {
		d := difference.Difference{Path: "body:" + hostile, At: hostile, Exact: hostile, A: hostile, B: hostile + "x", LengthA: len(hostile), LengthB: len(hostile) + 1}
		for form, text := range written(t, reportOf(show, "GET "+hostile, d)) {
			if form != "json" || !show { // JSON has values as they are, in escapes
				for _, r := range text {
					require.True(t, unicode.IsPrint(r) || r == '\n', "%s has %U", form, r)
				}
			}
			require.False(t, form == "html" && strings.Contains(text, "<b>&\""), "it stays text")
			if form == "junit" {
				require.NoError(t, xml.Unmarshal([]byte(text), new(struct{})))
				require.NotContains(t, text, "\uFFFD", "nothing was replaced")
			}
		}
	}
}

// TestKeysAreValues has a key that may be one only if values are shown, as what a reason quotes.
func TestKeysAreValues(t *testing.T) {
	d := difference.Difference{Path: "body:$.{}", At: "body:$.{}", Exact: "body:$.alice1234", A: "1", B: "2", LengthA: 1, LengthB: 1}
	for _, show := range []bool{false, true} {
		for form, text := range written(t, reportOf(show, "GET /", d)) {
			require.Equal(t, show, strings.Contains(text, "alice1234"), form)
			require.Equal(t, show && form == "json", strings.Contains(text, "cret"), form)
		}
	}
}

// TestEnding tells who ended a connection, also if values are hidden.
func TestEnding(t *testing.T) {
	r := reportOf(false, "GET /", difference.Difference{Kind: difference.Ending, A: "upstream", B: "open", LengthA: 8, LengthB: 4})
	require.Contains(t, written(t, r)["text"], `: expected "upstream", came "open"`+"\n")
}

// TestAround has a line that shows what differs, however long the value is, and bytes as such.
func TestAround(t *testing.T) {
	letters := strings.Repeat("abcdefghij", 10)
	for _, row := range []struct {
		name string
		d    difference.Difference
		want string
	}{
		{"short", difference.Difference{A: "abc", B: "abd", Offset: 2}, `expected "abc", came "abd"` + "\n         again"},
		{
			"at the beginning",
			difference.Difference{A: letters, B: letters, Offset: 3},
			`expected "` + letters[:60] + `"…, came`,
		},
		{
			"in the middle",
			difference.Difference{A: letters, B: letters, Offset: 30},
			`expected …"` + letters[10:70] + `"…, came`,
		},
		{
			"at the end",
			difference.Difference{A: letters, B: letters, Offset: 99},
			`expected …"` + letters[40:] + `", came`,
		},
		{
			"at the end of a part",
			difference.Difference{A: letters, B: letters[:64], Offset: 1064, From: 1000},
			`came …"` + letters[4:64] + `"`,
		},
		{
			"bytes",
			difference.Difference{A: "\x01\x02\x03", B: "abc", Offset: 11, From: 10},
			"expected from byte 10: 01 | 02 03\n           came     from byte 10: 61 | 62 63\n",
		},
		{
			"bytes on both sides",
			difference.Difference{A: strings.Repeat("\x01", 40), B: "", Offset: 20, LengthB: 0},
			"expected from byte 4: " + strings.Repeat("01 ", 16) + "|" + strings.Repeat(" 01", 16) + "\n           came     from byte 0:  | \n",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.d.Path, row.d.LengthA, row.d.LengthB = "bytes", len(row.d.A), len(row.d.B)
			require.Contains(t, written(t, reportOf(true, "GET /", row.d))["text"], row.want)
		})
	}
}

// TestManyFindings tells a person of 50, and programs of all.
func TestManyFindings(t *testing.T) {
	for n, want := range map[int]string{50: "", 51: "\n… and 1 other difference; --json and --html tell all\n", 52: "\n… and 2 other differences;"} {
		r := reportOf(false, "GET /", difference.Difference{})
		r.Findings = nil
		for i := range n {
			r.Findings = append(r.Findings, Finding{Protocol: "my", Path: fmt.Sprintf("path%d,", i)})
		}
		text := written(t, r)["text"]
		require.Contains(t, text, want)
		require.Equal(t, want != "", strings.Contains(text, "… and"))
		require.Contains(t, text, "path49,")
		require.NotContains(t, text, "path50,")
	}
}
