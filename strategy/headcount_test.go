package strategy

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// contendedBytes are bytes that other workers store to between each fourth Load and its Store.
type contendedBytes struct {
	value   []byte
	version uint32
	loads   int
}

func (c *contendedBytes) Load() ([]byte, uint32) {
	version := c.version
	if c.loads++; c.loads%4 == 0 {
		c.version++
	}
	return c.value, version
}

func (c *contendedBytes) Store(value []byte, version uint32) bool {
	if version != c.version {
		return false
	}
	c.value, c.version = append(c.value[:0], value...), version+1
	return true
}

// TestHeadcount has two workers share a limit, one of which crashes.
func TestHeadcount(t *testing.T) {
	const second = nanosecondsPerSecond
	table := &contendedBytes{value: make([]byte, 1)}
	a, b := &Headcount{Table: table, ID: 1}, &Headcount{Table: table, ID: 2}
	now := budgetNow
	require.True(t, a.Join(3, now))
	require.True(t, a.Join(3, now))
	require.True(t, b.Join(3, now))
	require.False(t, a.Join(3, now))
	require.False(t, b.Join(3, now))
	a.Leave(now)
	require.True(t, b.Join(3, now))
	require.False(t, b.Join(3, now))

	// b renews its row and a, which has one connection, does not.
	for ; now < budgetNow+rowTime-second; now += second {
		b.Renew(now)
		require.False(t, b.Join(3, now))
	}
	now = budgetNow + rowTime - 1
	require.False(t, b.Join(3, now))
	now++
	require.True(t, b.Join(3, now))
	require.Len(t, table.value, rowBytes)

	// a had only waited: its connection counts again.
	a.Renew(now)
	require.False(t, a.Join(4, now))
	require.True(t, a.Join(5, now))
	require.Equal(t, []int64{2, 3}, []int64{a.live, b.live})
}

// TestHeadcountOfAClockSetBack counts nothing of the time that is to come.
func TestHeadcountOfAClockSetBack(t *testing.T) {
	table := &contendedBytes{value: make([]byte, 1)}
	a, b := &Headcount{Table: table, ID: 1}, &Headcount{Table: table, ID: 2}
	require.True(t, a.Join(1, budgetNow))
	for _, row := range []struct {
		name  string
		now   int64
		joins bool
	}{
		{"by less than a row counts", budgetNow - rowTime + 1, false},
		{"by as much", budgetNow - rowTime, true},
	} {
		require.Equal(t, row.joins, b.Join(1, row.now), row.name)
	}
	a.Renew(budgetNow - rowTime)
	require.False(t, b.Join(2, budgetNow-rowTime))
}

// TestHeadcountRenews stores no more often than it must.
func TestHeadcountRenews(t *testing.T) {
	table := &contendedBytes{}
	h := &Headcount{Table: table, ID: 1}
	h.Renew(budgetNow)
	require.Empty(t, table.value) // it has none to count
	require.True(t, h.Join(1, budgetNow))
	before := bytes.Clone(table.value)
	h.Renew(budgetNow + renewTime - 1)
	require.Equal(t, before, table.value)
	h.Renew(budgetNow + renewTime)
	require.NotEqual(t, before, table.value)
}

func TestHeadcountAllocatesNothing(t *testing.T) {
	table := &contendedBytes{value: make([]byte, 1, 1000)}
	a, b := &Headcount{Table: table, ID: 1}, &Headcount{Table: table, ID: 2}
	require.True(t, a.Join(10, budgetNow))
	require.True(t, b.Join(10, budgetNow))
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		require.True(t, a.Join(3, budgetNow))
		a.Leave(budgetNow)
	}))
}

// FuzzHeadcount takes any table that shared data may hold.
func FuzzHeadcount(f *testing.F) {
	f.Add([]byte{0})
	f.Add(make([]byte, 2*rowBytes+1))
	f.Fuzz(func(t *testing.T, value []byte) {
		table := &contendedBytes{value: bytes.Clone(value)}
		h := &Headcount{Table: table, ID: 1}
		if h.Join(5, budgetNow) {
			require.Zero(t, len(table.value)%rowBytes)
		}
		require.LessOrEqual(t, len(table.value), len(value)+rowBytes)
	})
}
