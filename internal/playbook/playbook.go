// Package playbook makes of a recording what can be played: for each connection a script of what its client did, each
// step with a gate, which is what the server had sent before it.
//
//	recorded                 script
//	1 client "GET /a"        send [0,6)    gate: nothing
//	2 server "alpha"
//	3 client "GET /b"        send [6,12)   gate: 5 bytes, or 1 answer
//	4 server "beta"
//	5 client ends            half-close    gate: 9 bytes, or 2 answers
//	6 server ends
//	7 close                  close         gate: the end of the server's stream
//
// The order in which the proxy saw the events is proof that each gate can be met by a server that answers as the recorded
// one did: what was sent before a step did not depend on it.
package playbook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"l4dump/internal/capture"
)

// Playbook is the scripts of a recording, in the order in which their connections began. They are in a file without a
// name that is gone when the Playbook is closed.
type Playbook struct {
	Recorded uint64    // connections that came
	Refused  []Refusal // the most frequent first
	Totals   Totals    // of the scripts

	spool   *spool
	headers stream
	entries []entry
}

// Refusal is why connections cannot be played.
type Refusal struct {
	Reason      string
	Connections uint64
	Example     capture.ID // the first one
}

// maxRefusals bounds the reasons that are told apart, as some of their words come from the recording.
const maxRefusals = 100

// refusedElse stands for those beyond maxRefusals.
const refusedElse = "another reason"

// Totals are sums over scripts.
type Totals struct {
	Start, End int64 // of the first event, and of the last
	Steps      uint64
	Turns      uint64
	Bytes      [2]uint64
	Cut        uint64            // scripts that end before their connection
	Peak       int               // connections that were open at a time
	Protocols  map[string]uint64 // scripts by protocol
	Fallbacks  map[string]uint64 // scripts that are raw though another protocol was taken for them, by why
	Classes    map[Class]uint64  // turns with a request by class; at most MaxClasses, and OtherClasses
	// Destinations and Names are scripts by the recorded address of the service and by the name that the client asked for;
	// at most MaxClasses of each, and OtherClasses.
	Destinations map[string]uint64
	Names        map[string]uint64
}

// Class is what groups turns of a protocol.
type Class struct{ Protocol, Name string }

// MaxClasses bounds what Totals tells apart.
const MaxClasses = 1000

// OtherClasses are those beyond MaxClasses.
const OtherClasses = "other"

// count adds to a class, or to other if there are too many.
func count[C comparable](classes map[C]uint64, class C, n uint64, other C) {
	if _, ok := classes[class]; !ok && len(classes) >= MaxClasses {
		class = other
	}
	classes[class] += n
}

// entry is where a script is stored.
type entry struct {
	start, end int64
	at         uint64
	length     uint32
	id         capture.ID
}

func (p *Playbook) add(w *scriptWriter) error {
	s := w.script
	header, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("store a script: %w", err)
	}
	p.entries = append(p.entries, entry{s.Start, s.End, p.headers.Length, uint32(len(header)), s.ID})
	p.Totals.add(&s.Info)
	for class, n := range w.classes {
		count(p.Totals.Classes, class, n, Class{class.Protocol, OtherClasses})
	}
	return p.spool.append(&p.headers, header)
}

func (t *Totals) add(s *Info) {
	if t.Protocols == nil {
		t.Protocols, t.Fallbacks = map[string]uint64{}, map[string]uint64{}
		t.Destinations, t.Names = map[string]uint64{}, map[string]uint64{}
		t.Classes, t.Start, t.End = map[Class]uint64{}, s.Start, s.End
	}
	t.Start, t.End = min(t.Start, s.Start), max(t.End, s.End)
	t.Steps += s.Steps
	t.Turns += s.Turns
	for d := range s.Bytes {
		t.Bytes[d] += s.Bytes[d]
	}
	if s.Cut != "" {
		t.Cut++
	}
	t.Protocols[s.Protocol]++
	if s.Fallback != "" {
		count(t.Fallbacks, s.Fallback, 1, OtherClasses)
	}
	if s.Destination != "" {
		count(t.Destinations, s.Destination, 1, OtherClasses)
	}
	if s.SNI != "" {
		count(t.Names, s.SNI, 1, OtherClasses)
	}
}

func (p *Playbook) refuse(reason string, id capture.ID) {
	for i := range p.Refused {
		if p.Refused[i].Reason == reason {
			p.Refused[i].Connections++
			return
		}
	}
	if len(p.Refused) >= maxRefusals && reason != refusedElse {
		p.refuse(refusedElse, id)
		return
	}
	p.Refused = append(p.Refused, Refusal{reason, 1, id})
}

// sort puts scripts into the order of their begin, and counts how many connections were open at a time.
func (p *Playbook) sort() {
	byStart := func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id.VM, b.id.VM), cmp.Compare(a.id.Number, b.id.Number))
	}
	slices.SortFunc(p.entries, byStart)
	slices.SortStableFunc(p.Refused, func(a, b Refusal) int { return cmp.Compare(b.Connections, a.Connections) })
	ends := make([]int64, 0, len(p.entries))
	for _, e := range p.entries {
		ends = append(ends, e.end)
	}
	slices.Sort(ends)
	ended := 0
	for i, e := range p.entries {
		for ends[ended] < e.start {
			ended++
		}
		p.Totals.Peak = max(p.Totals.Peak, i+1-ended)
	}
}

// Len returns the number of scripts.
func (p *Playbook) Len() int { return len(p.entries) }

// Start returns when the connection of a script began, in nanoseconds since the Unix epoch.
func (p *Playbook) Start(index int) int64 { return p.entries[index].start }

// Script returns a script. It may be called from several goroutines.
func (p *Playbook) Script(index int) (*Script, error) {
	e := p.entries[index]
	header := make([]byte, e.length)
	if _, err := p.spool.reader(&p.headers).ReadAt(header, int64(e.at)); err != nil {
		return nil, err
	}
	var s script
	if err := json.Unmarshal(header, &s); err != nil {
		return nil, fmt.Errorf("read a script: %w", err)
	}
	section := func(of *stream) *io.SectionReader {
		return io.NewSectionReader(p.spool.reader(of), 0, int64(of.Length))
	}
	return &Script{
		Info: s.Info, downstream: p.spool.reader(s.Streams[0]), upstream: p.spool.reader(s.Streams[1]),
		steps: section(&s.StoredSteps), turns: section(&s.StoredTurns), answers: section(&s.StoredOrder),
	}, nil
}

// Close removes the playbook.
func (p *Playbook) Close() error { return p.spool.close() }
