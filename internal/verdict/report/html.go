package report

import (
	_ "embed"
	"html/template"
	"io"
	"math"
	"strconv"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"count": count, "share": share, "scale": scale,
}).Parse(pageText))

// HTML writes the report as one page that needs nothing else: it loads nothing and has no script.
func (r *Report) HTML(to io.Writer) error { return page.Execute(to, r) }

// Part is a part of the bar of turns.
type Part struct {
	Name  string
	Turns uint64
}

// Parts are the numbers of turns, for the page.
func (r *Report) Parts() []Part {
	t := r.Turns
	return []Part{
		{"equal", t.Equal},
		{"masked", t.Masked},
		{"different", t.Different},
		{"dependent", t.Dependent},
		{"not compared", t.NotCompared},
		{"not replayed", t.NotReplayed},
	}
}

// Title is what a finding is about, for the page.
func (f *Finding) Title() string {
	if f.Class == "" {
		return f.Protocol
	}
	return f.Class
}

// What names the difference, for the page.
func (f *Finding) What() string { return f.what() }

// share is a part of a whole in percent, for a style.
func share(part, whole uint64) string {
	if whole == 0 {
		return "0"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 3, 64)
}

// scale is where a time stands on the axis of a class's times, in percent: from 0 to the slower target's slowest
// quantile.
func scale(l Latency, at float64) float64 {
	most := 0.0
	for i := range l.P50 {
		most = max(most, l.P50[i], l.P90[i], l.P99[i])
	}
	if most == 0 {
		return 0
	}
	return math.Round(1000*at/most) / 10
}
