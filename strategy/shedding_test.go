package strategy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShedding(t *testing.T) {
	in := Inputs{
		Application: Strategy{Switch: SwitchOn, Interval: 30, Duration: 10, CPUMaxRate: 80, MemMaxRate: 60},
		Guarded:     true, Fresh: true, Soft: 10,
	}
	for _, row := range []struct {
		name   string
		usage  Usage
		change func(in *Inputs)
		want   Shedding
	}{
		{"nothing is near", Usage{10, 10}, nil, Shedding{}},
		{"CPU where it begins", Usage{70, 0}, nil, Shedding{}},
		{"CPU just after that", Usage{70.5, 0}, nil, Shedding{ShedSome, CPULimit, 0.9}},
		{"CPU in the first half", Usage{72.5, 0}, nil, Shedding{ShedSome, CPULimit, 0.5}},
		{"CPU at the end of the first half", Usage{74.5, 0}, nil, Shedding{ShedSome, CPULimit, 0.1}},
		{"CPU in the middle", Usage{75, 0}, nil, Shedding{ShedNew, CPULimit, 0}},
		{"CPU before the last fifth", Usage{77.9, 0}, nil, Shedding{ShedNew, CPULimit, 0}},
		{"CPU in the last fifth", Usage{78, 0}, nil, Shedding{ShedPayload, CPULimit, 0}},
		{"CPU just under its limit", Usage{79.9, 0}, nil, Shedding{ShedPayload, CPULimit, 0}},
		{"CPU at its limit, which is a reason", Usage{80, 0}, nil, Shedding{}},
		{"memory where it begins", Usage{0, 50}, nil, Shedding{}},
		{"memory in the middle", Usage{0, 55}, nil, Shedding{ShedNew, MemoryLimit, 0}},
		{"both, CPU nearer", Usage{78, 57}, nil, Shedding{ShedPayload, CPULimit, 0}},
		{"both, memory nearer", Usage{77, 58}, nil, Shedding{ShedPayload, MemoryLimit, 0}},
		{"both as near", Usage{75, 55}, nil, Shedding{ShedNew, CPULimit, 0}},
		{"switched off", Usage{79, 59}, func(in *Inputs) { in.Soft = 0 }, Shedding{}},
		{"nobody guards", Usage{79, 59}, func(in *Inputs) { in.Guarded = false }, Shedding{}},
		{"no reading", Usage{79, 59}, func(in *Inputs) { in.Fresh = false }, Shedding{}},
		{"the fuse is open", Usage{79, 59}, func(in *Inputs) { in.Fuse = CPULimit }, Shedding{}},
		{"the switch is off", Usage{79, 59}, func(in *Inputs) { in.Application.Switch = SwitchOff }, Shedding{}},
		{"a low limit, halfway to it", Usage{4, 0}, func(in *Inputs) { in.Application.CPUMaxRate = 8 }, Shedding{}},
		{"a low limit, in the middle of that", Usage{6, 0}, func(in *Inputs) { in.Application.CPUMaxRate = 8 }, Shedding{ShedNew, CPULimit, 0}},
		{"the widest", Usage{55, 0}, func(in *Inputs) { in.Soft = MaxFuseSoft }, Shedding{ShedSome, CPULimit, 0.25}},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := in
			in.Usage = row.usage
			if row.change != nil {
				row.change(&in)
			}
			got := Decide(&in).Shedding
			require.InDelta(t, row.want.Rate, got.Rate, 1e-9)
			got.Rate = row.want.Rate
			require.Equal(t, row.want, got)
		})
	}
}

func TestNewConnections(t *testing.T) {
	for _, row := range []struct {
		name     string
		decision Decision
		want     Reason
	}{
		{"nothing is given up", Decision{}, Recorded},
		{"all are", Decision{Shedding: Shedding{ShedNew, CPULimit, 0}}, CPULimit},
		{"all are, because of memory", Decision{Shedding: Shedding{ShedPayload, MemoryLimit, 0}}, MemoryLimit},
		{"almost none", Decision{Shedding: Shedding{ShedSome, CPULimit, 1}}, Recorded},
		{"something else is in the way", Decision{Begin: WindowClosed, Shedding: Shedding{ShedNew, CPULimit, 0}}, WindowClosed},
	} {
		t.Run(row.name, func(t *testing.T) {
			for seed := range uint64(1000) {
				require.Equal(t, row.want, row.decision.New(seed))
			}
		})
	}

	t.Run("a share", func(t *testing.T) {
		for _, rate := range []float64{0.01, 0.5, 0.99} {
			some := Decision{Shedding: Shedding{ShedSome, CPULimit, rate}}
			fewer := Decision{Shedding: Shedding{ShedSome, CPULimit, rate / 2}}
			taken := 0
			for seed := range uint64(100_000) {
				reason := some.New(seed)
				if reason == Recorded {
					taken++
				} else {
					require.Equal(t, CPULimit, fewer.New(seed), "who is left out is left out of fewer too")
				}
			}
			require.InDelta(t, rate, float64(taken)/100_000, 0.01)
		}
	})
}

func TestKeep(t *testing.T) {
	for level, want := range map[ShedLevel][]int{
		ShedNothing: {255, 256, 257}, ShedSome: {255, 256, 257}, ShedNew: {255, 256, 257}, ShedPayload: {255, 256, 256},
	} {
		s := Shedding{Level: level}
		require.Equal(t, want, []int{s.Keep(255), s.Keep(256), s.Keep(257)})
	}
}
