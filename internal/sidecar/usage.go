package sidecar

import (
	"math"
	"time"
)

// Figure is one measured percentage.
type Figure struct {
	Percent float64   // 0 to 100
	Source  string    // what was measured, as "host:/proc/stat"
	Taken   time.Time // when
}

// Measurement is what was measured last.
type Measurement struct {
	CPU, Memory Figure
	Note        string // what cannot be measured, for people; empty if nothing is missing
	Failure     string // why nothing newer can be measured, for people; empty if it can
}

// UsageSource is where CPU and memory come from. Latest returns the last measurement at once, and false while there is
// none, of which only Failure is set then; it is called by many goroutines.
type UsageSource interface {
	Latest() (m Measurement, ok bool)
}

// reading is both figures at one moment.
type reading struct {
	cpu, memory Figure
	note        string
	failure     string
	ok          bool
}

// read takes the latest reading of source. Figures that are no percentages are none.
func read(source UsageSource) reading {
	if source == nil {
		return reading{}
	}
	m, ok := source.Latest()
	if !ok || math.IsNaN(m.CPU.Percent) || math.IsNaN(m.Memory.Percent) {
		return reading{failure: m.Failure}
	}
	m.CPU.Percent = min(max(m.CPU.Percent, 0), 100)
	m.Memory.Percent = min(max(m.Memory.Percent, 0), 100)
	return reading{cpu: m.CPU, memory: m.Memory, note: m.Note, failure: m.Failure, ok: true}
}

// fresh reports whether both figures are known and not older than staleAfter.
func (r reading) fresh(now time.Time, staleAfter time.Duration) bool {
	return r.ok && now.Sub(r.cpu.Taken) <= staleAfter && now.Sub(r.memory.Taken) <= staleAfter
}

// message returns the reading as the API shows it, or nil.
func (r reading) message(now time.Time) *Usage {
	if !r.ok {
		return nil
	}
	return &Usage{CPU: r.cpu.message(now), Memory: r.memory.message(now)}
}

func (f Figure) message(now time.Time) UsageFigure {
	return UsageFigure{Percent: f.Percent, Source: f.Source, AgeMillis: max(now.Sub(f.Taken).Milliseconds(), 0)}
}
