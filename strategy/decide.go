package strategy

// Inputs are what the decision is made of.
type Inputs struct {
	_           incomparable
	Application Strategy
	Global      *Strategy // nil if there is none
	Guarded     bool      // somebody watches CPU and memory: Fresh, Usage, Soft and Fuse count
	Fresh       bool      // Usage is known, and not too old
	Usage       Usage
	Soft        float64 // FuseConfig's
	Fuse        Reason  // why the fuse is open, or Recorded. Only the plugin's has a memory
	Sink        Reason  // why the sink takes nothing, or Recorded
	Now         int64   // nanoseconds since the Unix epoch
}

// Decision is what Decide returns. Each of its reasons is Recorded if nothing is in the way, else a lasting one.
type Decision struct {
	Strategy Strategy // the one that applies
	Window   Window   // the one that began last
	Open     bool     // it has not ended
	Begin    Reason   // why nothing begins to be recorded now
	Continue Reason   // why what was begun is not continued; windows do not matter to it
	Shedding Shedding // what is given up though neither has a reason
}

// Decide says whether something is recorded now, and if not, why: the plugin and its sidecar decide with it, so that
// what the sidecar says of the plugin is so. Allocation-free.
func Decide(in *Inputs) (d Decision) {
	d.Strategy, d.Continue = Merge(in.Application, in.Global, in.Now)
	d.Window, d.Open = WindowAt(in.Now, d.Strategy)
	if d.Continue == Recorded && in.Guarded {
		if d.Continue = in.guard(&d.Strategy); d.Continue == Recorded {
			d.Shedding = in.Usage.shedding(&d.Strategy, in.Soft)
		}
	}
	if d.Continue == Recorded {
		d.Continue = in.Sink
	}
	d.Begin = d.Continue
	if !d.Open && (d.Begin == Recorded || d.Begin > WindowClosed) {
		d.Begin = WindowClosed
	}
	return d
}

func (in *Inputs) guard(s *Strategy) Reason {
	if !in.Fresh {
		return UsageUnknown
	}
	if reason := in.Usage.over(s); reason != Recorded {
		return reason
	}
	return in.Fuse
}

// over returns which limit of s the usage has reached, or Recorded.
func (u *Usage) over(s *Strategy) Reason {
	switch {
	case u.CPU >= s.CPUMaxRate:
		return CPULimit
	case u.Memory >= s.MemMaxRate:
		return MemoryLimit
	}
	return Recorded
}
