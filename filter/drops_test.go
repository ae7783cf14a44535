package filter

import (
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

func TestDrops(t *testing.T) {
	for _, row := range []struct {
		name string
		add  []drop
		want drops
	}{
		{"none", nil, nil},
		{"no bytes", []drop{{strategy.CPULimit, 0}}, nil},
		{"one reason", []drop{{strategy.CPULimit, 1}, {strategy.CPULimit, 2}}, drops{{strategy.CPULimit, 3}}},
		{
			"a later one",
			[]drop{{strategy.CPULimit, 1}, {strategy.SinkLost, 2}},
			drops{{strategy.CPULimit, 1}, {strategy.SinkLost, 2}},
		},
		{
			"an earlier one",
			[]drop{{strategy.CPULimit, 1}, {strategy.ForcedOff, 2}},
			drops{{strategy.ForcedOff, 2}, {strategy.CPULimit, 1}},
		},
		{
			"one between",
			[]drop{{strategy.ForcedOff, 1}, {strategy.SinkLost, 2}, {strategy.CPULimit, 3}, {strategy.SinkLost, 4}},
			drops{{strategy.ForcedOff, 1}, {strategy.CPULimit, 3}, {strategy.SinkLost, 6}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var d drops
			for _, each := range row.add {
				d.add(each.reason, each.bytes)
			}
			require.Equal(t, row.want, d)
		})
	}
	t.Run("allocates only for a reason", func(t *testing.T) {
		var d drops
		d.add(strategy.CPULimit, 1)
		require.Zero(t, testing.AllocsPerRun(100, func() { d.add(strategy.CPULimit, 1) }))
	})
}
