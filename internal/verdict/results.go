package verdict

import (
	"l4dump/internal/replay"
)

// Results are what a Collector has counted.
type Results struct {
	Connections uint64 // to the compared target
	Played      uint64 // whose script was done
	Unreached   uint64
	// Hows says how many connections ended how, by replay.How's words.
	Hows   map[string]uint64
	Forced uint64 // turns whose gate was opened by time alone
	Quiet  uint64 // turns whose gate was opened by silence after other bytes than were recorded
	Raw    uint64 // connections whose answers were not the protocol's any more
	Unread uint64 // turns that could not be read from the playbook
	// Alike are turns that failed at the baseline and at the target, and did not when they were recorded.
	Alike uint64
	// Failure is why the target had the run ended; empty: it did not.
	Failure  string
	Turns    Counts
	Classes  []Class
	Findings []Finding
	// Latencies are those of classes with enough turns; only with a baseline.
	Latencies []Latency
}

// Results returns what was counted so far.
func (c *Collector) Results() *Results {
	r := &Results{
		Connections: c.ends.connections.Load(), Played: c.ends.played.Load(), Hows: map[string]uint64{},
		Unreached: c.ends.failed[replay.DialFailed].Load(),
		Forced:    c.ends.gates[replay.Forced].Load(), Quiet: c.ends.gates[replay.Quiet].Load(),
		Raw: c.ends.raw.Load(), Unread: c.ends.unread.Load(), Alike: c.ends.alike.Load(),
	}
	for how := range c.ends.failed {
		if n := c.ends.failed[how].Load(); n > 0 {
			r.Hows[replay.How(how).String()] = n
		}
	}
	r.Classes, r.Findings = c.tally.results()
	for i := range r.Classes {
		class := &r.Classes[i]
		class.Selected = class.Equal + class.Masked + class.Different + class.Dependent + class.NotCompared + class.NotReplayed
		r.Turns.add(class.Counts)
		if !c.options.Baseline {
			continue
		}
		if l, ok := class.latency(); ok {
			r.Latencies = append(r.Latencies, l)
		}
	}
	return r
}

// Class returns what is known of a class; nil if it has no turns.
func (r *Results) Class(protocol, class string) *Class {
	for i := range r.Classes {
		if r.Classes[i].Protocol == protocol && r.Classes[i].Class == class {
			return &r.Classes[i]
		}
	}
	return nil
}
