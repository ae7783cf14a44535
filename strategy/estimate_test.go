package strategy

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEstimate(t *testing.T) {
	repeat := func(n int, cost int64) []int64 {
		costs := make([]int64, n)
		for i := range costs {
			costs[i] = cost
		}
		return costs
	}
	for _, row := range []struct {
		name  string
		costs []int64
		cost  int64
	}{
		{"none", nil, 0},
		{"one", []int64{5000}, 5 << 10},
		{"under the first bucket", []int64{1023}, 1 << 10},
		{"in the second bucket", []int64{1024}, 5 << 8},
		{"over the last bucket", []int64{1 << 50}, 1 << 50},
		{"one of ten is more, but the mean is not", append(repeat(10, 5000), 6000), 5 << 10},
		{"two of ten are more", append(repeat(8, 5000), 9000, 9000), 10 << 10},
		{"the mean is more", append(repeat(19, 5000), 1_000_000), (19*5000 + 1_000_000) / 20},
		{"adapts upwards", append(repeat(300, 5000), repeat(60, 50_000)...), 56 << 10},
		{"adapts downwards", append(repeat(300, 50_000), repeat(600, 5000)...), 5 << 10},
	} {
		t.Run(row.name, func(t *testing.T) {
			var e estimate
			for _, cost := range row.costs {
				e.Add(cost)
			}
			require.InDelta(t, row.cost, e.Cost(), float64(row.cost)/100)
		})
	}
}

func TestEstimateReplaces(t *testing.T) {
	var e, want estimate
	e.Add(5000)
	e.Replace(5000, 80_000)
	want.Add(80_000)
	require.Equal(t, want, e)
}

func TestCostBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cost := rapid.Int64Range(0, 1<<35).Draw(t, "cost")
		i := costBucket(cost)
		require.Less(t, cost, costOfBucket(i))
		if i > 0 {
			require.GreaterOrEqual(t, cost, costOfBucket(i-1))
		}
	})
}
