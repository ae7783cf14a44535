package inspect

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Text is how WriteText writes.
type Text struct {
	Width int  // columns of the terminal; 0: lines may be of any length
	Color bool // for a terminal
	Top   int  // rows of each table
}

// The styles are ECMA-48's "select graphic rendition".
const (
	styleNone   = ""
	styleTitle  = "\x1b[1m"  // bold
	styleGood   = "\x1b[32m" // green
	styleSome   = "\x1b[33m" // yellow
	styleBad    = "\x1b[31m" // red
	styleFaint  = "\x1b[2m"
	styleSeries = "\x1b[36m" // cyan
	styleEnd    = "\x1b[0m"
)

var stateStyles = map[string]string{"whole": styleGood, "open": styleNone, "prefix": styleSome, "broken": styleBad}

// WriteText writes a report as tables for a person. What came from the network is printable ASCII in it.
func (r *Report) WriteText(w io.Writer, options Text) error {
	t := &text{Text: options, report: r}
	t.overview()
	t.completeness()
	t.sample()
	t.drops()
	t.groups("protocol", r.Protocols, false)
	t.groups("port", r.Ports, false)
	t.groups("client", r.Peers, true)
	t.groups("server name", r.Names, true)
	t.rankings("largest", r.Largest)
	t.rankings("longest", r.Longest)
	t.faults()
	_, err := io.WriteString(w, t.b.String())
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

type text struct {
	Text
	report *Report
	b      strings.Builder
}

func (t *text) line(style, line string) {
	if t.Color && style != styleNone && line != "" {
		line = style + line + styleEnd
	}
	t.b.WriteString(line + "\n")
}

// grid writes a table after an empty line.
func (t *text) grid(g *grid) {
	title, rows := g.lines(t.Width)
	t.line(styleNone, "")
	t.line(styleTitle, title)
	for i, row := range rows {
		t.line(g.styles[i], row)
		if g.notes[i] != "" {
			t.wrapped(styleFaint, g.notes[i])
		}
	}
}

func (t *text) overview() {
	r := t.report
	line := fmt.Sprintf("%s of %s: %s downstream, %s upstream",
		count(r.Records, "record"), count(r.Connections, "connection"), size(r.Bytes.Downstream), size(r.Bytes.Upstream))
	t.wrapped(styleTitle, line)
	if r.Layotto > 0 {
		t.wrapped(styleNone, count(r.Layotto, "line")+" in Layotto's format, which name no connection")
	}
	if r.First == "" {
		return
	}
	first, last := parseTime(r.First), parseTime(r.Last)
	t.line(styleNone, fmt.Sprintf("%s to %s UTC, %s", shortTime(first, time.Time{}), shortTime(last, first), duration(int64(last.Sub(first)))))
	if r.Series == nil || len(r.Series.Steps) < 2 {
		return
	}
	values := make([]uint64, len(r.Series.Steps))
	for i, step := range r.Series.Steps {
		values[i] = step.Downstream + step.Upstream
	}
	width := t.Width
	if width == 0 {
		width = 80
	}
	t.line(styleSeries, sparkline(values, width))
}

func (t *text) completeness() {
	g := &grid{columns: []column{{title: "completeness", flexible: true, sentence: true}, {title: "connections", right: true}, {title: "", right: true}, {title: "bytes", right: true}}}
	for i := range t.report.States {
		state := &t.report.States[i]
		if state.Connections == 0 {
			continue
		}
		share := percent(Share{state.Connections, t.report.Connections})
		g.add(stateStyles[state.State], stateTexts[state.State], fmt.Sprint(state.Connections), share, size(state.Bytes.total()))
		for j := range state.Causes {
			c := &state.Causes[j]
			g.add(styleFaint, "  "+causeText(c), fmt.Sprint(c.Connections), "", "")
		}
	}
	if len(g.rows) > 0 {
		t.grid(g)
	}
	for _, note := range []struct {
		count uint64
		text  string
	}{
		{t.report.Ledgerless, "without a ledger: what was not recorded of them is not known"},
		{t.report.Inexact.TLS, "of TLS that was not decrypted"},
		{t.report.Inexact.Repeats, "before an HTTP connection manager: of pipelined requests, bytes stand more than once"},
		{t.report.Inexact.Masked, "with masked bytes"},
	} {
		if note.count > 0 {
			t.wrapped(styleNone, count(note.count, "connection")+" "+note.text)
		}
	}
}

// sample says what share of the traffic the recording covers.
func (t *text) sample() {
	lines := t.report.Sample.sentences()
	if len(lines) == 0 {
		return
	}
	t.line(styleNone, "")
	t.line(styleTitle, "the sample covers")
	for _, line := range lines {
		t.wrapped(styleNone, line)
	}
}

// sentences says what the sample covers.
func (s *Sample) sentences() (lines []string) {
	if s.Bytes != nil {
		lines = append(lines, fmt.Sprintf("%s of the bytes that passed on these connections: %s of %s",
			percent(*s.Bytes), size(s.Bytes.Part), size(s.Bytes.Whole)))
	}
	if s.Connections != nil {
		lines = append(lines, fmt.Sprintf("%s of the connections that the recorders numbered: %d of %d; those between windows, "+
			"not selected or not admitted have no number", percent(*s.Connections), s.Connections.Part, s.Connections.Whole))
	}
	for i, each := range s.Intervals {
		if i == maxIntervals {
			return append(lines, fmt.Sprintf("and %d more intervals", len(s.Intervals)-i))
		}
		within := Share{uint64(math.Ceil(each.WithinSeconds * 1000)), uint64(each.Seconds) * 1000}
		lines = append(lines, fmt.Sprintf("%s of the time or more: the first %s of each %d s, in %d of %d windows",
			percent(within), duration(int64(each.WithinSeconds*1e9)), each.Seconds, each.Windows.Part, each.Windows.Whole))
	}
	return lines
}

// maxIntervals bounds the lines about windows; one strategy has one interval.
const maxIntervals = 4

// wrapped writes a sentence in as many lines as it takes, with its indent.
func (t *text) wrapped(style, sentence string) {
	indent := sentence[:len(sentence)-len(strings.TrimLeft(sentence, " "))]
	line := ""
	for word := range strings.FieldsSeq(sentence) {
		switch {
		case line == "":
			line = indent + word
		case t.Width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > t.Width:
			t.line(style, line)
			line = indent + "  " + word
		default:
			line += " " + word
		}
	}
	t.line(style, line)
}

func (t *text) drops() {
	if len(t.report.Drops) == 0 {
		return
	}
	g := &grid{columns: []column{
		{title: "dropped by the recorder"},
		{title: "connections", right: true},
		{title: "downstream", right: true},
		{title: "upstream", right: true},
	}}
	for _, drop := range t.report.Drops[:min(len(t.report.Drops), t.Top)] {
		g.add(styleNone, plain(drop.Reason), fmt.Sprint(drop.Connections), size(drop.Bytes.Downstream), size(drop.Bytes.Upstream))
		if drop.Key != "" {
			g.note("  limit: " + drop.Key)
		}
	}
	t.grid(g)
	t.more(len(t.report.Drops))
}

// groups writes a grouping; one of a single group that says nothing is left out if it is optional.
func (t *text) groups(title string, groups []Group, optional bool) {
	if len(groups) == 0 || optional && len(groups) == 1 && groups[0].Name == unknown {
		return
	}
	g := &grid{columns: []column{
		{title: title, flexible: true},
		{title: "connections", right: true},
		{title: "whole", right: true},
		{title: "downstream", right: true},
		{title: "upstream", right: true},
	}}
	shown := groups
	if len(shown) > t.Top {
		shown = shown[:t.Top]
	}
	for _, group := range shown {
		g.add(styleNone, plain(group.Name), fmt.Sprint(group.Connections), fmt.Sprint(group.Whole),
			size(group.Bytes.Downstream), size(group.Bytes.Upstream))
	}
	t.grid(g)
	t.more(len(groups))
}

// more says how many rows of a table are not shown.
func (t *text) more(rows int) {
	if rows > t.Top {
		t.line(styleFaint, fmt.Sprintf("and %d more", rows-t.Top))
	}
}

func (t *text) rankings(title string, rows []Connection) {
	if len(rows) < 2 && title != "largest" || len(rows) == 0 {
		return
	}
	g := &grid{columns: []column{
		{title: title},
		{title: "protocol", flexible: true},
		{title: "client", flexible: true, optional: true},
		{title: "port", right: true, optional: true},
		{title: "bytes", right: true},
		{title: "lasted", right: true},
		{title: "completeness", optional: true},
	}}
	for i := range rows {
		c := &rows[i]
		client := c.Peer
		if client == "" {
			client = c.Source
		}
		protocol := c.title
		if c.Name != "" {
			protocol += " " + c.Name
		}
		g.add(styleNone, c.ID, plain(protocol), plain(client), fmt.Sprint(c.Port), size(c.Bytes.total()), duration(c.nanos),
			stateTexts[c.State])
	}
	t.grid(g)
}

func (t *text) faults() {
	if len(t.report.Faults) == 0 {
		return
	}
	g := &grid{columns: []column{{title: "faults"}, {title: "", right: true}, {title: "the first", flexible: true, sentence: true}}}
	for _, fault := range t.report.Faults[:min(len(t.report.Faults), t.Top)] {
		g.add(styleNone, faultText(fault.Kind), fmt.Sprint(fault.Count), plain(fault.First))
	}
	t.grid(g)
	t.more(len(t.report.Faults))
	t.line(styleFaint, "l4dump decode prints each one")
}

func parseTime(text string) time.Time {
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err) // timeText wrote it
	}
	return parsed
}

// shortTime returns a time without its date if that of before is the same.
func shortTime(t, before time.Time) string {
	if t.Format(time.DateOnly) == before.Format(time.DateOnly) {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}
