package strategy

// SharedNumber is a number that all workers of a process share.
type SharedNumber interface {
	// Load returns the number, 0 if it was never stored, and the version of it that Store wants.
	Load() (n int64, version uint32)
	// Store replaces the number of that version. It returns false if another worker was faster.
	Store(n int64, version uint32) bool
}

// Budget is a worker's share of what the whole process may record. It is kept in time: each line costs the nanoseconds
// that its bytes, or itself as one line, take of a second's allowance, whichever is more. What all workers have spent is
// then one number that they share, the time until which the allowance is spent, whatever their limits are. A worker
// takes from it in shares, so that most lines do not look at it. The zero Budget has taken nothing.
type Budget struct {
	credit  int64 // nanoseconds of allowance in hand; less than 0 is owed
	taken   int64 // when the last share was taken
	retryAt int64 // before this there is no use in asking for another
}

const (
	// BudgetBurst is how much unspent allowance is kept, in nanoseconds.
	BudgetBurst = nanosecondsPerSecond / 10
	// BudgetShare is how much allowance a worker takes from the shared one at a time, in nanoseconds. What workers
	// hold unspent is bounded by it, so that some of them together stay within a fifth of the limit.
	BudgetShare = nanosecondsPerSecond / 64
	// maxDebt is the most that lines which are always written (a connection's open, end and close) may spend ahead.
	maxDebt = nanosecondsPerSecond
	// maxAhead is the most that all workers together may have spent ahead, with what Admission lets them; more is from
	// before the clock was set back.
	maxAhead = 2 * maxPriority
	// sharedAttempts is how often a shared number is tried. Other workers store too; each of them that was faster has
	// made progress.
	sharedAttempts = 8
)

// Take pays for a line of up to n bytes of payload at now and returns how many of them it may have; 0 if it may not be
// written. spentUntil is the shared part. Allocation-free.
func (b *Budget) Take(c *Capture, spentUntil SharedNumber, n int, now int64) int {
	if !c.limited() {
		return n
	}
	if now-b.taken > BudgetBurst {
		b.credit = min(b.credit, 0) // unspent allowance does not add up, here as in the shared part
	}
	for b.credit < c.lineCost(n) && b.share(spentUntil, now) {
	}
	n = c.fit(n, b.credit)
	if n > 0 {
		b.credit -= c.lineCost(n)
	}
	return n
}

// Binding returns which limit lines of n bytes reach first, BudgetBytes or BudgetLines.
func (c *Capture) Binding(n int) Reason {
	if costOf(1, c.MaxLinesPerSecond) > costOf(int64(n), c.MaxBytesPerSecond) {
		return BudgetLines
	}
	return BudgetBytes
}

// Owe pays for a line that is written in any case and counts as one of n bytes. The debt is at most a second's
// allowance.
func (b *Budget) Owe(c *Capture, n int) {
	if c.limited() {
		b.credit = max(b.credit-c.lineCost(n), -maxDebt)
	}
}

// share takes a share of the shared allowance, and reports whether there was one.
func (b *Budget) share(spentUntil SharedNumber, now int64) bool {
	if now < b.retryAt && b.retryAt <= now+BudgetShare { // later than that, the clock was set back
		return false
	}
	for range sharedAttempts {
		spent, version := spentUntil.Load()
		granted, next := grant(spent, now)
		if granted == 0 {
			b.retryAt = now + BudgetShare/4
			return false
		}
		if spentUntil.Store(next, version) {
			b.credit += granted
			b.taken = now
			return true
		}
	}
	return false
}

// grant takes a share, or what there is, of the shared allowance. spentUntil is the shared number as the last taker left
// it, and now the time, both in nanoseconds since the Unix epoch. Less than a quarter of a share is not given: it would
// only tear reads into small pieces.
func grant(spentUntil, now int64) (granted, newSpentUntil int64) {
	start := begin(spentUntil, now)
	granted = min(BudgetShare, now-start)
	if granted < BudgetShare/4 {
		return 0, spentUntil
	}
	return granted, start + granted
}

// begin returns when what is taken at now begins to be spent.
func begin(spentUntil, now int64) int64 {
	start := max(spentUntil, now-BudgetBurst)
	if start > now+maxAhead {
		start = now - BudgetBurst // the clock was set back: what was spent by then is forgotten
	}
	return start
}

// lineCost returns the nanoseconds of allowance that a line with n bytes of payload costs.
func (c *Capture) lineCost(n int) int64 {
	return max(costOf(int64(n), c.MaxBytesPerSecond), costOf(1, c.MaxLinesPerSecond))
}

// costOf returns the nanoseconds that n of limit in a second take, rounded up; 0 if there is no limit.
func costOf(n, limit int64) int64 {
	if limit == 0 {
		return 0
	}
	return (n*nanosecondsPerSecond + limit - 1) / limit
}

// limited reports whether lines cost anything.
func (c *Capture) limited() bool { return c.MaxBytesPerSecond != 0 || c.MaxLinesPerSecond != 0 }

// fit returns how many of n bytes, in one line, credit nanoseconds of allowance pay for.
func (c *Capture) fit(n int, credit int64) int {
	if c.lineCost(n) <= credit {
		return n
	}
	if costOf(1, c.MaxLinesPerSecond) > credit || c.MaxBytesPerSecond == 0 {
		return 0
	}
	return int(min(int64(n), credit*c.MaxBytesPerSecond/nanosecondsPerSecond))
}
