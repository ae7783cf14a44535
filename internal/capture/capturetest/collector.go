// Package capturetest is what the tests of sources and sinks share: a recorder that makes events, and a collector of what
// an Assembler makes of them.
package capturetest

import (
	"context"
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
)

// Collector is a capture.Sink and a capture.Reporter that keeps what it is given, by connection and without places.
type Collector struct {
	Events   map[capture.ID][]capture.Event
	Infos    map[capture.ID]capture.Connection
	Verdicts map[capture.ID]capture.Verdict
	Faults   []string // of connections
	Input    []string // of inputs
}

// Collect returns what sources hold.
func Collect(tb require.TestingT, ctx context.Context, sources ...capture.Source) *Collector { //nolint:revive // as t comes first
	c := NewCollector()
	_, err := capture.Read(ctx, c, capture.Options{Reporter: c, Limits: capture.Limits{HistoryRecords: 1 << 12}}, sources...)
	require.NoError(tb, err)
	slices.Sort(c.Faults) // connections wait for what is missing, and continue in another order
	return c
}

// NewCollector returns an empty Collector.
func NewCollector() *Collector {
	return &Collector{
		Events: map[capture.ID][]capture.Event{}, Infos: map[capture.ID]capture.Connection{}, Verdicts: map[capture.ID]capture.Verdict{},
	}
}

// All returns the events of all connections, one connection after another.
func (c *Collector) All() Events {
	var all Events
	for _, list := range c.Events {
		all = append(all, list...)
	}
	return all
}

// Streams returns the bytes of each connection's directions, with "?" for what is missing, and what is said of the
// connections, in the order of their numbers.
func (c *Collector) Streams() (streams, verdicts []string) {
	ids := make([]capture.ID, 0, len(c.Events))
	for id := range c.Events {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b capture.ID) int { return int(a.Number) - int(b.Number) })
	for _, id := range ids {
		var text [2]string
		for _, e := range c.Events[id] {
			if e.Kind == capture.KindData || e.Kind == capture.KindEnd {
				for uint64(len(text[e.Direction])) < e.Offset {
					text[e.Direction] += "?"
				}
				text[e.Direction] += string(e.Payload)
			}
		}
		v := c.Verdicts[id]
		streams, verdicts = append(streams, text[0], text[1]), append(verdicts, v.String())
	}
	return streams, verdicts
}

// Begin implements capture.Sink.
func (c *Collector) Begin(info *capture.Connection) capture.Consumer {
	c.Infos[info.ID] = *info
	return &collected{c, info.ID}
}

// Flush implements capture.Sink.
func (c *Collector) Flush() error { return nil }

// Fault implements capture.Reporter.
func (c *Collector) Fault(f *capture.Fault) {
	without := *f
	without.Place = capture.Place{}
	c.Faults = append(c.Faults, without.String())
}

// InputFault implements capture.Reporter.
func (c *Collector) InputFault(f fmt.Stringer) { c.Input = append(c.Input, f.String()) }

type collected struct {
	c  *Collector
	id capture.ID
}

// Event implements capture.Consumer.
func (c *collected) Event(e *capture.Event, _ capture.Place) error {
	kept := *e
	kept.Payload = append([]byte{}, e.Payload...)
	c.c.Events[c.id] = append(c.c.Events[c.id], kept)
	return nil
}

// Fault implements capture.Consumer.
func (c *collected) Fault(*capture.Fault) {}

// End implements capture.Consumer.
func (c *collected) End(v *capture.Verdict) error {
	verdict := *v
	if v.Cause != nil {
		cause := *v.Cause
		cause.Place = capture.Place{}
		verdict.Cause = &cause
	}
	c.c.Verdicts[c.id] = verdict
	return nil
}
