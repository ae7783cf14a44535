package strategy

// ShedLevel is what is given up so that the limits of CPU and memory are not reached.
type ShedLevel uint8

// The levels. Each gives up what those before it do.
const (
	ShedNothing ShedLevel = iota
	ShedSome              // a part of the new connections
	ShedNew               // all new connections
	ShedPayload           // all but the first ShedBytes of each read
)

// ShedBytes is what ShedPayload keeps of a read.
const ShedBytes = 256

// The depths at which the levels after ShedSome begin: 0 is where shedding begins, 1 is at the limit.
const (
	depthOfNew     = 0.5
	depthOfPayload = 0.8
)

// Shedding is how much is given up near a limit, and because of which.
type Shedding struct {
	Level  ShedLevel
	Reason Reason  // CPULimit or MemoryLimit; Recorded if Level is ShedNothing
	Rate   float64 // of ShedSome: the share of the new connections that are recorded
}

// shedding returns what is given up at usage u, which is under the limits of s. It begins soft percentage points under
// each, or halfway to it if that is later; with 0, nothing is.
func (u *Usage) shedding(s *Strategy, soft float64) Shedding {
	reason, depth := CPULimit, depthOf(u.CPU, s.CPUMaxRate, soft)
	if memory := depthOf(u.Memory, s.MemMaxRate, soft); memory > depth {
		reason, depth = MemoryLimit, memory
	}
	switch {
	case depth <= 0:
		return Shedding{}
	case depth < depthOfNew:
		return Shedding{Level: ShedSome, Reason: reason, Rate: 1 - depth/depthOfNew}
	case depth < depthOfPayload:
		return Shedding{Level: ShedNew, Reason: reason}
	}
	return Shedding{Level: ShedPayload, Reason: reason}
}

func depthOf(percent, limit, soft float64) float64 {
	if soft == 0 {
		return 0
	}
	return 1 - (limit-percent)/min(soft, limit/2)
}

// New returns why a connection of which nothing is recorded yet does not begin to be recorded, or Recorded. seed is the
// connection's own, always the same, so that it is taken or left as a whole. Allocation-free.
func (d *Decision) New(seed uint64) Reason {
	s := &d.Shedding
	if d.Begin == Recorded && s.Level != ShedNothing && float64(mix(seed)>>32) >= s.Rate*(1<<32) {
		return s.Reason
	}
	return d.Begin
}

// Keep returns how many bytes of a read of n may be recorded.
func (s *Shedding) Keep(n int) int {
	if s.Level == ShedPayload {
		return min(n, ShedBytes)
	}
	return n
}
