package strategy

// Usage is a reading of CPU and memory, in percent.
type Usage struct {
	CPU    float64
	Memory float64
}

// Fuse stops recording while CPU or memory is at its limit. It has hysteresis, so that usage around a limit does not
// make it flap. The zero Fuse is closed: recording continues.
type Fuse struct {
	reason Reason
	good   int // readings in a row under the limits, while open
}

// Reason returns why the fuse is open, CPULimit or MemoryLimit, or Recorded.
func (f *Fuse) Reason() Reason { return f.reason }

// Read takes a new reading. The fuse opens if usage is at its limit or over it. It closes again when both are c.Margin
// points under their limits, or after c.Readings readings in a row under the limits.
func (f *Fuse) Read(u Usage, s Strategy, c FuseConfig) {
	if reason := u.over(&s); reason != Recorded {
		*f = Fuse{reason: reason}
		return
	}
	if f.reason == Recorded {
		return
	}
	f.good++
	clear := u.CPU <= s.CPUMaxRate-c.Margin && u.Memory <= s.MemMaxRate-c.Margin
	if clear || f.good >= c.Readings {
		*f = Fuse{}
	}
}
