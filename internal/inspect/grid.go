package inspect

import (
	"strings"
	"unicode/utf8"
)

// column is a column of a grid.
type column struct {
	title    string
	right    bool // numbers stand on the right
	flexible bool // it is cut, if the grid is too wide
	sentence bool // it is cut at its end, not in the middle
	optional bool // it is left out, if cutting does not suffice; the last one first
}

// grid is rows of text in columns.
type grid struct {
	columns []column
	rows    [][]string
	styles  []string // of each row
	notes   []string // after each row, or empty
}

const (
	gap         = "  "
	minFlexible = 16
)

func (g *grid) add(style string, cells ...string) {
	g.rows = append(g.rows, cells)
	g.styles = append(g.styles, style)
	g.notes = append(g.notes, "")
}

// note adds a line after the last row.
func (g *grid) note(text string) { g.notes[len(g.notes)-1] = text }

// lines returns the rows with their title, in at most width columns of a terminal if that is possible; 0 means that any
// width is.
func (g *grid) lines(width int) (title string, rows []string) {
	widths := make([]int, len(g.columns))
	shown := make([]bool, len(g.columns))
	for i, c := range g.columns {
		shown[i] = true
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range g.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	total := func() (sum int) {
		for i := range widths {
			if shown[i] {
				sum += widths[i] + len(gap)
			}
		}
		return sum - len(gap)
	}
	if width > 0 {
		g.narrow(width, widths, shown, total)
	}
	titles := make([]string, len(g.columns))
	for i := range g.columns {
		titles[i] = g.columns[i].title
	}
	rows = make([]string, len(g.rows))
	for i, row := range g.rows {
		rows[i] = g.line(row, widths, shown)
	}
	return g.line(titles, widths, shown), rows
}

// narrow makes the grid fit, by the flexible columns first, and then without the optional ones.
func (g *grid) narrow(width int, widths []int, shown []bool, total func() int) {
	shrink := func() {
		for i := range g.columns {
			if excess := total() - width; g.columns[i].flexible && excess > 0 {
				widths[i] = max(widths[i]-excess, min(widths[i], minFlexible))
			}
		}
	}
	wanted := append([]int(nil), widths...)
	shrink()
	for i := len(g.columns) - 1; i >= 0 && total() > width; i-- {
		if g.columns[i].optional {
			shown[i] = false
			copy(widths, wanted)
			shrink()
		}
	}
}

func (g *grid) line(cells []string, widths []int, shown []bool) string {
	var b strings.Builder
	for i, text := range cells {
		if !shown[i] {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(gap)
		}
		text = cut(text, widths[i], g.columns[i].sentence)
		padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
		if g.columns[i].right {
			b.WriteString(padding + text)
		} else {
			b.WriteString(text + padding)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// cut shortens text to width: at its end, or in the middle, as identities and addresses differ at their ends.
func cut(text string, width int, end bool) string {
	runes := []rune(text)
	switch {
	case len(runes) <= width:
		return text
	case width < 3:
		return string(runes[:width])
	case end:
		return string(runes[:width-1]) + "…"
	}
	head := (width - 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(width-1-head):])
}
