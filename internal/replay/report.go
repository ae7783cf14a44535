package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"l4dump/internal/playbook"
)

// Report is what a run did, for a person and for programs. It does not say whether what came is right.
type Report struct {
	Target  string         `json:"target"`
	Plan    *playbook.Plan `json:"plan"`
	Outcome string         `json:"outcome"` // "played", "failed", "inconclusive"
	Why     []string       `json:"why,omitempty"`

	Seconds     float64           `json:"seconds"`
	Connections uint64            `json:"connections"` // that have begun
	Ends        map[string]uint64 `json:"ends"`        // connections by how they ended
	Reasons     []Reason          `json:"reasons,omitempty"`
	Turns       uint64            `json:"turns"`    // that were sent
	Answered    uint64            `json:"answered"` // of them
	Failed      uint64            `json:"failed"`   // of them, those not answered, or with an error where none was recorded
	Sent        uint64            `json:"bytes_sent"`
	Received    uint64            `json:"bytes_received"`
	Gates       map[string]uint64 `json:"gates"` // by what opened them
	Forced      []Reason          `json:"forced,omitempty"`
	Fallbacks   []Reason          `json:"fallbacks,omitempty"`
	Diverged    uint64            `json:"diverged"` // connections without a protocol whose lengths differ
	AtPace      *bool             `json:"at_pace,omitempty"`
	Late        *Lateness         `json:"late,omitempty"`
	Lateness    *Quantiles        `json:"lateness,omitempty"`
	Service     *Quantiles        `json:"service,omitempty"`
	Response    *Quantiles        `json:"response,omitempty"`
	Reaction    *Quantiles        `json:"reaction,omitempty"`
}

// The outcomes of a run.
const (
	Played       = "played"
	FailedToPlay = "failed"
	Inconclusive = "inconclusive"
)

// MaxForced is the share of gates that may be forced in a run of which something can be said.
const MaxForced = 0.01

// NewReport returns the report of a run that has ended with err.
func NewReport(target string, plan *playbook.Plan, pace Pace, s *Stats, err error) *Report {
	r := &Report{
		Target: target, Plan: plan, Seconds: s.Elapsed.Seconds(), Connections: s.Connections, Ends: s.Ends, Reasons: s.Reasons,
		Turns: s.Turns, Answered: s.Answered, Failed: s.Failed, Sent: s.Sent, Received: s.Received,
		Gates: map[string]uint64{}, Forced: s.Forced, Fallbacks: s.Fallbacks, Diverged: s.Diverged,
	}
	for release, n := range s.Gates {
		if n > 0 {
			r.Gates[Release(release).String()] = n
		}
	}
	for to, q := range map[**Quantiles]Quantiles{&r.Lateness: s.Lateness, &r.Service: s.Service, &r.Response: s.Response, &r.Reaction: s.Reaction} {
		if q.Count > 0 {
			*to = &q
		}
	}
	if pace.Kind != PaceNone {
		atPace := s.AtPace()
		r.AtPace, r.Late = &atPace, &s.Late
	}
	r.judge(s, err)
	return r
}

// judge finds the outcome: the worst that is true.
func (r *Report) judge(s *Stats, err error) {
	r.Outcome = Played
	say := func(outcome, format string, args ...any) {
		if r.Outcome != FailedToPlay {
			r.Outcome = outcome
		}
		r.Why = append(r.Why, fmt.Sprintf(format, args...))
	}
	for _, how := range slices.Sorted(maps.Keys(r.Ends)) {
		switch how {
		case Finished.String():
		case Exhausted.String():
			say(Inconclusive, "%s: %s", connections(r.Ends[how]), how)
		case Stopped.String():
			say(Inconclusive, "%s: stopped", connections(r.Ends[how]))
		default:
			say(FailedToPlay, "%s: %s", connections(r.Ends[how]), how)
		}
	}
	gates := uint64(0)
	for _, n := range s.Gates {
		gates += n
	}
	switch {
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrFailing):
		say(FailedToPlay, "%s", err)
	case errors.Is(err, context.Canceled):
		say(Inconclusive, "interrupted")
	case err != nil && !errors.Is(err, ErrDuration):
		say(FailedToPlay, "%s", err)
	}
	if r.Connections == 0 {
		say(Inconclusive, "nothing was played")
	}
	if forced := s.Gates[Forced]; float64(forced) > MaxForced*float64(gates) {
		say(Inconclusive, "%d of %d gates were forced", forced, gates)
	}
	if r.AtPace != nil && !*r.AtPace {
		say(Inconclusive, "not at the recorded pace: one step in a hundred was late by %s or more; %s", round(s.Lateness.P99), s.Late)
	}
}

// connections returns "1 connection" or "2 connections".
func connections(n uint64) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// String says who was late, as one line for a person.
func (l Lateness) String() string {
	most := max(l.Player, l.Target, l.Limit)
	who := "the limits of this run held it up"
	switch most {
	case l.Player:
		who = "this machine was too slow"
	case l.Target:
		who = "the target was too slow"
	}
	return fmt.Sprintf("%s (late steps: %d by the player, %d by the target, %d by limits)", who, l.Player, l.Target, l.Limit)
}

func round(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d
	}
	return d.Round(10 * time.Microsecond)
}

// WriteText writes the report for a person.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "target       %s\n", r.Target)
	r.Plan.WriteText(w)
	fmt.Fprintf(w, "\nplayed       %s in %s", connections(r.Connections), round(time.Duration(r.Seconds*float64(time.Second))))
	if r.Seconds > 0 {
		fmt.Fprintf(w, ", %.1f turns/s", float64(r.Turns)/r.Seconds)
	}
	fmt.Fprintln(w)
	for _, how := range slices.Sorted(maps.Keys(r.Ends)) {
		fmt.Fprintf(w, "             %6d  %s\n", r.Ends[how], how)
	}
	writeReasons(w, "for example", r.Reasons)
	fmt.Fprintf(w, "turns        %d sent, %d answered, %d failed; %d bytes sent, %d came back\n", r.Turns, r.Answered, r.Failed, r.Sent, r.Received)
	fmt.Fprint(w, "gates       ")
	for i := range releaseNames {
		fmt.Fprintf(w, " %d %s", r.Gates[releaseNames[i]], releaseNames[i])
		if i < len(releaseNames)-1 {
			fmt.Fprint(w, ",")
		}
	}
	fmt.Fprintln(w)
	writeReasons(w, "forced", r.Forced)
	writeReasons(w, "taken raw", r.Fallbacks)
	if r.Diverged > 0 {
		fmt.Fprintf(w, "diverged     %s without a protocol whose lengths differ\n", connections(r.Diverged))
	}
	for _, row := range []struct {
		name string
		q    *Quantiles
	}{{"service", r.Service}, {"response", r.Response}, {"lateness", r.Lateness}, {"reaction", r.Reaction}} {
		if q := row.q; q != nil {
			fmt.Fprintf(w, "%-12s p50 %s, p90 %s, p99 %s, max %s\n", row.name, round(q.P50), round(q.P90), round(q.P99), round(q.Max))
		}
	}
	fmt.Fprintf(w, "outcome      %s\n", r.Outcome)
	for _, why := range r.Why {
		fmt.Fprintf(w, "             %s\n", why)
	}
}

func writeReasons(w io.Writer, name string, reasons []Reason) {
	for _, reason := range slices.SortedFunc(slices.Values(reasons), func(a, b Reason) int { return cmp.Compare(b.Count, a.Count) }) {
		fmt.Fprintf(w, "%-12s %6d  %q\n", name, reason.Count, reason.Example)
	}
}
