// Package verdict compares what a target answered with what was recorded, or with what a baseline answered at the same
// time, and says whether it is the same. Its numbers add up: each turn of each script that was played is in exactly one
// of them.
package verdict

import (
	"sync/atomic"

	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	"l4dump/internal/verdict/noise"
)

// Options are how answers are compared.
type Options struct {
	// Baseline says that target 0 is what target 1 is compared with. Without it target 0 is compared with the recording.
	Baseline bool
	// Protocol returns a protocol by name; nil for one that has no messages.
	Protocol func(name string) protocol.Protocol
	Noise    *noise.Set
	// Learner, if there is one, learns noise: target 0 and 1 are then the same service.
	Learner *noise.Learner
	// LeaveOut says which classes of turns are not compared; nil: all are.
	LeaveOut func(protocol, class string) bool
	// Waiting bounds the bytes of answers that wait for the other target's, of all connections. What is beyond is hashed.
	// 0: DefaultWaiting.
	Waiting int64
}

// DefaultWaiting is 128 MiB.
const DefaultWaiting = 128 << 20

func (o *Options) maxWaiting() int64 {
	if o.Waiting == 0 {
		return DefaultWaiting
	}
	return o.Waiting
}

// Collector is a replay.Observer that compares.
type Collector struct {
	options Options
	tally   *tally
	ends    ends
	waiting atomic.Int64 // bytes of answers that wait for the other target's
}

// NewCollector returns a Collector.
func NewCollector(options Options) *Collector {
	return &Collector{options: options, tally: newTally()}
}

// ends counts how connections to the compared target ended.
type ends struct {
	connections atomic.Uint64
	played      atomic.Uint64 // whose script was done
	failed      [8]atomic.Uint64
	gates       [4]atomic.Uint64 // by replay.Release
	raw         atomic.Uint64    // whose answers were not the protocol's any more
	unread      atomic.Uint64    // turns that could not be read from the playbook
	alike       atomic.Uint64    // turns that failed at both targets, and did not when they were recorded
}

// Begin implements replay.Observer.
func (c *Collector) Begin(of *replay.Connection) replay.Transcript {
	return &conversation{
		collector: c, of: of, protocol: c.options.Protocol(of.Script.Protocol),
		waiting: map[int]*replay.Turn{}, found: map[findingKey]bool{}, classes: map[string]bool{},
	}
}

// target is the number of the target that is judged.
func (c *Collector) target() int {
	if c.options.Baseline {
		return 1
	}
	return 0
}
