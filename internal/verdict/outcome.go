package verdict

import (
	"fmt"
	"slices"
	"time"

	"l4dump/internal/replay"
)

// Outcome is what a run says.
type Outcome uint8

// The outcomes; Code is the exit code of each.
const (
	Same         Outcome = iota // enough was compared, and it is the same
	Changed                     // something differs
	Slower                      // it answers the same, later
	Failed                      // the target did not serve
	Inconclusive                // nobody can tell
)

var outcomeNames = [...]string{"same", "changed", "slower", "failed", "inconclusive"}

// String returns the outcome as a word.
func (o Outcome) String() string { return outcomeNames[o] }

// MarshalText implements encoding.TextMarshaler.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Code is the exit code.
func (o Outcome) Code() int {
	switch o {
	case Same:
		return 0
	case Inconclusive:
		return 3
	default:
		return 1
	}
}

// Limits are what a run must keep to be conclusive.
type Limits struct {
	Coverage float64       // share of the selected turns that must be compared
	Masked   float64       // share of a class's bytes that may be noise
	Gates    float64       // share of the turns whose gate may be forced
	Raw      float64       // share of the connections whose protocol may be lost
	Alike    float64       // share of the turns that may fail at both services though they did not when they were recorded
	Margin   float64       // share of the baseline's median that the target may be slower
	Shift    time.Duration // of the baseline against itself
}

// DefaultLimits are the limits unless others are given.
func DefaultLimits() Limits {
	return Limits{Coverage: 0.95, Masked: 0.2, Gates: 0.01, Raw: 0.05, Alike: 0.05, Margin: 0.2}
}

// Judgment is the outcome of a run and why.
type Judgment struct {
	Outcome Outcome
	Reasons []string // of what makes it so, and of what else is doubtful
}

// Judge says what the results mean. faults are what is wrong with the recording, in words.
func (r *Results) Judge(limits Limits, faults []string) Judgment {
	var j Judgment
	say := func(format string, args ...any) { j.Reasons = append(j.Reasons, fmt.Sprintf(format, args...)) }
	doubts := r.doubts(limits, faults)
	certain := 0
	for i := range r.Findings {
		if !r.Findings[i].Doubtful {
			certain++
		}
	}
	if n := len(r.Findings) - certain; n > 0 {
		doubts = append(doubts, fmt.Sprintf("differences that were not found again each time, or that the baseline has too, and may be chance: %d", n))
	}
	switch {
	case certain > 0:
		j.Outcome = Changed
		say("%d of %d turns differ; differences of one kind and place: %d", r.Turns.Different, r.Turns.Selected, certain)
	case r.Connections > 0 && r.Unreached == r.Connections:
		j.Outcome = Failed
		say("the target could not be reached")
	case r.Failure != "":
		j.Outcome = Failed
		say("%s", r.Failure)
	case slices.ContainsFunc(r.Latencies, func(l Latency) bool { return l.Slower(limits.Margin, limits.Shift) }):
		j.Outcome = Slower
		for i := range r.Latencies {
			if l := &r.Latencies[i]; l.Slower(limits.Margin, limits.Shift) {
				say("%s is slower: the median is %v instead of %v, at least %v more", l.Class, l.P50[1], l.P50[0], l.Least)
			}
		}
	case len(doubts) > 0:
		j.Outcome = Inconclusive
	}
	j.Reasons = append(j.Reasons, doubts...)
	return j
}

// doubts are the reasons for which a run is not conclusive.
func (r *Results) doubts(limits Limits, faults []string) (doubts []string) {
	say := func(format string, args ...any) { doubts = append(doubts, fmt.Sprintf(format, args...)) }
	compared := r.Turns.Equal + r.Turns.Masked + r.Turns.Different + r.Turns.Dependent
	switch {
	case r.Turns.Selected == 0:
		say("nothing was compared")
	case float64(compared) < limits.Coverage*float64(r.Turns.Selected):
		say("%d of %d turns were compared, want %g %%", compared, r.Turns.Selected, 100*limits.Coverage)
	}
	if r.Forced > 0 && float64(r.Forced) > limits.Gates*float64(r.Turns.Selected) {
		say("turns that were sent before the target had answered what the recorded client had waited for: %d", r.Forced)
	}
	if r.Raw > 0 && float64(r.Raw) > limits.Raw*float64(r.Connections) {
		say("the answers of %d of %d connections were not the protocol's", r.Raw, r.Connections)
	}
	if r.Unreached > 0 && r.Unreached < r.Connections {
		say("%d of %d connections could not be made", r.Unreached, r.Connections)
	}
	if n := r.Hows[replay.Faulty.String()]; r.Unread > 0 || n > 0 {
		say("the playbook could not be read: %d turns, %d connections", r.Unread, n)
	}
	if r.Alike > 0 && float64(r.Alike) > limits.Alike*float64(r.Turns.Selected) {
		say("turns that fail at the baseline and at the target, and did not when they were recorded: %d; do both have the recording's state?", r.Alike)
	}
	for i := range r.Classes {
		c := &r.Classes[i]
		switch {
		case c.MaskedBytes > 0 && float64(c.MaskedBytes) > limits.Masked*float64(c.Bytes):
			say("%s: %d of %d bytes of the answers are noise", c.name(), c.MaskedBytes, c.Bytes)
		case c.WholeMasked > 0:
			say("%s: %d answers are noise as a whole", c.name(), c.WholeMasked)
		}
	}
	return append(doubts, faults...)
}

func (c *Class) name() string {
	if c.Class == "" {
		return c.Protocol
	}
	return c.Class
}
