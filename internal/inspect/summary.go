// Package inspect says what is in a recording: a Summary takes its connections and returns a Report, which becomes a table,
// JSON, or a page for a browser.
package inspect

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"slices"
	"time"

	"l4dump/internal/capture"
	"l4dump/internal/protocol/guess"
	"l4dump/record"
)

// Options are how a Summary works.
type Options struct {
	Top int // connections in each ranking
	// Part says that only a part of the recording is given to the Summary: nothing is said then of what is not there.
	Part bool
	// Conversations says that the beginning of each conversation is kept, for Summary.WriteHTML.
	Conversations bool
}

// Summary is a capture.Sink and a capture.Reporter that keeps what a Report needs, in bounded memory. It is not safe for
// concurrent use.
type Summary struct {
	options Options
	report  Report
	bytes   [2]uint64

	first, last int64
	series      *series
	windows     windows
	states      [len(stateNames)]StateCount
	causes      [len(stateNames)]map[cause]uint64
	drops       map[string]*DropCount
	faults      map[string]*FaultCount
	protocols   groups
	ports       groups
	peers       groups
	names       groups
	vms         map[uint64]*numbers
	bytesKept   Share // of the connections with a ledger
	ledgers     uint64
	headBytes   int // in the heads of all connections
	largest     ranking
	longest     ranking
	kept        *transcripts // nil: no conversation is kept
}

// numbers are those that the connections of a VM have.
type numbers struct{ first, last, count uint64 }

// The bounds of what a Summary keeps besides.
const (
	maxVMs       = 100_000
	maxDrops     = 1000 // reasons; a hostile log can have any
	maxHeadBytes = 32 << 20
)

// NewSummary returns a Summary without connections.
func NewSummary(options Options) *Summary {
	s := &Summary{
		options: options,
		first:   math.MaxInt64, last: math.MinInt64,
		series:    newSeries(),
		windows:   windows{byID: map[record.UUID]*window{}},
		drops:     map[string]*DropCount{},
		faults:    map[string]*FaultCount{},
		protocols: newGroups(), ports: newGroups(), peers: newGroups(), names: newGroups(),
		vms: map[uint64]*numbers{},
		largest: ranking{most: options.Top, value: func(c *Connection) int64 {
			return int64(min(c.Bytes.total(), math.MaxInt64))
		}},
		longest: ranking{most: options.Top, value: func(c *Connection) int64 { return c.nanos }},
	}
	if options.Conversations {
		s.kept = newTranscripts()
	}
	for i := range s.causes {
		s.causes[i] = map[cause]uint64{}
	}
	return s
}

// Begin implements capture.Sink.
func (s *Summary) Begin(c *capture.Connection) capture.Consumer {
	one := &connection{summary: s, info: c, first: math.MaxInt64, last: math.MinInt64}
	if s.kept != nil {
		one.transcript = s.kept.begin()
	}
	return one
}

// Flush implements capture.Sink.
func (s *Summary) Flush() error { return nil }

// Fault implements capture.Reporter.
func (s *Summary) Fault(f *capture.Fault) { s.fault(faultNames[f.Kind], f) }

// InputFault implements capture.Reporter.
func (s *Summary) InputFault(f fmt.Stringer) { s.fault(inputFault, f) }

func (s *Summary) fault(kind string, f fmt.Stringer) {
	count := s.faults[kind]
	if count == nil {
		count = &FaultCount{Kind: kind, First: f.String()}
		s.faults[kind] = count
	}
	count.Count++
}

// end takes a connection that has ended, or whose input has.
func (s *Summary) end(c *connection, v *capture.Verdict) {
	s.report.Connections++
	bytes := bytesOf(c.bytes)
	state := &s.states[v.State]
	state.Connections++
	state.Bytes.add(bytes)
	if v.Cause != nil {
		s.causes[v.State][causeOf(v)]++
	}
	s.countInexact(v)
	s.countLedger(v)
	s.number(c.info.ID)

	protocol := c.protocol()
	whole := v.State == capture.Whole
	s.protocols.add(protocol, whole, bytes)
	s.ports.add(portName(c.info.Port), whole, bytes)
	s.peers.add(c.peer(), whole, bytes)
	if name := c.serverName(); name != "" {
		s.names.add(name, whole, bytes)
	}
	if c.transcript != nil || s.largest.takes(int64(min(bytes.total(), math.MaxInt64))) || s.longest.takes(c.nanos()) {
		row := c.row(v)
		if c.transcript != nil {
			c.transcript.row, c.transcript.first = row, c.begun()
		}
		s.largest.add(&row)
		s.longest.add(&row)
	}
}

func (s *Summary) countInexact(v *capture.Verdict) {
	if v.Repeats {
		s.report.Inexact.Repeats++
	}
	if v.Masked > 0 {
		s.report.Inexact.Masked++
	}
	if v.TLS {
		s.report.Inexact.TLS++
	}
}

// countLedger takes what a ledger says of the bytes that were dropped.
func (s *Summary) countLedger(v *capture.Verdict) {
	if v.Close == nil || !v.Close.HasLedger {
		s.report.Ledgerless++
		return
	}
	s.ledgers++
	counted := make([]string, 0, 2)
	for d := range v.Close.Ledger {
		ledger := &v.Close.Ledger[d]
		s.bytesKept.Part += ledger.Kept
		s.bytesKept.Whole += ledger.Seen
		for _, drop := range ledger.Dropped {
			count := s.drops[drop.Reason]
			switch {
			case count == nil && len(s.drops) == maxDrops:
				continue
			case count == nil:
				count = &DropCount{Reason: drop.Reason, Key: keyOf(drop.Reason)}
				s.drops[drop.Reason] = count
			}
			if !slices.Contains(counted, drop.Reason) {
				counted = append(counted, drop.Reason)
				count.Connections++
			}
			if capture.Direction(d) == capture.Downstream {
				count.Bytes.Downstream += drop.Bytes
			} else {
				count.Bytes.Upstream += drop.Bytes
			}
		}
	}
}

// number takes the number that a recorder gave a connection.
func (s *Summary) number(id capture.ID) {
	n := s.vms[id.VM]
	switch {
	case n == nil && len(s.vms) == maxVMs:
		return
	case n == nil:
		n = &numbers{first: id.Number}
		s.vms[id.VM] = n
	}
	n.first, n.last = min(n.first, id.Number), max(n.last, id.Number)
	n.count++
}

// Report returns what there was, with the lines in Layotto's format that were counted elsewhere. The Summary is not used
// after that.
func (s *Summary) Report(layotto uint64) *Report {
	r := &s.report
	r.Format, r.Layotto, r.Bytes = Format, layotto, bytesOf(s.bytes)
	if s.first <= s.last {
		r.First, r.Last = timeText(s.first), timeText(s.last)
	}
	r.States = s.reportStates()
	r.Sample = s.reportSample()
	r.Drops = sorted(s.drops, func(d *DropCount) uint64 { return d.Bytes.total() }, func(d *DropCount) string { return d.Reason })
	r.Faults = sorted(s.faults, func(f *FaultCount) uint64 { return f.Count }, func(f *FaultCount) string { return f.Kind })
	r.Protocols, r.Ports = s.protocols.report(), s.ports.report()
	r.Peers, r.Names = s.peers.report(), s.names.report()
	r.Windows = s.windows.report()
	r.Largest, r.Longest = nonNil(s.largest.rows), nonNil(s.longest.rows)
	r.Series = s.series.report()
	return r
}

func (s *Summary) reportStates() []StateCount {
	states := make([]StateCount, 0, len(s.states))
	for i := range s.states {
		state := s.states[i]
		state.State = stateNames[i]
		for c, n := range s.causes[i] {
			state.Causes = append(state.Causes, CauseCount{Cause: c.name, Reason: c.reason, Connections: n})
		}
		slices.SortFunc(state.Causes, func(a, b CauseCount) int {
			return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Reason, b.Reason))
		})
		states = append(states, state)
	}
	return states
}

func (s *Summary) reportSample() Sample {
	var sample Sample
	if s.ledgers > 0 {
		kept := s.bytesKept
		sample.Bytes = &kept
	}
	if s.options.Part {
		return sample
	}
	sample.Intervals = s.windows.intervals()
	if len(s.windows.byID) == 0 { // no recorder numbered these connections
		return sample
	}
	var numbered Share
	for _, n := range s.vms {
		numbered.Part += n.count
		numbered.Whole += max(n.last-n.first+1, n.count) // one that was forgotten and came back has its number twice
	}
	sample.Connections = &numbered
	return sample
}

// sorted returns the values of a map by their size, the largest first.
func sorted[T any](counts map[string]*T, size func(*T) uint64, name func(*T) string) []T {
	all := make([]T, 0, len(counts))
	for _, count := range counts {
		all = append(all, *count)
	}
	slices.SortFunc(all, func(a, b T) int {
		return cmp.Or(cmp.Compare(size(&b), size(&a)), cmp.Compare(name(&a), name(&b)))
	})
	return all
}

// nonNil makes an empty list of none, which JSON tells apart.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// timeText returns nanoseconds since the Unix epoch as RFC 3339 in UTC with nine digits after the point.
func timeText(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z")
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// hostOf returns an address without its port.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// The names of what cannot be guessed, and why.
const (
	unknownNoBytes  = "no bytes"
	unknownNotFirst = "first bytes missing"
	unknownTooFew   = "too few bytes"
	unknown         = string(guess.Unknown)
)
