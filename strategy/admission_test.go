package strategy

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// contended is a number that other workers store to between each fourth Load and its Store.
type contended struct {
	n       int64
	version uint32
	loads   int
}

func (c *contended) Load() (int64, uint32) {
	version := c.version
	if c.loads++; c.loads%4 == 0 {
		c.version++
	}
	return c.n, version
}

func (c *contended) Store(n int64, version uint32) bool {
	if version != c.version {
		return false
	}
	c.n, c.version = n, version+1
	return true
}

func newShared() *Shared {
	return &Shared{SpentUntil: &contended{}, Live: &Headcount{Table: &contendedBytes{}, ID: 1}, Window: &contended{}, WindowBytes: &contended{}}
}

// load is what clients do: each has one connection after the other, of so many reads.
type load struct {
	clients int
	reads   func(r *rand.Rand) []int // the sizes of a connection's reads
	factor  float64                  // times the budget that all clients together offer
	pause   func(r *rand.Rand) int64 // between two reads, if factor is 0
	start   func(client int) int64   // when a client begins
}

// outcome is what became of a simulated load.
type outcome struct {
	seen, recorded, ended, whole int
	cost                         int64 // of everything recorded
	sizes, wholeSizes            []int // of all ended connections and of the whole ones
	perWindow                    map[int64]int
	maxLive                      int
}

type client struct {
	worker   int
	at       int64
	reads    []int
	next     int
	claim    *Claim
	admitted bool
}

// simulate runs a load on workers for a time, in nanoseconds.
func simulate(c *Capture, l load, workers int, span int64, seed uint64) (o outcome) {
	const begin = 1_800_000_000 * nanosecondsPerSecond
	const most = 1792
	const tick = nanosecondsPerSecond / 4
	r := rand.New(rand.NewPCG(seed, 2))
	shared := newShared()
	admissions := make([]Admission, workers)
	clients := make([]client, l.clients)
	o.perWindow = map[int64]int{}
	for i := range clients {
		clients[i] = client{worker: i % workers, at: begin + int64(i)*1000}
		if l.start != nil {
			clients[i].at = begin + l.start(i)
		}
	}
	live := 0
	ticks := int64(begin)
	for {
		k := &clients[0]
		for i := range clients {
			if clients[i].at < k.at {
				k = &clients[i]
			}
		}
		now := k.at
		if now >= begin+span {
			return o
		}
		for ; ticks <= now; ticks += tick {
			for i := range admissions {
				admissions[i].Expire(shared.SpentUntil, ticks)
			}
		}
		a := &admissions[k.worker]
		w := Window{Start: now / nanosecondsPerSecond / 30 * 30, Interval: 30}
		if k.claim == nil {
			k.claim, k.reads, k.next = &Claim{}, l.reads(r), 0
			k.admitted = a.Admit(c, shared, w, k.claim, now) == Recorded
			o.seen++
			if k.admitted {
				o.recorded++
				o.perWindow[w.Start]++
				o.cost += controlLines * c.controlCost()
				live++
				o.maxLive = max(o.maxLive, live)
			}
		}
		n := k.reads[k.next]
		switch {
		case k.claim.Reason() != Recorded:
			a.Count(c, k.claim, n, most)
		case a.Take(c, w, k.claim, n, most, now) == Recorded:
			o.cost += (&Admission{}).count(c, &Claim{}, n, most)
		}
		k.next++
		if l.factor > 0 {
			cost := max(costOf(int64(n), c.MaxBytesPerSecond), int64((n+most-1)/most)*costOf(1, c.MaxLinesPerSecond))
			k.at += int64(float64(cost) * float64(l.clients) / l.factor * (0.8 + 0.4*r.Float64()))
		} else {
			k.at += l.pause(r)
		}
		if k.next == len(k.reads) {
			size := 0
			for _, n := range k.reads {
				size += n
			}
			o.sizes = append(o.sizes, size)
			if k.admitted {
				live--
				o.ended++
				if k.claim.Reason() == Recorded {
					o.whole++
					o.wholeSizes = append(o.wholeSizes, size)
				}
			}
			a.Close(c, k.claim, k.at)
			k.claim = nil
		}
	}
}

func chunks(first, rest int) []int {
	reads := []int{}
	if first > 0 {
		reads = append(reads, first)
	}
	for ; rest > 0; rest -= 64 << 10 {
		reads = append(reads, min(rest, 64<<10))
	}
	return reads
}

func messages(n int) []int {
	reads := make([]int, n)
	for i := range reads {
		reads[i] = 64
	}
	return reads
}

// TestAdmissionUnderLoad holds what is recorded of a load to the budget, and to whole connections.
func TestAdmissionUnderLoad(t *testing.T) {
	config := DefaultConfig()
	large := func(r *rand.Rand) []int { return chunks(64, 256<<10+r.IntN(3840<<10)) }
	medium := func(r *rand.Rand) []int { return chunks(0, 48<<10+r.IntN(32<<10)) }
	many := func(*rand.Rand) []int { return messages(100) }
	few := func(*rand.Rand) []int { return messages(2) }
	mixed := func(r *rand.Rand) []int {
		if r.IntN(10) == 0 {
			return chunks(0, 4<<20)
		}
		return []int{1000}
	}
	const short = 8
	for _, row := range []struct {
		name        string
		reads       func(*rand.Rand) []int
		factor      float64
		seconds     int64
		least, most float64 // percent of the budget
	}{
		{"64 KiB, 10 times", medium, 10, short, 70, 120},
		{"64 KiB, 10 times, long", medium, 10, 60, 70, 120},
		{"64 KiB, 40 times", medium, 40, short, 70, 120},
		{"64 KiB, 40 times, long", medium, 40, 60, 70, 120},
		// In 8 s half a connection more or less is a quarter of the budget: of 20 seeds, 5 at 40 times make over 120, up to 122.
		{"256 KiB to 4 MiB, 10 times", large, 10, short, 70, 120},
		{"256 KiB to 4 MiB, 10 times, long", large, 10, 60, 70, 120},
		{"256 KiB to 4 MiB, 40 times", large, 40, short, 70, 120},
		{"256 KiB to 4 MiB, 40 times, long", large, 40, 60, 70, 120},
		{"100 requests, 10 times", many, 10, short, 70, 120},
		{"100 requests, 10 times, long", many, 10, 60, 70, 120},
		{"100 requests, 40 times", many, 40, short, 70, 120},
		{"2 requests, 10 times", few, 10, short, 70, 120},
		{"2 requests, 40 times", few, 40, 3, 70, 120},
		// The clients are held by their large connections most of the time: whenever the allowance is full, it waits
		// for one to begin.
		{"90 % 1 KB, 10 % 4 MiB, 10 times", mixed, 10, 60, 60, 120},
		{"90 % 1 KB, 10 % 4 MiB, 40 times", mixed, 40, 60, 70, 120},
	} {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d workers", row.name, workers), func(t *testing.T) {
				if row.seconds > short && os.Getenv("HEAVY") != "true" {
					t.Skip("skipped without HEAVY=true: run make test-heavy")
				}
				span := row.seconds * nanosecondsPerSecond
				o := simulate(&config.Capture, load{clients: 16, reads: row.reads, factor: row.factor}, workers, span, 1)
				share := 100 * float64(o.cost) / float64(span)
				t.Logf("%d of %d recorded, %d of %d ended whole, %.0f %% of the budget", o.recorded, o.seen, o.whole, o.ended, share)
				require.GreaterOrEqual(t, o.whole*100, o.ended*95)
				require.GreaterOrEqual(t, share, row.least)
				require.LessOrEqual(t, share, row.most)
			})
		}
	}
}

func TestAdmissionOfOtherLoads(t *testing.T) {
	const second = nanosecondsPerSecond
	limited := DefaultConfig().Capture
	some, few, free := limited, limited, Capture{}
	some.MaxConnections = 3
	few.MaxConnectionsPerWindow = 5
	stream := func(*rand.Rand) []int { return chunks(0, 1<<30) }
	trickle := func(*rand.Rand) []int { return messages(100_000) }
	small := func(*rand.Rand) []int { return messages(2) }
	every := func(ns int64) func(*rand.Rand) int64 { return func(*rand.Rand) int64 { return ns } }
	for _, row := range []struct {
		name    string
		capture Capture
		load    load
		check   func(t *testing.T, o *outcome)
	}{
		// Of streams that come at once one is taken, and its rate leaves no room for others.
		{"streams at once", limited, load{clients: 16, reads: stream, pause: every(second / 16)}, func(t *testing.T, o *outcome) {
			require.Equal(t, 1, o.recorded)
			require.Greater(t, o.cost, 55*int64(second))
		}},
		// They come before anything is known of them: the debt stays within its bound, since the youngest are given up.
		{"streams one after the other", limited, load{
			clients: 16, reads: stream, pause: every(second / 8), start: func(i int) int64 { return int64(i) * second * 103 / 100 },
		}, func(t *testing.T, o *outcome) {
			require.Less(t, o.cost, 72*int64(second))
			require.Greater(t, o.cost, 42*int64(second))
		}},
		// Those that are quiet hold nothing: more and more are admitted.
		{"trickles", limited, load{
			clients: 100, reads: trickle, pause: every(second), start: func(i int) int64 { return int64(i) * second / 5 },
		}, func(t *testing.T, o *outcome) { require.Greater(t, o.recorded, 90) }},
		{"all at once, small", limited, load{clients: 1000, reads: small, pause: every(2 * second)}, func(t *testing.T, o *outcome) {
			require.Greater(t, o.recorded, 1000)
			require.Equal(t, o.whole, o.ended)
		}},
		{"no budget", free, load{clients: 16, reads: small, pause: every(second)}, func(t *testing.T, o *outcome) {
			require.Equal(t, o.seen, o.recorded)
			require.Equal(t, o.ended, o.whole)
		}},
		{"three at a time", some, load{clients: 16, reads: small, pause: every(second / 10)}, func(t *testing.T, o *outcome) {
			require.Equal(t, 3, o.maxLive)
			require.Greater(t, o.recorded, 300)
			require.Equal(t, o.ended, o.whole)
		}},
		{"five in a window", few, load{clients: 16, reads: small, pause: every(second / 10)}, func(t *testing.T, o *outcome) {
			for _, n := range o.perWindow {
				require.Equal(t, 5, n)
			}
			require.Len(t, o.perWindow, 2)
		}},
	} {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d workers", row.name, workers), func(t *testing.T) {
				o := simulate(&row.capture, row.load, workers, 60*second, 1)
				t.Logf("%d of %d recorded, %d of %d ended whole, %.0f %% of the budget, %d at a time", o.recorded, o.seen,
					o.whole, o.ended, float64(o.cost)/60e7, o.maxLive)
				row.check(t, &o)
			})
		}
	}
}

// TestAdmissionIsFair compares the sizes of what is recorded whole with those of everything.
func TestAdmissionIsFair(t *testing.T) {
	config := DefaultConfig()
	sizes := []int{1 << 10, 8 << 10, 64 << 10}
	reads := func(r *rand.Rand) []int { return chunks(0, sizes[r.IntN(len(sizes))]) }
	o := simulate(&config.Capture, load{clients: 16, reads: reads, factor: 20}, 2, 120*nanosecondsPerSecond, 1)
	require.Greater(t, len(o.wholeSizes), 1000)
	for _, size := range sizes {
		all, whole := shareOf(o.sizes, size), shareOf(o.wholeSizes, size)
		t.Logf("%d bytes: %.3f of all, %.3f of the whole", size, all, whole)
		require.InDelta(t, all, whole, 0.06) // more than three standard deviations
	}
}

func shareOf(sizes []int, size int) float64 {
	n := 0
	for _, s := range sizes {
		if s == size {
			n++
		}
	}
	return float64(n) / float64(len(sizes))
}

func TestAdmissionAllocatesNothing(t *testing.T) {
	config := DefaultConfig()
	shared := newShared()
	var a Admission
	l := new(Claim)
	now := budgetNow
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		*l = Claim{}
		a.Admit(&config.Capture, shared, Window{}, l, now)
		a.Take(&config.Capture, Window{}, l, 5000, 1792, now)
		a.Count(&config.Capture, l, 5000, 1792)
		a.Expire(shared.SpentUntil, now)
		a.Close(&config.Capture, l, now)
		now += nanosecondsPerSecond / 50
	}))
}

func TestAdmissionGivesUpTheYoungest(t *testing.T) {
	c := &Capture{MaxBytesPerSecond: 1 << 20}
	shared := newShared()
	var a Admission
	now := budgetNow
	var claims [3]Claim
	for i := range claims {
		require.Equal(t, Recorded, a.Admit(c, shared, Window{}, &claims[i], now))
		now += 3 * nanosecondsPerSecond
		a.Expire(shared.SpentUntil, now)
	}
	reasons := func() (r [3]Reason) {
		for i := range claims {
			r[i] = claims[i].Reason()
		}
		return r
	}
	take := func(i int) Reason { return a.Take(c, Window{}, &claims[i], 64<<10, 1024, now) }
	var steps [][3]Reason
	var debts []int
	for n := range 200 {
		before := reasons()
		take(0)
		if after := reasons(); after != before {
			steps, debts = append(steps, after), append(debts, n/16)
		}
	}
	require.Equal(t, [][3]Reason{
		{Recorded, Recorded, OverBudget}, {Recorded, OverBudget, OverBudget}, {OverBudget, OverBudget, OverBudget},
	}, steps)
	require.Equal(t, []int{4, 5, 8}, debts) // seconds of the budget; 8 are 8 MiB
	require.Equal(t, OverBudget, take(0))
	for i := range claims {
		a.Close(c, &claims[i], now)
	}
	require.Equal(t, BudgetBytes, a.Admit(c, shared, Window{}, new(Claim), now))
	require.Equal(t, Recorded, a.Admit(c, shared, Window{}, new(Claim), now+9*nanosecondsPerSecond))
}

// TestAdmissionOfTwoConfigurations gives up a connection of one for the debt of another's.
func TestAdmissionOfTwoConfigurations(t *testing.T) {
	c := &Capture{MaxBytesPerSecond: 1 << 20, MaxConnections: 1}
	spent := &contended{}
	mine, other := newShared(), newShared()
	mine.SpentUntil, other.SpentUntil = spent, spent
	var a Admission
	var old, young, next Claim
	now := budgetNow
	require.Equal(t, Recorded, a.Admit(c, mine, Window{}, &old, now))
	now += 3 * nanosecondsPerSecond
	a.Expire(spent, now)
	require.Equal(t, Recorded, a.Admit(c, other, Window{}, &young, now))
	for young.Reason() == Recorded {
		require.Equal(t, Recorded, a.Take(c, Window{}, &old, 64<<10, 1024, now))
	}
	require.Equal(t, []int64{1, 0}, []int64{mine.Live.live, other.Live.live})
	now += 9 * nanosecondsPerSecond
	require.Equal(t, Connections, a.Admit(c, mine, Window{}, &next, now))
	require.Equal(t, Recorded, a.Admit(c, other, Window{}, &next, now))
}

// TestAdmissionForATime gives up connections that have had their time when one of them asks, or with the next tick.
func TestAdmissionForATime(t *testing.T) {
	c := &Capture{MaxConnections: 3}
	shared := newShared()
	var a Admission
	const now = budgetNow
	claims := [3]Claim{{Until: now + 20}, {}, {Until: now + 10}}
	for i := range claims {
		require.Equal(t, Recorded, a.Admit(c, shared, Window{}, &claims[i], now))
	}
	reasons := func() [3]Reason { return [3]Reason{claims[0].Reason(), claims[1].Reason(), claims[2].Reason()} }
	for _, row := range []struct {
		name string
		at   int64
		want [3]Reason
		live int64
	}{
		{"before the first", now + 9, [3]Reason{Recorded, Recorded, Recorded}, 3},
		{"the first", now + 10, [3]Reason{Recorded, Recorded, ConnectionTime}, 2},
		{"before the second", now + 19, [3]Reason{Recorded, Recorded, ConnectionTime}, 2},
		{"the second", now + 20, [3]Reason{ConnectionTime, Recorded, ConnectionTime}, 1},
		{"much later", now + 1000*nanosecondsPerSecond, [3]Reason{ConnectionTime, Recorded, ConnectionTime}, 1},
	} {
		a.Expire(shared.SpentUntil, row.at)
		require.Equal(t, row.want, reasons(), row.name)
		require.Equal(t, row.live, shared.Live.live, row.name)
	}
	a.Outlive(&claims[1], now)
	a.Outlive(&claims[1], now)
	for i := range claims {
		a.Close(c, &claims[i], now)
	}
	require.Zero(t, shared.Live.live)
	require.Equal(t, []bool{false, true, false}, []bool{claims[2].Over(now + 9), claims[2].Over(now + 10), claims[1].Over(now)})
}

// TestAdmissionOfAWindowsBytes gives up what asks for more, begins nothing in the last eighth, and begins anew with the
// next window.
func TestAdmissionOfAWindowsBytes(t *testing.T) {
	for _, row := range []struct {
		name    string
		capture Capture
	}{
		{"alone", Capture{MaxBytesPerWindow: 8192}},
		{"with other limits", Capture{MaxBytesPerWindow: 8192, MaxBytesPerSecond: 1 << 20, MaxConnections: 10}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, shared, w := &row.capture, newShared(), Window{Start: 1_800_000_000, Interval: 30}
			now := budgetNow
			var a Admission
			admit := func() (*Claim, Reason) {
				l := new(Claim)
				now += 4 * nanosecondsPerSecond
				a.Expire(shared.SpentUntil, now)
				return l, a.Admit(c, shared, w, l, now)
			}
			first, reason := admit()
			require.Equal(t, Recorded, reason)
			require.Equal(t, Recorded, a.Take(c, w, first, 7*1024-1, 1024, now))
			second, reason := admit() // an eighth and a byte is left; the byte is of the portion that a worker has taken
			require.Equal(t, WindowBytes, reason)
			require.Equal(t, WindowBytes, a.Take(c, w, second, 1, 1024, now))
			require.Equal(t, Recorded, a.Take(c, w, first, 1025, 1024, now))
			require.Equal(t, WindowBytes, a.Take(c, w, first, 1, 1024, now))
			require.Equal(t, WindowBytes, first.Reason())
			w.Start += 30
			third, reason := admit()
			require.Equal(t, Recorded, reason)
			require.Equal(t, WindowBytes, a.Take(c, w, third, 8193, 1024, now)) // none of it is recorded
			fourth, reason := admit()                                           // what the third gave back is the worker's, for those that have begun
			require.Equal(t, WindowBytes, reason)
			for _, l := range []*Claim{first, second, third, fourth} {
				a.Close(c, l, now)
			}
			require.Zero(t, shared.Live.live)
		})
	}
}
