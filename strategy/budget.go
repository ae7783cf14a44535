package strategy

// A budget is kept in time: each line costs the nanoseconds that its bytes, or itself as one line, take of a second's
// allowance, whichever is more. What all workers of a process have spent is then one number that they can share, the
// time until which the allowance is spent, whatever their limits are.

const (
	// BudgetBurst is how much unspent allowance is kept, in nanoseconds.
	BudgetBurst = nanosecondsPerSecond / 10
	// BudgetShare is how much allowance a worker takes from the shared one at a time, in nanoseconds. What workers
	// hold unspent is bounded by it, so that some of them together stay within a fifth of the limit.
	BudgetShare = nanosecondsPerSecond / 64
	// maxDebt is the most that lines which are always written (a connection's open, end and close) may spend ahead.
	maxDebt = nanosecondsPerSecond
)

// TakeBudget takes want nanoseconds, or what there is, of the shared allowance. spentUntil is the shared state, as the
// last taker left it (0 at first), and now the time, both in nanoseconds since the Unix epoch. Less than a quarter of
// want is not given: it would only tear reads into small pieces.
func TakeBudget(spentUntil, now, want int64) (granted, newSpentUntil int64) {
	start := max(spentUntil, now-BudgetBurst)
	if start > now+maxDebt {
		start = now - BudgetBurst // the clock was set back: what was spent by then is forgotten
	}
	granted = min(want, now-start)
	if granted <= 0 || granted < want/4 {
		return 0, spentUntil
	}
	return granted, start + granted
}

// LineCost returns the nanoseconds of allowance that a line with n bytes of payload costs.
func (c *Capture) LineCost(n int) int64 {
	return max(costOf(int64(n), c.MaxBytesPerSecond), costOf(1, c.MaxLinesPerSecond))
}

// costOf returns the nanoseconds that n of limit in a second take, rounded up; 0 where there is no limit.
func costOf(n, limit int64) int64 {
	if limit == 0 {
		return 0
	}
	return (n*nanosecondsPerSecond + limit - 1) / limit
}

// Limited reports whether lines cost anything.
func (c *Capture) Limited() bool { return c.MaxBytesPerSecond != 0 || c.MaxLinesPerSecond != 0 }

// Fit returns how many of n bytes, in one line, credit nanoseconds of allowance pay for.
func (c *Capture) Fit(n int, credit int64) int {
	if c.LineCost(n) <= credit {
		return n
	}
	if costOf(1, c.MaxLinesPerSecond) > credit || c.MaxBytesPerSecond == 0 {
		return 0
	}
	return int(min(int64(n), credit*c.MaxBytesPerSecond/nanosecondsPerSecond))
}

// Indebt takes cost from credit for a line that is written in any case, and returns what is left: less than nothing,
// down to a second's allowance.
func Indebt(credit, cost int64) int64 { return max(credit-cost, -maxDebt) }
