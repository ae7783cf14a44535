package strategy

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBinding(t *testing.T) {
	for _, row := range []struct {
		name         string
		bytes, lines int64
		n            int
		want         Reason
	}{
		{"short lines", 1000, 10, 99, BudgetLines},
		{"lines that use as much of both", 1000, 10, 100, BudgetBytes},
		{"long lines", 1000, 10, 101, BudgetBytes},
		{"only bytes are limited", 1000, 0, 1, BudgetBytes},
		{"only lines are limited", 0, 10, 1000, BudgetLines},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := Capture{MaxBytesPerSecond: row.bytes, MaxLinesPerSecond: row.lines}
			require.Equal(t, row.want, c.Binding(row.n))
		})
	}
}

func TestGrant(t *testing.T) {
	const now = int64(1e18)
	for _, row := range []struct {
		name          string
		spentUntil    int64
		granted, next int64
	}{
		{"never used: the burst is there", 0, BudgetShare, now - BudgetBurst + BudgetShare},
		{"all spent", now, 0, now},
		{"spent ahead", now + 5, 0, now + 5},
		{"a quarter is left", now - BudgetShare/4, BudgetShare / 4, now},
		{"less than a quarter is left", now - BudgetShare/4 + 1, 0, now - BudgetShare/4 + 1},
		{"spent a second ahead", now + maxDebt, 0, now + maxDebt},
		{"the clock was set back", now + maxAhead + 1, BudgetShare, now - BudgetBurst + BudgetShare},
	} {
		t.Run(row.name, func(t *testing.T) {
			granted, next := grant(row.spentUntil, now)
			require.Equal(t, row.granted, granted)
			require.Equal(t, row.next, next)
		})
	}
}

// shared is a number in one thread. Its next refusals Stores are refused, as if other workers were faster.
type shared struct {
	n        int64
	loads    int
	refusals int
}

func (s *shared) Load() (int64, uint32) {
	s.loads++
	return s.n, 1
}

func (s *shared) Store(n int64, version uint32) bool {
	if version != 1 {
		panic("a version that was not loaded")
	}
	if s.refusals > 0 {
		s.refusals--
		return false
	}
	s.n = n
	return true
}

// A second's allowance of perSecond is 64 shares of perShare bytes, and the burst is perBurst bytes.
const (
	perSecond = 64_000
	perShare  = perSecond / 64
	perBurst  = perSecond / 10
	budgetNow = int64(1e18)
)

// takeAll takes lines of n bytes until there is nothing more, and returns the bytes.
func takeAll(b *Budget, spentUntil SharedNumber, n int, now int64) (total int) {
	c := Capture{MaxBytesPerSecond: perSecond}
	for {
		got := b.Take(&c, spentUntil, n, now)
		if got == 0 {
			return total
		}
		total += got
	}
}

func TestBudget(t *testing.T) {
	c := Capture{MaxBytesPerSecond: perSecond}
	t.Run("no limit", func(t *testing.T) {
		var b Budget
		s := &shared{n: budgetNow + 5}
		require.Equal(t, 1000, b.Take(&Capture{}, s, 1000, budgetNow))
		require.Zero(t, s.loads)
		b.Owe(&Capture{}, 1000)
		require.Equal(t, Budget{}, b)
	})
	t.Run("the burst", func(t *testing.T) {
		require.Equal(t, perBurst, takeAll(new(Budget), new(shared), 100, budgetNow))
	})
	t.Run("a share pays for many lines", func(t *testing.T) {
		var b Budget
		s := new(shared)
		for range perShare / 10 {
			require.Equal(t, 10, b.Take(&c, s, 10, budgetNow))
		}
		require.Equal(t, 1, s.loads)
		require.Equal(t, 10, b.Take(&c, s, 10, budgetNow))
		require.Equal(t, 2, s.loads)
	})
	for _, row := range []struct {
		name  string
		after int64
		want  int
	}{
		{"what is left of a share is kept for a burst's time", BudgetBurst, perBurst + perShare - 100},
		{"what is left of a share does not add up", BudgetBurst + 1, perBurst},
		{"nor after long", 3600 * nanosecondsPerSecond, perBurst},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b Budget
			s := &shared{n: budgetNow - BudgetShare} // one share is left
			require.Equal(t, 100, b.Take(&c, s, 100, budgetNow))
			require.Equal(t, row.want, takeAll(&b, s, 100, budgetNow+row.after))
		})
	}
	t.Run("a debt does not go away", func(t *testing.T) {
		var b Budget
		s := new(shared)
		b.Owe(&c, perBurst/2)
		require.Equal(t, perBurst/2, takeAll(&b, s, 100, budgetNow))
	})
	t.Run("a debt is a second at most", func(t *testing.T) {
		var b Budget
		b.Owe(&c, 10*perSecond)
		require.Equal(t, int64(-maxDebt), b.credit)
	})
}

// TestBudgetAsksAgain counts how often the shared number is looked at while it is spent: a hostcall each.
func TestBudgetAsksAgain(t *testing.T) {
	const pause = BudgetShare / 4
	for _, row := range []struct {
		name  string
		after int64
		loads int
	}{
		{"at once", 0, 0},
		{"just before the pause ends", pause - 1, 0},
		{"when it ends", pause, 1},
		{"after the clock was set back a little", -(BudgetShare - pause), 0},
		{"after the clock was set back", -(BudgetShare - pause) - 1, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := Capture{MaxBytesPerSecond: perSecond}
			var b Budget
			s := &shared{n: budgetNow}
			require.Zero(t, b.Take(&c, s, 100, budgetNow))
			require.Equal(t, 1, s.loads)
			s.n = budgetNow + row.after // still spent
			require.Zero(t, b.Take(&c, s, 100, budgetNow+row.after))
			require.Equal(t, 1+row.loads, s.loads)
		})
	}
}

func TestBudgetOfOthers(t *testing.T) {
	c := Capture{MaxBytesPerSecond: perSecond}
	for _, row := range []struct {
		name                  string
		refusals, loads, want int
	}{
		{"nobody else", 0, 1, 100},
		{"others are faster seven times", 7, 8, 100},
		{"others are faster each time", 8, 8, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b Budget
			s := &shared{refusals: row.refusals}
			require.Equal(t, row.want, b.Take(&c, s, 100, budgetNow))
			require.Equal(t, row.loads, s.loads)
		})
	}
}

// TestBudgetHolds has several workers take as much as they can for some seconds of a made clock.
func TestBudgetHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := make([]Budget, rapid.IntRange(1, 8).Draw(t, "workers"))
		step := rapid.Int64Range(1e6, BudgetShare/4).Draw(t, "step")
		const seconds = 2
		s := new(shared)
		spent := 0
		for now := budgetNow; now < budgetNow+seconds*nanosecondsPerSecond; now += step {
			for i := range workers {
				spent += takeAll(&workers[i], s, 100, now)
			}
		}
		require.LessOrEqual(t, spent, seconds*perSecond+perBurst)
		require.GreaterOrEqual(t, spent, seconds*perSecond-len(workers)*perShare)
	})
}

func TestLineCost(t *testing.T) {
	for _, row := range []struct {
		name         string
		bytes, lines int64
		n            int
		cost         int64
		credit       int64
		fit          int
	}{
		{"no limit", 0, 0, 100, 0, 0, 100},
		{"bytes", 1000, 0, 100, 1e8, 1e8, 100},
		{"bytes, one too few", 1000, 0, 100, 1e8, 1e8 - 1, 99},
		{"bytes, none in hand", 1000, 0, 100, 1e8, 0, 0},
		{"bytes, in debt", 1000, 0, 100, 1e8, -1, 0},
		{"lines", 0, 10, 100, 1e8, 1e8, 100},
		{"lines, too little for one", 0, 10, 100, 1e8, 1e8 - 1, 0},
		{"a short line costs a line", 1000, 10, 5, 1e8, 1e8, 5},
		{"a short line, too little for one", 1000, 10, 5, 1e8, 1e8 - 1, 0},
		{"a long line costs its bytes", 1000, 1000, 5, 5e6, 4e6, 4},
		{"rounded up", 3, 0, 1, 333333334, 333333333, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := Capture{MaxBytesPerSecond: row.bytes, MaxLinesPerSecond: row.lines}
			require.Equal(t, row.cost, c.lineCost(row.n))
			require.Equal(t, row.fit, c.fit(row.n, row.credit))
			require.Equal(t, row.bytes != 0 || row.lines != 0, c.limited())
		})
	}
}
