package strategy

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWindowBytes has workers take all of a window's bytes, and no more.
func TestWindowBytes(t *testing.T) {
	for _, limit := range []int64{1024, 1025, 1500, 8191, 1 << 20, 1<<20 + 1, 100 << 20} {
		for _, read := range []int{1, 64, 1000, 65_537} {
			if limit/int64(read) > 1<<20 {
				continue
			}
			for _, workers := range []int{1, 2} {
				t.Run(fmt.Sprintf("%d in reads of %d, %d workers", limit, read, workers), func(t *testing.T) {
					c := &Capture{Unit: UnitBytes, MaxBytesPerWindow: limit}
					number := &contended{}
					shared := make([]Shared, workers)
					for i := range shared {
						shared[i].WindowBytes = number
					}
					w := Window{Start: 1_800_000_000, Interval: 30}
					for range 2 {
						total := int64(0)
						for last := int64(-1); last != total; {
							last = total
							for i := range shared {
								total += int64(shared[i].TakeBytes(c, w, read))
							}
						}
						require.Equal(t, limit/1024*1024, total)
						w.Start += 30
					}
				})
			}
		}
	}
}

// TestWindowBytesOfAPause says how much a worker that has no more traffic keeps from the others.
func TestWindowBytesOfAPause(t *testing.T) {
	c := &Capture{Unit: UnitBytes, MaxBytesPerWindow: 1 << 30}
	number := &contended{}
	quiet, busy := Shared{WindowBytes: number}, Shared{WindowBytes: number}
	w := Window{Start: 1_800_000_000, Interval: 30}
	require.Equal(t, 1, quiet.TakeBytes(c, w, 1))
	require.Equal(t, 1<<30-256<<10, busy.TakeBytes(c, w, 1<<30))
}

// TestWindowsOfWorkers has two workers at the border between two windows, and one whose clock was set back.
func TestWindowsOfWorkers(t *testing.T) {
	first := Window{Start: 1_800_000_000, Interval: 30}
	next := Window{Start: first.Start + 30, Interval: 30}
	for _, row := range []struct {
		name       string
		stored     Window
		at         Window
		wantStart  int64
		wantNumber int64
	}{
		{"the same", first, first, first.Start, 5},
		{"a new one", first, next, next.Start, 0},
		{"late: another worker is in the next", next, first, next.Start, 5},
		{"late, and windows are spread", Window{Start: next.Start + 29, Interval: 30}, first, next.Start + 29, 5},
		{"set back by two windows", Window{Start: next.Start + 30, Interval: 30}, first, first.Start, 0},
		{"never stored", Window{}, first, first.Start, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			number := row.stored.Start<<windowCountBits | 5
			if row.stored.Start == 0 {
				number = 0
			}
			start, n := countIn(row.at, number)
			require.Equal(t, []int64{row.wantStart, row.wantNumber}, []int64{start, n})
		})
	}
}

// outrun is a number of which other workers have always been faster, until it is let be.
type outrun struct {
	contended
	always bool
}

func (o *outrun) Store(n int64, version uint32) bool {
	return !o.always && o.contended.Store(n, version)
}

// TestWindowConnectionsOfAFasterWorker has a window that was not to be counted in not taken for one that is full.
func TestWindowConnectionsOfAFasterWorker(t *testing.T) {
	number := &outrun{always: true}
	shared := newShared()
	shared.Window = number
	c := &Capture{MaxConnectionsPerWindow: 1}
	w := Window{Start: 1_800_000_000, Interval: 30}
	var a Admission
	for _, row := range []struct {
		name   string
		always bool
		want   Reason
	}{
		{"others are faster", true, WindowConnections},
		{"they are no longer", false, Recorded},
		{"the window is full", false, WindowConnections},
	} {
		number.always = row.always
		require.Equal(t, row.want, a.Admit(c, shared, w, &Claim{}, budgetNow), row.name)
	}
}
