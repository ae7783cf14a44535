package verdict

import (
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/verdict/difference"
)

// TestFisher has values that were counted by hand, and larger ones.
func TestFisher(t *testing.T) {
	for _, row := range []struct {
		a, n, b, m int
		want       float64
	}{
		{0, 1, 1, 1, 0.5},
		{0, 2, 2, 2, 1. / 6},
		{1, 1, 0, 1, 1},
		{0, 10, 0, 10, 1},
		{5, 10, 5, 10, 0.671859101},
		{1, 9, 11, 12, 109. / 293930},
		{0, 1000, 10, 1000, 0.000954733}, // 1000/2000 · 999/1999 · … · 991/1991
	} {
		require.InDelta(t, row.want, fisher(row.a, row.n, row.b, row.m), 5e-4*row.want+1e-6, "%v", row)
	}
}

func TestFalseDiscovery(t *testing.T) {
	for _, row := range []struct {
		name    string
		chances []float64
		want    []bool
	}{
		{"none", nil, []bool{}},
		{"one at the bound", []float64{0.01}, []bool{true}},
		{"one above the bound", []float64{0.011}, []bool{false}},
		{"the second of two has twice the room", []float64{0.01, 0.005}, []bool{true, true}},
		{"not if it is the smaller", []float64{0.02, 0.006}, []bool{false, false}},
		{"a larger one takes smaller ones with it", []float64{0.0099, 0.009, 0.0095}, []bool{true, true, true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, falseDiscovery(row.chances, 0.01))
		})
	}
}

// TestDoubt has findings that were not found again when their connections were played again.
func TestDoubt(t *testing.T) {
	results := func(connections uint64, findings ...Finding) *Results {
		return &Results{
			Connections: connections, Findings: findings,
			Classes: []Class{{Class: "get", Connections: connections}, {Class: "set", Connections: connections}},
		}
	}
	finding := func(class string, kind difference.Kind, connections uint64, seen int) Finding {
		return Finding{Class: class, Kind: kind, Connections: connections, Reruns: 3, Seen: seen}
	}
	for _, row := range []struct {
		name     string
		checked  *Results
		compared *Results
		want     []bool // doubtful
	}{
		{"found again", results(500), results(500, finding("get", difference.Value, 1, 3)), []bool{false}},
		{"not each time", results(500), results(500, finding("get", difference.Value, 1, 2)), []bool{true}},
		{"nothing to compare with", nil, results(500, finding("get", difference.Value, 100, 0)), []bool{true}},
		{"six of five hundred", results(500), results(500, finding("get", difference.Value, 6, 0)), []bool{true}},
		{"seven of five hundred", results(500), results(500, finding("get", difference.Value, 7, 0)), []bool{false}},
		{
			"as often from itself", results(500, finding("get", difference.Value, 7, 0)),
			results(500, finding("get", difference.Value, 7, 0)),
			[]bool{true},
		},
		{
			"values of two classes", results(500),
			results(500, finding("get", difference.Value, 4, 0), finding("set", difference.Value, 4, 0)),
			[]bool{true, true},
		},
		{
			"broken connections in two classes", results(500),
			results(500, finding("get", difference.NoAnswer, 4, 0), finding("set", difference.EarlyEnd, 4, 0)),
			[]bool{false, false},
		},
		{
			"as many from itself, in another class", results(500, finding("set", difference.NoAnswer, 8, 0)),
			results(500, finding("get", difference.NoAnswer, 8, 0)),
			[]bool{true},
		},
		{
			"one besides those of a connection that always breaks", results(500),
			results(500, finding("get", difference.NoAnswer, 20, 3), finding("set", difference.NoAnswer, 1, 0)),
			[]bool{false, true},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.compared.doubt(row.checked)
			var doubtful []bool
			for _, f := range row.compared.Findings {
				doubtful = append(doubtful, f.Doubtful)
			}
			require.Equal(t, row.want, doubtful)
		})
	}
}
