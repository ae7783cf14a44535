package verdict

import (
	"context"
	"fmt"
	"time"

	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	"l4dump/internal/verdict/noise"
)

// Comparison plays a playbook as often as a verdict needs:
//
//	learn     baseline and baseline     in what do answers of one service differ from each other?
//	check     baseline and baseline     does what was learned cover it?
//	compare   baseline and target       in what does the target differ?
//	confirm   baseline and target       only connections with findings: is it found again?
//
// Without a baseline, the target is compared with the recording, and there is nothing to learn from.
type Comparison struct {
	Target   replay.Target
	Baseline *replay.Target // nil: the recording
	Protocol func(name string) protocol.Protocol
	Rules    []noise.Rule // what is noise besides what is learned
	Frozen   bool         // learn nothing: Rules are all
	Confirm  int          // passes
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
		twice := []replay.Target{*c.Baseline, *c.Baseline}
		if _, err := c.pass(ctx, "learn", twice, nil, Options{Noise: noise.NewSet(rules...), Learner: &learner}); err != nil {
			return nil, err
		}
		found.Learned, _ = learner.Rules()
		rules = append(rules[:len(rules):len(rules)], found.Learned...)
		var err error
		if checked, err = c.pass(ctx, "check", twice, nil, Options{Noise: noise.NewSet(rules...)}); err != nil {
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
	found.Unconfirmed = c.confirm(ctx, targets, rules, found.Results)
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
func (c *Comparison) confirm(ctx context.Context, targets []replay.Target, rules []noise.Rule, found *Results) error {
	if len(found.Findings) == 0 || c.Confirm == 0 {
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

// doubt finds the findings that may be chance: they were not found again each time, or the baseline has them too. checked is the baseline against
// itself; nil: there is none, and nothing to compare how often with.
func (r *Results) doubt(checked *Results) {
	var uncertain []*Finding
	var chances []float64
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Seen == f.Reruns && checked.times(f) == 0 {
			continue
		}
		chance := 1.0
		if checked != nil {
			chance = f.chance(checked, r)
		}
		uncertain, chances = append(uncertain, f), append(chances, chance)
	}
	for i, significant := range falseDiscovery(chances, maxFalse) {
		uncertain[i].Doubtful = !significant
	}
}

// chance is the probability that the target has the finding in as many connections, or more, though it has it no more
// often than the baseline from itself.
func (f *Finding) chance(checked, compared *Results) float64 {
	n, m := checked.connections(f), compared.connections(f)
	a := checked.times(f)
	return fisher(int(a), int(max(a, n)), int(f.Connections), int(max(f.Connections, m)))
}

// times returns in how many connections a finding is; r may be nil.
func (r *Results) times(f *Finding) uint64 {
	if r == nil {
		return 0
	}
	for i := range r.Findings {
		if r.Findings[i].key() == f.key() {
			return r.Findings[i].Connections
		}
	}
	return 0
}

// connections returns how many connections have turns of the finding's class.
func (r *Results) connections(f *Finding) uint64 {
	for i := range r.Classes {
		if r.Classes[i].Protocol == f.Protocol && r.Classes[i].Class == f.Class {
			return r.Classes[i].Connections
		}
	}
	return 0
}
