package strategy

import "math/rand/v2"

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
