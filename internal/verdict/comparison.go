package verdict

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	"l4dump/internal/verdict/difference"
	"l4dump/internal/verdict/noise"
)

// Comparison plays a playbook as often as a verdict needs:
//
//	learn     baseline and twin         in what do answers of one service differ from each other?
//	check     baseline and twin         does what was learned cover it?
//	compare   baseline and target       in what does the target differ?
//	confirm   baseline and target       only connections with findings: is it found again?
//
// Without a baseline, the target is compared with the recording, and there is nothing to learn from.
type Comparison struct {
	Target   replay.Target
	Baseline *replay.Target // nil: the recording
	// Twin is another instance of the baseline, with a state of its own; nil: the baseline itself, which then gets each
	// turn twice: turns that may write are not learned from.
	Twin     *replay.Target
	Writes   func(protocol, class string) bool // whether turns of a class may write; nil: none does
	Protocol func(name string) protocol.Protocol
	Rules    []noise.Rule // what is noise besides what is learned
	Frozen   bool         // learn nothing: Rules are all
	Confirm  int          // passes
	Margin   float64      // as Limits.Margin: times that exceed it are measured again
	Turns    uint64       // that a whole pass has: what is not played counts
	// Reset brings the services to the state in which the recording began. It is called before each pass; nil: nothing
	// needs it.
	Reset func(ctx context.Context, pass string) error
	// Play plays the scripts of a pass to its targets.
	Play func(ctx context.Context, pass *Pass) error
}

// ComparePass is the name of the pass that a verdict is about.
const ComparePass = "compare"

// Pass is one time that scripts are played.
type Pass struct {
	Name     string // "learn", "check", "compare", "confirm 1"
	Targets  []replay.Target
	Observer replay.Observer
	Only     map[int]bool // indices of scripts in the playbook; nil: all
}

// Compared is what a Comparison has found.
type Compared struct {
	*Results
	Noise   *noise.Set   // what was taken for noise, and how often
	Learned []noise.Rule // sorted
	// Alarms are findings of the baseline against itself with all that is known and learned: more of the same in the
	// target's findings means nothing.
	Alarms []Finding
	// Shift is the largest difference of the baseline's times from its own in a class.
	Shift time.Duration
	// Unconfirmed is why not all findings were looked for as often as was wanted; nil: they were.
	Unconfirmed error
}

// Judge says what was found, as Results.Judge does, with what the baseline differs from itself in taken into account.
func (c *Compared) Judge(limits Limits, faults []string) (Judgment, Limits) {
	limits.Shift = c.Shift
	if len(c.Alarms) > 0 {
		faults = append(faults[:len(faults):len(faults)], fmt.Sprintf(
			"the baseline differs from itself, after all noise that is known and learned; differences of one kind and place: %d", len(c.Alarms)))
	}
	if c.Unconfirmed != nil {
		faults = append(faults[:len(faults):len(faults)], "not all differences were looked for again: "+c.Unconfirmed.Error())
	}
	return c.Results.Judge(limits, faults), limits
}

// Run compares. An error is one of Reset or of Play before anything was compared, with the pass's name.
func (c *Comparison) Run(ctx context.Context) (*Compared, error) {
	found := &Compared{}
	rules := c.Rules
	var checked *Results
	if c.Baseline != nil && !c.Frozen {
		var learner noise.Learner
		twice, leaveOut := []replay.Target{*c.Baseline, *cmp.Or(c.Twin, c.Baseline)}, c.Writes
		if c.Twin != nil {
			leaveOut = nil
		}
		if _, err := c.pass(ctx, "learn", twice, nil, Options{Noise: noise.NewSet(rules...), Learner: &learner, LeaveOut: leaveOut}); err != nil {
			return nil, err
		}
		found.Learned, _ = learner.Rules()
		rules = append(rules[:len(rules):len(rules)], found.Learned...)
		var err error
		if checked, err = c.pass(ctx, "check", twice, nil, Options{Noise: noise.NewSet(rules...), LeaveOut: leaveOut}); err != nil {
			return nil, err
		}
		found.Alarms = checked.Findings
		for i := range checked.Latencies {
			found.Shift = max(found.Shift, checked.Latencies[i].Shift.Abs())
		}
	}
	targets := []replay.Target{c.Target}
	if c.Baseline != nil {
		targets = []replay.Target{*c.Baseline, c.Target}
	}
	found.Noise = noise.NewSet(rules...)
	var err error
	if found.Results, err = c.pass(ctx, ComparePass, targets, nil, Options{Noise: found.Noise}); err != nil {
		return nil, err
	}
	if missed := c.Turns - min(c.Turns, found.Turns.Selected); missed > 0 { // of connections that did not begin
		found.Turns.Selected += missed
		found.Turns.NotReplayed += missed
	}
	if ctx.Err() != nil {
		return found, nil // what was seen until then is told
	}
	found.Unconfirmed = c.confirm(ctx, targets, rules, found)
	found.doubt(checked)
	return found, nil
}

// pass plays once, to targets, the scripts in only.
func (c *Comparison) pass(ctx context.Context, name string, targets []replay.Target, only map[int]bool, o Options) (*Results, error) {
	if c.Reset != nil {
		if err := c.Reset(ctx, name); err != nil {
			return nil, fmt.Errorf("reset before the pass %q: %w", name, err)
		}
	}
	o.Baseline, o.Protocol = len(targets) == 2, c.Protocol
	collector := NewCollector(o)
	if err := c.Play(ctx, &Pass{Name: name, Targets: targets, Observer: collector, Only: only}); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return collector.Results(), nil
}

// confirm plays the connections of found's examples again, and says of each finding how often it was found again.
func (c *Comparison) confirm(ctx context.Context, targets []replay.Target, rules []noise.Rule, found *Compared) error {
	if c.Confirm == 0 {
		return nil
	}
	if slices.ContainsFunc(found.Latencies, func(l Latency) bool { return l.Slower(c.Margin, found.Shift) }) {
		again, err := c.pass(ctx, "confirm times", targets, nil, Options{Noise: noise.NewSet(rules...)})
		if err != nil {
			return err
		}
		found.leastOf(again)
	}
	if len(found.Findings) == 0 {
		return nil
	}
	only := map[int]bool{}
	for i := range found.Findings {
		for _, e := range found.Findings[i].Examples {
			only[e.Script] = true
		}
	}
	for n := range c.Confirm {
		again, err := c.pass(ctx, fmt.Sprintf("confirm %d", n+1), targets, only, Options{Noise: noise.NewSet(rules...)})
		if err != nil {
			return err
		}
		seen := map[findingKey]bool{}
		for i := range again.Findings {
			seen[again.Findings[i].key()] = true
		}
		for i := range found.Findings {
			f := &found.Findings[i]
			f.Reruns++
			if seen[f.key()] {
				f.Seen++
			}
		}
	}
	return nil
}

// leastOf takes of each class the smaller shift of two passes: what is slower once may be the machine.
func (r *Results) leastOf(again *Results) {
	for i := range r.Latencies {
		l := &r.Latencies[i]
		at := slices.IndexFunc(again.Latencies, func(o Latency) bool { return o.Protocol == l.Protocol && o.Class == l.Class })
		if at < 0 {
			l.Shift, l.Least = 0, 0
			continue
		}
		l.Shift, l.Least = min(l.Shift, again.Latencies[at].Shift), min(l.Least, again.Latencies[at].Least)
	}
}

// doubt finds the findings that may be chance: they were not found again each time, or the baseline has them too. checked
// is the baseline against itself; nil: there is none, and nothing to compare how often with.
func (r *Results) doubt(checked *Results) {
	var uncertain []*Finding
	times := map[findingKey]uint64{} // in how many connections the baseline has a finding, too
	if checked != nil {
		for i := range checked.Findings {
			times[checked.Findings[i].key()] = checked.Findings[i].Connections
		}
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Seen < f.Reruns || times[f.key()] > 0 {
			uncertain = append(uncertain, f)
		}
	}
	chances := make([]float64, len(uncertain))
	for i, f := range uncertain {
		switch {
		case checked == nil:
			chances[i] = 1
		case f.breaks():
			chances[i] = breakChance(uncertain, checked, r)
		default:
			chances[i] = chance(times[f.key()], checked.connections(f), f.Connections, r.connections(f))
		}
	}
	for i, significant := range falseDiscovery(chances, maxFalse) {
		uncertain[i].Doubtful = !significant
	}
}

// breaks reports whether the finding is one of broken connections. A connection has at most one of them.
func (f *Finding) breaks() bool {
	return f.Kind == difference.NoAnswer || f.Kind == difference.EarlyEnd
}

// breakChance is the probability that as many of the target's connections break, or more, though they break no more
// often than the baseline's. A service that now and then breaks one does so whatever is asked: all classes count
// together.
func breakChance(uncertain []*Finding, checked, compared *Results) float64 {
	var a, b uint64
	for i := range checked.Findings {
		if f := &checked.Findings[i]; f.breaks() {
			a += f.Connections
		}
	}
	for _, f := range uncertain {
		if f.breaks() {
			b += f.Connections
		}
	}
	return chance(a, checked.Connections, b, compared.Connections)
}

// chance is the probability that b of m connections of the target have a finding, or more, though it has it no more often
// than the baseline, of which a of n have it.
func chance(a, n, b, m uint64) float64 {
	return fisher(int(a), int(max(a, n)), int(b), int(max(b, m)))
}

// connections returns how many connections have turns of the finding's class.
func (r *Results) connections(f *Finding) uint64 {
	if class := r.Class(f.Protocol, f.Class); class != nil {
		return class.Connections
	}
	return 0
}
