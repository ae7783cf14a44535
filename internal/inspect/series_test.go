package inspect

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeries(t *testing.T) {
	const ms = 1 << 20 // a step's width at first, about a millisecond
	for _, row := range []struct {
		name  string
		times []int64
		width int64
		first int64
		steps []uint64 // connections in each, without empty ones at the end
	}{
		{"one", []int64{5 * ms}, ms, 5, []uint64{1}},
		{"forward", []int64{5 * ms, 7*ms + 1}, ms, 5, []uint64{1, 0, 1}},
		{"backward", []int64{7 * ms, 5 * ms}, ms, 5, []uint64{1, 0, 1}},
		{"before the epoch", []int64{-1, 0}, ms, -1, []uint64{1, 1}},
		{"the last that fits", []int64{0, 511 * ms}, ms, 0, append(append([]uint64{1}, make([]uint64, 510)...), 1)},
		{"the first that does not", []int64{0, 512 * ms}, 2 * ms, 0, append(append([]uint64{1}, make([]uint64, 255)...), 1)},
		{"backward, the first that does not", []int64{511 * ms, -1 * ms}, 2 * ms, -1, append(append([]uint64{1}, make([]uint64, 255)...), 1)},
		{"all of time", []int64{math.MinInt64, math.MaxInt64, 0}, 1 << 55, -256, append(append(append(append([]uint64{1}, make([]uint64, 255)...), 1), make([]uint64, 254)...), 1)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSeries()
			for _, at := range row.times {
				s.at(at).Connections++
			}
			require.Equal(t, []int64{row.width, row.first}, []int64{s.width, s.first})
			var steps []uint64
			for _, step := range s.steps {
				steps = append(steps, step.Connections)
			}
			require.Equal(t, row.steps, steps)
			require.LessOrEqual(t, cap(s.steps), maxSteps)
		})
	}
	require.Nil(t, newSeries().report())
}

func FuzzSeries(f *testing.F) {
	f.Add(int64(0), int64(1), int64(math.MaxInt64), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, a, b, c, d int64) {
		s := newSeries()
		for _, at := range []int64{a, b, c, d, a} {
			s.at(at).Downstream++
			require.LessOrEqual(t, len(s.steps), maxSteps)
			number := floorDiv(at, s.width) - s.first
			require.NotZero(t, s.steps[number].Downstream)
		}
		sum := uint64(0)
		for _, step := range s.steps {
			sum += step.Downstream
		}
		require.Equal(t, uint64(5), sum)
	})
}
