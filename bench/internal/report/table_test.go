package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	for _, row := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, 0},
		{"one", []float64{3}, 3},
		{"two", []float64{3, 4}, 3.5},
		{"three, in any order", []float64{9, 1, 4}, 4},
		{"four", []float64{9, 1, 4, 2}, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			given := slices.Clone(row.values)
			require.InDelta(t, row.want, Median(given), 1e-12)
			require.Equal(t, row.values, given, "the values stay as they are")
		})
	}
}

func example(t *testing.T) *Table {
	table := New("Example", []Metric{{Name: "MB/s", Ratio: true}, {Name: "CPU s", Decimals: 2}}, "no filter", "filter")
	for _, run := range []struct {
		name   string
		values []float64
	}{
		{"no filter", []float64{1000, 0.5}},
		{"filter", []float64{500, 1}},
		{"no filter", []float64{10, 0.25}},
		{"filter", []float64{9, 1.125}},
		{"no filter", []float64{900, 0}},
		{"filter", []float64{300, 1}},
	} {
		require.NoError(t, table.Add(run.name, run.values...))
	}
	return table
}

// TestText has a round that is slow for all: the ratios are of each round, so that it changes none.
func TestText(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Write(&out, false, example(t)))
	require.Equal(t, `Example, 3 rounds

|           | MB/s | ratio | CPU s |
|-----------|-----:|------:|------:|
| no filter |  900 |  1.00 |  0.25 |
| filter    |  300 |  0.50 |  1.00 |

`, out.String())
}

func TestRatios(t *testing.T) {
	ratios, err := example(t).Ratios("Summary", []Column{{"CPU s", "CPU"}, {"MB/s", "throughput"}}, "filter")
	require.NoError(t, err)
	require.Equal(t, `Summary, 3 rounds

|           |  CPU | throughput |
|-----------|-----:|-----------:|
| no filter | 1.00 |       1.00 |
| filter    | 3.25 |       0.50 |

`, ratios.text())

	t.Run("the control only", func(t *testing.T) {
		ratios, err := example(t).Ratios("Summary", []Column{{"MB/s", "throughput"}})
		require.NoError(t, err)
		require.Equal(t, "Summary, 3 rounds\n\n|           | throughput |\n|-----------|-----------:|\n"+
			"| no filter |       1.00 |\n\n", ratios.text())
	})
	t.Run("of what is not there", func(t *testing.T) {
		_, err := example(t).Ratios("Summary", []Column{{"GB/s", "throughput"}})
		require.EqualError(t, err, `take ratios: no metric "GB/s"`)
	})
}

func TestJSON(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Write(&out, true, example(t)))
	require.JSONEq(t, `[{"title":"Example","rows":[
		{"name":"no filter","figures":[
			{"metric":"MB/s","median":900,"ratio":1,"runs":[1000,10,900]},
			{"metric":"CPU s","median":0.25,"runs":[0.5,0.25,0]}]},
		{"name":"filter","figures":[
			{"metric":"MB/s","median":300,"ratio":0.5,"runs":[500,9,300]},
			{"metric":"CPU s","median":1,"runs":[1,1.125,1]}]}]}]`, out.String())
}

func TestAddFaults(t *testing.T) {
	table := New("Example", []Metric{{Name: "MB/s"}}, "no filter")
	require.EqualError(t, table.Add("filter", 1), `add a run: no row "filter"`)
	require.EqualError(t, table.Add("no filter", 1, 2), `add a run of "no filter": want 1 values, got 2`)
	require.NoError(t, table.Add("no filter", 0))
}

// TestNoControl has a control of zero: there is no ratio to it.
func TestNoControl(t *testing.T) {
	table := New("Example", []Metric{{Name: "drops", Ratio: true}}, "no filter", "filter")
	require.NoError(t, table.Add("no filter", 0))
	require.NoError(t, table.Add("filter", 7))
	require.Equal(t, "Example, 1 rounds\n\n"+
		"|           | drops | ratio |\n|-----------|------:|------:|\n"+
		"| no filter |     0 |       |\n| filter    |     7 |       |\n\n", table.text())
}
