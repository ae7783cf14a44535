// Package report turns the runs of a measurement into a table: medians, and medians of ratios to a control.
package report

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Metric is one figure of a run.
type Metric struct {
	Name     string // with its unit
	Decimals int
	Ratio    bool // show how it relates to the control's
	Only     bool // show just that
}

// Table holds the runs of some subjects. The first row is the control. The runs of one round are compared with each
// other only: what disturbs the machine for longer than a round disturbs both sides of a ratio.
type Table struct {
	title   string
	metrics []Metric
	rows    []row
}

type row struct {
	name string
	runs [][]float64 // one for each round, with a value for each metric
}

// New returns a table without runs. The first of names is the control.
func New(title string, metrics []Metric, names ...string) *Table {
	t := &Table{title: title, metrics: metrics}
	for _, name := range names {
		t.rows = append(t.rows, row{name: name})
	}
	return t
}

// Add adds the run of a round to the row called name, with a value for each metric.
func (t *Table) Add(name string, values ...float64) error {
	if len(values) != len(t.metrics) {
		return fmt.Errorf("add a run of %q: want %d values, got %d", name, len(t.metrics), len(values))
	}
	for i := range t.rows {
		if t.rows[i].name == name {
			t.rows[i].runs = append(t.rows[i].runs, values)
			return nil
		}
	}
	return fmt.Errorf("add a run: no row %q", name)
}

// Column is a metric that another table shows under another name.
type Column struct{ Metric, Name string }

// Ratios returns a table of how rows relate to the control, in the metrics of columns. It has the runs so far.
func (t *Table) Ratios(title string, columns []Column, rows ...string) (*Table, error) {
	var metrics []Metric
	var places []int
	for _, c := range columns {
		place := slices.IndexFunc(t.metrics, func(m Metric) bool { return m.Name == c.Metric })
		if place < 0 {
			return nil, fmt.Errorf("take ratios: no metric %q", c.Metric)
		}
		places = append(places, place)
		metrics = append(metrics, Metric{Name: c.Name, Ratio: true, Only: true})
	}
	ratios := New(title, metrics)
	for i, r := range t.rows {
		if i > 0 && !slices.Contains(rows, r.name) {
			continue
		}
		taken := row{name: r.name}
		for _, run := range r.runs {
			values := make([]float64, 0, len(places))
			for _, place := range places {
				values = append(values, run[place])
			}
			taken.runs = append(taken.runs, values)
		}
		ratios.rows = append(ratios.rows, taken)
	}
	return ratios, nil
}

// Figure is what a row's runs come to for one metric.
type Figure struct {
	Metric string    `json:"metric"`
	Median float64   `json:"median"`
	Ratio  *float64  `json:"ratio,omitempty"` // the median of the rounds' ratios to the control; nil if it has none
	Runs   []float64 `json:"runs"`
}

// figures returns a figure for each metric.
func (t *Table) figures(r *row) []Figure {
	figures := make([]Figure, len(t.metrics))
	for i, m := range t.metrics {
		f := &figures[i]
		f.Metric = m.Name
		f.Runs = make([]float64, 0, len(r.runs))
		var ratios []float64
		for round, run := range r.runs {
			f.Runs = append(f.Runs, run[i])
			if control := &t.rows[0]; m.Ratio && round < len(control.runs) && control.runs[round][i] != 0 {
				ratios = append(ratios, run[i]/control.runs[round][i])
			}
		}
		f.Median = Median(f.Runs)
		if len(ratios) > 0 {
			ratio := Median(ratios)
			f.Ratio = &ratio
		}
	}
	return figures
}

// Median returns the middle of values, or the mean of the two in the middle; 0 if there are none. values stay as
// they are.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// Write writes tables for a person, or as one JSON array.
func Write(w io.Writer, asJSON bool, tables ...*Table) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(tables)
	}
	for _, t := range tables {
		if _, err := io.WriteString(w, t.text()); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (t *Table) MarshalJSON() ([]byte, error) {
	type rowJSON struct {
		Name    string   `json:"name"`
		Figures []Figure `json:"figures"`
	}
	rows := make([]rowJSON, 0, len(t.rows))
	for i := range t.rows {
		rows = append(rows, rowJSON{t.rows[i].name, t.figures(&t.rows[i])})
	}
	return json.Marshal(struct {
		Title string    `json:"title"`
		Rows  []rowJSON `json:"rows"`
	}{t.title, rows})
}

// text returns the table in Markdown, its columns aligned.
func (t *Table) text() string {
	head := []string{""}
	for _, m := range t.metrics {
		head = append(head, m.Name)
		if m.Ratio && !m.Only {
			head = append(head, "ratio")
		}
	}
	lines := [][]string{head}
	rounds := 0
	for i := range t.rows {
		r := &t.rows[i]
		rounds = max(rounds, len(r.runs))
		line := []string{r.name}
		for k, f := range t.figures(r) {
			if !t.metrics[k].Only {
				line = append(line, strconv.FormatFloat(f.Median, 'f', t.metrics[k].Decimals, 64))
			}
			switch {
			case !t.metrics[k].Ratio:
			case f.Ratio == nil:
				line = append(line, "")
			default:
				line = append(line, strconv.FormatFloat(*f.Ratio, 'f', 2, 64))
			}
		}
		lines = append(lines, line)
	}
	return fmt.Sprintf("%s, %d rounds\n\n%s\n", t.title, rounds, align(lines))
}

// align writes lines of cells: the first column to the left, numbers to the right.
func align(lines [][]string) string {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString("| " + cell + padding + " |")
			} else {
				b.WriteString(" " + padding + cell + " |")
			}
		}
		b.WriteByte('\n')
		if n > 0 {
			continue
		}
		for i, width := range widths {
			if i == 0 {
				b.WriteString("|" + strings.Repeat("-", width+2) + "|")
			} else {
				b.WriteString(strings.Repeat("-", width+1) + ":|")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Measure runs measure for each row, one row after the other, as often as rounds says, and adds what it returns. Each run
// is said to progress.
func (t *Table) Measure(
	ctx context.Context, progress io.Writer, rounds int, measure func(ctx context.Context, name string) ([]float64, error),
) error {
	for round := range rounds {
		for i := range t.rows {
			name := t.rows[i].name
			values, err := measure(ctx, name)
			if err != nil {
				return fmt.Errorf("measure %s: %w", name, err)
			}
			if err := t.Add(name, values...); err != nil {
				return err
			}
			fmt.Fprintf(progress, "round %d of %d: %s:", round+1, rounds, name)
			for k, m := range t.metrics {
				fmt.Fprintf(progress, " %.*f %s;", m.Decimals, values[k], m.Name)
			}
			fmt.Fprintln(progress)
		}
	}
	return nil
}
