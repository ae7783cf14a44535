package verdict

import (
	"testing"

	"github.com/stretchr/testify/require"
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
