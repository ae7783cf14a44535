package verdict

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// maxSamples bounds the times that are kept of a class and a target. Of more, each is kept with the same probability.
const maxSamples = 2000

// sample is times of one class, from sending a request to the last byte of its answer.
type sample struct {
	seen  uint64
	times []time.Duration
}

func (s *sample) add(d time.Duration) {
	s.seen++
	if len(s.times) < maxSamples {
		s.times = append(s.times, d)
		return
	}
	if i := rand.Uint64N(s.seen); i < maxSamples { //nolint:gosec // no secret
		s.times[i] = d
	}
}

// Latency compares how long two targets took for the turns of a class, in one run.
type Latency struct {
	Protocol string
	Class    string
	N        [2]uint64        // turns that were measured
	P50      [2]time.Duration // of the baseline and of the target
	P90      [2]time.Duration // 0: too few
	P99      [2]time.Duration
	// Shift is the Hodges-Lehmann estimate of how much longer the target takes, and Least what it is at least, with a
	// confidence of 98 %.
	Shift, Least time.Duration
}

// How many times are needed for a quantile, and for a judgment.
const (
	minP50 = 30
	minP90 = 200
	minP99 = 1000
)

// latency compares the samples; false if they are too few.
func (c *Class) latency() (Latency, bool) {
	l := Latency{Protocol: c.Protocol, Class: c.Class}
	var sorted [2][]time.Duration
	for i := range c.times {
		times := slices.Sorted(slices.Values(c.times[i].times))
		if len(times) < minP50 {
			return l, false
		}
		sorted[i] = times
		l.N[i] = c.times[i].seen
		l.P50[i] = quantile(times, 0.5)
		if len(times) >= minP90 {
			l.P90[i] = quantile(times, 0.9)
		}
		if len(times) >= minP99 {
			l.P99[i] = quantile(times, 0.99)
		}
	}
	l.Shift, l.Least = shift(sorted[0], sorted[1])
	return l, true
}

// Slower reports whether the target is slower by more than margin, a share of the baseline's median, than the baseline
// differs from itself by.
func (l *Latency) Slower(margin float64, noise time.Duration) bool {
	return float64(l.Least) > margin*float64(l.P50[0]) && l.Shift > 3*noise
}

// quantile returns the q-quantile of sorted values.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// maxPaired bounds the values of each side that a shift is estimated from, evenly taken of the sorted ones.
const maxPaired = 500

// z98 is the normal distribution's one-sided 98 % quantile.
const z98 = 2.054

// shift returns the median of all differences b - a, and the one that the true shift exceeds with 98 % confidence: the
// interval that belongs to the Mann-Whitney test.
func shift(a, b []time.Duration) (estimate, least time.Duration) {
	a, b = thin(a), thin(b)
	differences := make([]time.Duration, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			differences = append(differences, y-x)
		}
	}
	slices.Sort(differences)
	n, m := float64(len(a)), float64(len(b))
	rank := int(n*m/2 - z98*math.Sqrt(n*m*(n+m+1)/12))
	return differences[len(differences)/2], differences[max(0, rank)]
}

func thin(sorted []time.Duration) []time.Duration {
	if len(sorted) <= maxPaired {
		return sorted
	}
	few := make([]time.Duration, maxPaired)
	for i := range few {
		few[i] = sorted[i*(len(sorted)-1)/(maxPaired-1)]
	}
	return few
}
