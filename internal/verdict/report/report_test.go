package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/verdict"
	"l4dump/internal/verdict/difference"
	"l4dump/internal/verdict/noise"
	. "l4dump/internal/verdict/report"
)

var update = flag.Bool("update", false, "write the expected reports")

// changed is a run with a finding of each shape, hostile values among them.
func changed(show bool) *Report {
	ms := time.Millisecond
	set := noise.NewSet(
		noise.Rule{Protocol: "http1", Path: "header:date", Form: "http-date", Reason: "the time of the answer"},
		noise.Rule{Path: "header:nothing", Reason: "never taken"},
	)
	set.Takes("http1", "GET /", &difference.Difference{
		Kind: difference.Value, Path: "header:date", B: "Sun, 06 Nov 1994 08:49:37 GMT", LengthB: 29, HasB: true,
	})
	results := &verdict.Results{
		Connections: 3, Played: 2, Hows: map[string]uint64{"finished": 2, "ended early by the target": 1}, Forced: 1,
		Turns: verdict.Counts{Selected: 12, Equal: 6, Masked: 1, Different: 3, NotReplayed: 2},
		Classes: []verdict.Class{
			{Protocol: "http1", Class: "GET /", Counts: verdict.Counts{Selected: 10, Equal: 6, Masked: 1, Different: 3}, Bytes: 900, MaskedBytes: 29},
			{Protocol: "raw", Counts: verdict.Counts{Selected: 2, NotReplayed: 2}},
		},
		Findings: []verdict.Finding{
			{Protocol: "raw", Kind: difference.EarlyEnd, Connections: 1, Turns: 1, Reruns: 3, Doubtful: true, Examples: []verdict.Example{
				{Connection: capture.ID{VM: 1, Number: 2}, Turn: 4, Difference: difference.Difference{Kind: difference.EarlyEnd}},
			}},
			{Protocol: "http1", Class: "GET /", Kind: difference.Value, Path: "body:$.name", Connections: 2, Turns: 3, Reruns: 3, Seen: 3, Examples: []verdict.Example{
				{Connection: capture.ID{VM: 1, Number: 1}, Turn: 7, Difference: difference.Difference{
					Kind: difference.Value, Path: "body:$.name", At: "body:$.name", HasA: true, HasB: true,
					A: "17", LengthA: 2, B: "</script><b>\x1b[31mred", LengthB: 20,
				}},
			}},
		},
		Latencies: []verdict.Latency{
			{Protocol: "http1", Class: "GET /", N: [2]uint64{400, 400}, P50: [2]time.Duration{2 * ms, 4 * ms}, P90: [2]time.Duration{3 * ms, 6 * ms}, Shift: 2 * ms, Least: 1900 * time.Microsecond},
		},
	}
	compared := &verdict.Compared{Results: results, Noise: set, Alarms: []verdict.Finding{
		{Protocol: "http1", Class: "GET /", Kind: difference.Order, Path: "body", Connections: 1, Turns: 1},
	}}
	judgment, limits := compared.Judge(verdict.DefaultLimits(), nil)
	return New(Input{
		Sources: []string{"dump.log"}, Target: "127.0.0.1:8081", Baseline: "127.0.0.1:8080", Elapsed: 1500 * ms,
		Playbook: &playbook.Playbook{Recorded: 5, Refused: []playbook.Refusal{{Reason: "bytes are missing", Connections: 2}}},
		Compared: compared, Judgment: judgment, Limits: limits, ShowValues: show, Selected: 3,
		Again: func(connection string) string { return "l4dump replay dump.log --conn " + connection },
	})
}

func same() *Report {
	results := &verdict.Results{Connections: 1, Played: 1, Turns: verdict.Counts{Selected: 2, Equal: 2}, Classes: []verdict.Class{
		{Protocol: "raw", Counts: verdict.Counts{Selected: 2, Equal: 2}, Bytes: 10},
	}}
	compared := &verdict.Compared{Results: results}
	judgment, limits := compared.Judge(verdict.DefaultLimits(), nil)
	return New(Input{
		Target: "127.0.0.1:8081", Playbook: &playbook.Playbook{Recorded: 1}, Compared: compared, Judgment: judgment, Limits: limits, Selected: 1,
	})
}

// hashes are drawn anew in each run.
var hashes = regexp.MustCompile(`(#|"hash": "|data-hash=")[0-9a-f]{8}`)

func TestReports(t *testing.T) {
	for _, row := range []struct {
		name   string
		report *Report
		write  func(*Report, *bytes.Buffer) error
	}{
		{"changed.txt", changed(false), func(r *Report, to *bytes.Buffer) error { return r.Text(to, false) }},
		{"changed-color.txt", changed(true), func(r *Report, to *bytes.Buffer) error { return r.Text(to, true) }},
		{"changed.json", changed(false), func(r *Report, to *bytes.Buffer) error { return r.JSON(to) }},
		{"changed.xml", changed(false), func(r *Report, to *bytes.Buffer) error { return r.JUnit(to) }},
		{"changed.html", changed(true), func(r *Report, to *bytes.Buffer) error { return r.HTML(to) }},
		{"same.txt", same(), func(r *Report, to *bytes.Buffer) error { return r.Text(to, false) }},
		{"same.json", same(), func(r *Report, to *bytes.Buffer) error { return r.JSON(to) }},
		{"same.xml", same(), func(r *Report, to *bytes.Buffer) error { return r.JUnit(to) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got bytes.Buffer
			require.NoError(t, row.write(row.report, &got))
			text := hashes.ReplaceAll(got.Bytes(), []byte("${1}00000000"))
			path := filepath.Join("testdata", row.name)
			if *update {
				require.NoError(t, os.WriteFile(path, text, 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), string(text))
		})
	}
}

// TestNoValue has no value in a report that may not show them, in whatever form.
func TestNoValue(t *testing.T) {
	for _, show := range []bool{false, true} {
		r := changed(show)
		var text, object, cases, page bytes.Buffer
		require.NoError(t, r.Text(&text, false))
		require.NoError(t, r.JSON(&object))
		require.NoError(t, r.JUnit(&cases))
		require.NoError(t, r.HTML(&page))
		for _, written := range []*bytes.Buffer{&text, &object, &cases, &page} {
			require.Equal(t, show, bytes.Contains(written.Bytes(), []byte("31mred")))
			require.NotContains(t, written.String(), "\x1b")
		}
	}
}

// TestSameHash has equal values look equal within a run.
func TestSameHash(t *testing.T) {
	r := changed(false)
	example := r.Findings[1].Examples[0]
	require.NotEqual(t, example.Expected.Hash, example.Came.Hash)
	require.NotEqual(t, example.Expected.Hash, changed(false).Findings[1].Examples[0].Expected.Hash, "each run has its own")
}

// TestExample has what tells two values apart: their types, or from where on they differ.
func TestExample(t *testing.T) {
	for _, row := range []struct {
		name string
		of   difference.Difference
		want string
	}{
		{
			"a number and its text",
			difference.Difference{Kind: difference.Type, Path: "body:$.a", At: "body:$.a", A: "17.5", LengthA: 4, HasA: true, TypeA: "number", B: "17.5", LengthB: 4, HasB: true, TypeB: "string"},
			"turn 0, body:$.a: expected number, 4 bytes #HASH, came string, 4 bytes #HASH\n",
		},
		{
			"a byte of many",
			difference.Difference{Kind: difference.Value, Path: "body", At: "body", A: "b", LengthA: 1000, HasA: true, B: "c", LengthB: 1000, HasB: true, From: 700, Offset: 700},
			"turn 0, body, from byte 700 on: expected text, 1000 bytes #HASH, came text, 1000 bytes #HASH\n",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			results := &verdict.Results{Findings: []verdict.Finding{{
				Protocol: "http1", Class: "GET /", Kind: row.of.Kind, Path: row.of.Path, Turns: 1, Connections: 1,
				Examples: []verdict.Example{{Difference: row.of}},
			}}}
			compared := &verdict.Compared{Results: results}
			judgment, limits := compared.Judge(verdict.DefaultLimits(), nil)
			r := New(Input{Playbook: &playbook.Playbook{}, Compared: compared, Judgment: judgment, Limits: limits})
			var text bytes.Buffer
			require.NoError(t, r.Text(&text, false))
			require.Contains(t, hashes.ReplaceAllString(text.String(), "${1}HASH"), row.want)
		})
	}
}

// TestPage has hostile values, which must stay text, and wants a page that loads nothing.
func TestPage(t *testing.T) {
	var page bytes.Buffer
	require.NoError(t, changed(true).HTML(&page))
	require.NotContains(t, page.String(), "<b>")
	require.NotContains(t, page.String(), "<script")
	require.NotContains(t, page.String(), "http://")
	require.NotContains(t, page.String(), "https://")
	require.NotContains(t, page.String(), "ZgotmplZ", "nothing was taken for unsafe")
}

func TestForms(t *testing.T) {
	var object bytes.Buffer
	require.NoError(t, changed(true).JSON(&object))
	require.True(t, json.Valid(object.Bytes()))
	require.NotContains(t, object.String(), "null,\n    \"outcome")
	var cases bytes.Buffer
	require.NoError(t, changed(true).JUnit(&cases))
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
	}
	require.NoError(t, xml.Unmarshal(cases.Bytes(), &suites))
	require.Equal(t, 3, suites.Tests)
	require.Equal(t, 2, suites.Failures, "what may be chance is none")
	require.Zero(t, suites.Errors)
}
