package strategy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAdmissionGivesBack has what a connection asked for and did not get left for the next one.
func TestAdmissionGivesBack(t *testing.T) {
	const second = nanosecondsPerSecond
	w, next := Window{Start: 1_800_000_000, Interval: 30}, Window{Start: 1_800_000_030, Interval: 30}
	admit := func(t *testing.T, a *Admission, c *Capture, shared *Shared, w Window, now int64) *Claim {
		t.Helper()
		claim := new(Claim)
		require.Equal(t, Recorded, a.Admit(c, shared, w, claim, now))
		return claim
	}

	t.Run("a place, and the allowance, if the window is full", func(t *testing.T) {
		c := &Capture{MaxBytesPerSecond: 1 << 20, MaxConnections: 2, MaxConnectionsPerWindow: 1}
		var a Admission
		shared := newShared()
		admit(t, &a, c, shared, w, budgetNow)
		for i := range int64(3) {
			shared.full = Window{} // as if another worker had filled it
			require.Equal(t, WindowConnections, a.Admit(c, shared, w, &Claim{}, budgetNow+second+i), i)
		}
		admit(t, &a, c, shared, next, budgetNow+second+3)
	})
	t.Run("the rest of a window's bytes, if they do not suffice", func(t *testing.T) {
		c := &Capture{Unit: UnitConnections, MaxBytesPerWindow: 8 << 10}
		var a Admission
		shared := newShared()
		large, small := admit(t, &a, c, shared, w, budgetNow), admit(t, &a, c, shared, w, budgetNow)
		require.Equal(t, Recorded, a.Take(c, w, large, 1, 1000, budgetNow))
		require.Equal(t, WindowBytes, a.Take(c, w, large, 8<<10, 1000, budgetNow))
		require.Equal(t, WindowBytes, large.Reason())
		other := Shared{WindowBytes: shared.WindowBytes} // of another worker
		require.Equal(t, 7<<10, other.TakeBytes(c, w, 7<<10))
		require.Equal(t, Recorded, a.Take(c, w, small, 1023, 1000, budgetNow))
	})
	t.Run("a window's bytes and the allowance, if it is given up", func(t *testing.T) {
		c := &Capture{Unit: UnitConnections, MaxBytesPerSecond: 1 << 10, MaxBytesPerWindow: 15 << 10}
		var a Admission
		shared := newShared()
		require.Equal(t, OverBudget, a.Take(c, w, admit(t, &a, c, shared, w, budgetNow), 15<<10, 1000, budgetNow))
		require.Equal(t, 15<<10, shared.TakeBytes(c, w, 15<<10))
		shared.GiveBack(15 << 10)
		admit(t, &a, c, shared, w, budgetNow+2*second) // with all of the bytes in this worker's hands
	})
}

// TestAdmissionGivesBackToOthers has a worker admit a connection as soon as one of another worker has ended.
func TestAdmissionGivesBackToOthers(t *testing.T) {
	c := &Capture{MaxBytesPerSecond: 1 << 20}
	shared := newShared()
	var here, there Admission
	claim := new(Claim)
	require.Equal(t, Recorded, here.Admit(c, shared, Window{}, claim, budgetNow))
	here.Close(c, claim, budgetNow)
	require.Equal(t, Recorded, there.Admit(c, shared, Window{}, &Claim{}, budgetNow))
}

// TestAdmissionExpiresOthers has a connection give back what it does not use though an older one has ended.
func TestAdmissionExpiresOthers(t *testing.T) {
	const second = nanosecondsPerSecond
	c := &Capture{MaxBytesPerSecond: 1 << 20}
	shared := newShared()
	var a Admission
	var claims [3]Claim
	for i := range claims {
		require.Equal(t, Recorded, a.Admit(c, shared, Window{}, &claims[i], budgetNow+int64(i)*second/5))
		require.NotZero(t, claims[i].reserved)
	}
	a.Close(c, &claims[0], budgetNow+second)
	a.Expire(shared.SpentUntil, budgetNow+3*second)
	require.Zero(t, claims[1].reserved)
	require.Zero(t, claims[2].reserved)
}

// TestAdmissionOfAClockSetBack admits though it was to wait, by a clock that was ahead.
func TestAdmissionOfAClockSetBack(t *testing.T) {
	c := &Capture{MaxBytesPerSecond: 1 << 20}
	shared := newShared()
	var a Admission
	require.Equal(t, Recorded, a.Admit(c, shared, Window{}, &Claim{}, budgetNow))
	require.Equal(t, BudgetBytes, a.Admit(c, shared, Window{}, &Claim{}, budgetNow))
	require.Equal(t, Recorded, a.Admit(c, shared, Window{}, &Claim{}, budgetNow-3600*nanosecondsPerSecond))
}

// TestBegins has windows take new connections up to the last byte, and up to the last eighth if they are recorded whole.
func TestBegins(t *testing.T) {
	for _, row := range []struct {
		name   string
		unit   Unit
		taken  int
		begins bool
	}{
		{"bytes, one is left", UnitBytes, 8<<10 - 1, true},
		{"bytes, none is left", UnitBytes, 8 << 10, false},
		{"connections, more than an eighth is left", UnitConnections, 6 << 10, true},
		{"connections, an eighth is left", UnitConnections, 7 << 10, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, w := &Capture{Unit: row.unit, MaxBytesPerWindow: 8 << 10}, Window{Start: 1_800_000_000, Interval: 30}
			shared := newShared()
			require.Equal(t, row.taken, shared.TakeBytes(c, w, row.taken))
			require.Equal(t, row.begins, shared.Begins(c, w))
			loads := shared.WindowBytes.(*contended).loads
			require.Equal(t, row.begins, shared.Begins(c, w))
			if !row.begins {
				require.Equal(t, loads, shared.WindowBytes.(*contended).loads, "it looks again")
			}
		})
	}
}

// TestAdmissionCountsItsTimeOnly has bytes that come after a connection's time not count for what connections cost.
func TestAdmissionCountsItsTimeOnly(t *testing.T) {
	c := &Capture{MaxBytesPerSecond: 1 << 20}
	var a Admission
	claim := &Claim{Until: budgetNow + 1}
	require.Equal(t, Recorded, a.Admit(c, newShared(), Window{}, claim, budgetNow))
	before := claim.cost
	a.Outlive(claim, budgetNow+1)
	a.Count(c, claim, 1<<20, 1000)
	require.Equal(t, before, claim.cost)
	claim.reason = OverBudget
	a.Count(c, claim, 1<<20, 1000)
	require.Less(t, before, claim.cost)
}

// TestAdmissionLooksSeldom has connections that come while there is no place not look at what workers share each.
func TestAdmissionLooksSeldom(t *testing.T) {
	c := &Capture{MaxConnections: 1}
	shared := newShared()
	table := shared.Live.Table.(*contendedBytes)
	var a Admission
	require.Equal(t, Recorded, a.Admit(c, shared, Window{}, &Claim{}, budgetNow))
	before := table.loads
	for range 100 {
		require.Equal(t, Connections, a.Admit(c, shared, Window{}, &Claim{}, budgetNow))
	}
	require.Equal(t, before+1, table.loads)
	require.Equal(t, Connections, a.Admit(c, shared, Window{}, &Claim{}, budgetNow+retryTime))
	require.Equal(t, before+2, table.loads)
}
