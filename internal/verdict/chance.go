package verdict

import (
	"math"
	"slices"
)

// maxFalse is the share of findings told that may be chance.
const maxFalse = 0.01

// fisher is the probability, by Fisher's exact test with one side, that of a+b cases b or more fall into m of n+m, where
// n had a.
func fisher(a, n, b, m int) float64 {
	cases, all := a+b, n+m
	p := 0.0
	for k := b; k <= min(cases, m); k++ {
		if cases-k > n {
			continue
		}
		p += math.Exp(logChoose(m, k) + logChoose(n, cases-k) - logChoose(all, cases))
	}
	return min(p, 1)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// falseDiscovery says which of the chances are small enough that of those said, a share of at most q is chance, by
// Benjamini and Hochberg.
func falseDiscovery(chances []float64, q float64) []bool {
	sorted := slices.Sorted(slices.Values(chances))
	limit := -1.0
	for i, p := range sorted {
		if p <= q*float64(i+1)/float64(len(sorted)) {
			limit = p
		}
	}
	significant := make([]bool, len(chances))
	for i, p := range chances {
		significant[i] = p <= limit
	}
	return significant
}
