package filter

import (
	"l4dump/internal/abi"
	"l4dump/strategy"
)

// allowance is a worker's share of what the whole process may write. The shared part is one number in shared data, the
// time until which the allowance is spent; a worker takes from it in shares, so that most lines cost no hostcall.
type allowance struct {
	credit  int64 // nanoseconds of allowance in hand; less than 0 is owed
	taken   int64 // when the last share was taken
	retryAt int64 // before this there is no use in asking for another
	value   [8]byte
}

const spentUntilKey = "l4dump/spent_until"

// take pays for a line of up to n bytes and returns how many it may have. Allocation-free.
func (a *allowance) take(c *strategy.Capture, n int, now int64) int {
	if !c.Limited() {
		return n
	}
	if now-a.taken > strategy.BudgetBurst {
		a.credit = min(a.credit, 0) // unspent allowance does not add up, here as in the shared part
	}
	for a.credit < c.LineCost(n) && a.share(now) {
	}
	n = c.Fit(n, a.credit)
	if n > 0 {
		a.credit -= c.LineCost(n)
	}
	return n
}

// owe pays for a line that is written in any case and counts as one of n bytes.
func (a *allowance) owe(c *strategy.Capture, n int) {
	if c.Limited() {
		a.credit = strategy.Indebt(a.credit, c.LineCost(n))
	}
}

// share takes a share of the shared allowance, and reports whether there was one.
func (a *allowance) share(now int64) bool {
	const attempts = 8                                            // other workers write too; each of them that gets ahead has made progress
	if now < a.retryAt && a.retryAt <= now+strategy.BudgetShare { // later than that, the clock was set back
		return false
	}
	for range attempts {
		value, cas, err := abi.SharedData(spentUntilKey)
		var spentUntil int64
		if err == nil {
			spentUntil = int64(uint64Of(value))
		}
		granted, next := strategy.TakeBudget(spentUntil, now, strategy.BudgetShare)
		if granted == 0 {
			a.retryAt = now + strategy.BudgetShare/4
			return false
		}
		putUint64(&a.value, uint64(next))
		if abi.SetSharedData(spentUntilKey, a.value[:], cas) == nil {
			a.credit += granted
			a.taken = now
			return true
		}
	}
	return false
}

func putUint64(b *[8]byte, n uint64) {
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
}
