package replay

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"l4dump/internal/playbook"
)

// PaceKind is when steps are due.
type PaceKind uint8

// The kinds.
const (
	// PaceNone sends each step as soon as its gate is open.
	PaceNone PaceKind = iota
	// PaceRecorded begins connections and sends steps at their recorded times, and no step before its gate is open.
	PaceRecorded
	// PaceThink begins connections at their recorded times, and sends each step as long after its gate has opened as in
	// the recording.
	PaceThink
)

// Pace is when steps are due, and by what recorded times are divided.
type Pace struct {
	Kind  PaceKind
	Speed float64
}

// schedule is when each connection begins, on one clock: nothing adds up from one wait to the next.
type schedule struct {
	pace   Pace
	t0     time.Time
	first  int64 // when the recording begins
	ramp   time.Duration
	starts []start
	slots  int // with PaceNone: how many connections the ramp ends with
}

// start is a script that is played once.
type start struct {
	at           time.Duration // since t0
	script, copy int32
}

// maxPhase bounds by how much a copy is shifted, in recorded time.
const maxPhase = 10 * time.Second

func newSchedule(book *playbook.Playbook, options *Options, t0 time.Time) schedule {
	s := schedule{pace: options.Pace, t0: t0, first: book.Totals.Start, ramp: options.Ramp, slots: options.Connections}
	s.starts = make([]start, 0, book.Len()*options.Copies)
	random := rand.New(rand.NewPCG(options.Seed, 0)) //nolint:gosec // copies are to be spread, not to be secret
	phases := time.Duration(min(book.Totals.End-book.Totals.Start, int64(maxPhase)))
	for c := range options.Copies {
		for i := range book.Len() {
			if options.Only != nil && !options.Only[i] {
				continue
			}
			at := time.Duration(0)
			if s.pace.Kind != PaceNone {
				at = time.Duration(book.Start(i) - s.first)
				if c > 0 && phases > 0 {
					at += time.Duration(random.Int64N(int64(phases)))
				}
				at = s.scale(int64(at))
			}
			s.starts = append(s.starts, start{at, int32(i), int32(c)})
		}
	}
	if s.pace.Kind != PaceNone {
		slices.SortStableFunc(s.starts, func(a, b start) int { return int(min(max(a.at-b.at, -1), 1)) })
	}
	for i := range s.starts {
		s.starts[i].at = s.slow(s.starts[i].at, i)
	}
	return s
}

// scale turns a recorded duration into one of the run.
func (s *schedule) scale(recorded int64) time.Duration {
	return time.Duration(math.Round(float64(recorded) / s.pace.Speed))
}

// slow spreads the first connections over the ramp. With PaceNone, one more may be open each ramp/slots. Else the pace
// grows evenly from 0 to what it is to be: what is due at t up to ramp/2 is due at √(2·ramp·t), what comes later ramp/2
// later.
func (s *schedule) slow(at time.Duration, index int) time.Duration {
	switch {
	case s.ramp <= 0:
		return at
	case s.pace.Kind == PaceNone:
		return time.Duration(float64(s.ramp) * float64(min(index, s.slots-1)) / float64(s.slots))
	case at < s.ramp/2:
		return time.Duration(math.Sqrt(2 * float64(s.ramp) * float64(at)))
	}
	return at + s.ramp/2
}

func (s *schedule) len() int { return len(s.starts) }

// begins returns when a connection is due.
func (s *schedule) begins(index int) time.Time { return s.t0.Add(s.starts[index].at) }

// due returns when a step is due in a connection that was due at begin, and whose gate opened at open. The zero time
// stands for at once.
func (s *schedule) due(begin, open time.Time, script *playbook.Info, step *playbook.Step) time.Time {
	switch s.pace.Kind {
	case PaceRecorded:
		return begin.Add(s.scale(step.At - script.Start))
	case PaceThink:
		return open.Add(s.scale(step.At - step.Gate.At))
	}
	return time.Time{}
}
