package verdict

import (
	"cmp"
	"slices"
	"sync"

	"l4dump/internal/capture"
	"l4dump/internal/verdict/difference"
)

// Bounds of what a tally tells apart. What is beyond is counted under OtherClasses, or in a finding of the path OtherPaths.
const (
	maxClasses  = 1000
	maxFindings = 10_000
	maxExamples = 3
)

// OtherClasses are the classes that are not told apart, and OtherPaths the places in a class.
const (
	OtherClasses = "other"
	OtherPaths   = "other"
)

// Counts are numbers of turns. They add up: Selected is the sum of the others.
type Counts struct {
	Selected    uint64 `json:"selected"`     // of the scripts that were played
	Equal       uint64 `json:"equal"`        // the same bytes, or the same values
	Masked      uint64 `json:"masked"`       // differ in noise alone
	Different   uint64 `json:"different"`    // differ
	Dependent   uint64 `json:"dependent"`    // differ after a difference of the same connection that they may follow from
	NotCompared uint64 `json:"not_compared"` // were answered, but there is nothing to compare with
	NotReplayed uint64 `json:"not_replayed"` // were not sent
}

func (c *Counts) add(o Counts) {
	c.Selected += o.Selected
	c.Equal += o.Equal
	c.Masked += o.Masked
	c.Different += o.Different
	c.Dependent += o.Dependent
	c.NotCompared += o.NotCompared
	c.NotReplayed += o.NotReplayed
}

// Class is what is known of the turns of a class.
type Class struct {
	Protocol string `json:"protocol"`
	Class    string `json:"class"`
	Counts
	Connections uint64 `json:"connections"` // with turns of the class
	// Bytes are those of answers that were compared; MaskedBytes those of values that were taken for noise by a rule
	// that is not known of the protocol.
	Bytes       uint64 `json:"bytes"`
	MaskedBytes uint64 `json:"masked_bytes"`
	// WholeMasked counts turns whose answer was masked as a whole.
	WholeMasked uint64 `json:"whole_masked"`

	times [2]sample // by target
}

// Example is one turn in which a difference was found.
type Example struct {
	Connection capture.ID
	Script     int
	Copy       int
	Turn       int
	difference.Difference
}

// Finding is one kind of difference at one place of a class.
type Finding struct {
	Protocol    string
	Class       string
	Kind        difference.Kind
	Path        string
	Turns       uint64
	Connections uint64
	Examples    []Example // the first ones
	// Reruns is how many times the examples' connections were played again, and Seen in how many of these it was found.
	Reruns, Seen int
	// Doubtful says that it was not found each time, and that it may be chance that the baseline does not show it.
	Doubtful bool
}

func (f *Finding) key() findingKey { return findingKey{f.Protocol, f.Class, f.Kind, f.Path} }

type findingKey struct {
	protocol, class string
	kind            difference.Kind
	path            string
}

type classKey struct{ protocol, class string }

// tally counts. It is safe for concurrent use.
type tally struct {
	mu       sync.Mutex
	classes  map[classKey]*Class
	findings map[findingKey]*Finding
}

func newTally() *tally {
	return &tally{classes: map[classKey]*Class{}, findings: map[findingKey]*Finding{}}
}

// class returns the class; the caller holds mu.
func (t *tally) class(protocol, class string) *Class {
	key := classKey{protocol, class}
	if c := t.classes[key]; c != nil {
		return c
	}
	if len(t.classes) >= maxClasses {
		key.class = OtherClasses
		if c := t.classes[key]; c != nil {
			return c
		}
	}
	c := &Class{Protocol: protocol, Class: key.class}
	t.classes[key] = c
	return c
}

// count changes the class's counts.
func (t *tally) count(protocol, class string, change func(*Class)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t.class(protocol, class))
}

// found counts what a turn differs in. before has what was found in its connection so far.
func (t *tally) found(protocol, class string, e Example, differences []difference.Difference, before map[findingKey]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	class = t.class(protocol, class).Class
	counted := map[findingKey]bool{}
	for i := range differences {
		key := findingKey{protocol, class, differences[i].Kind, differences[i].Path}
		f := t.findings[key]
		if f == nil && len(t.findings) >= maxFindings {
			key.path = OtherPaths
			f = t.findings[key]
		}
		if f == nil {
			f = &Finding{Protocol: protocol, Class: class, Kind: key.kind, Path: key.path}
			t.findings[key] = f
		}
		if counted[key] {
			continue
		}
		counted[key] = true
		f.Turns++
		if !before[key] {
			before[key] = true
			f.Connections++
		}
		if len(f.Examples) < maxExamples {
			e.Difference = differences[i]
			f.Examples = append(f.Examples, e)
		}
	}
}

// results returns what was counted, sorted: the worst kinds first, then what is most frequent.
func (t *tally) results() (classes []Class, findings []Finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.classes {
		classes = append(classes, *c)
	}
	for _, f := range t.findings {
		findings = append(findings, *f)
	}
	slices.SortFunc(classes, func(a, b Class) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Class, b.Class))
	})
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Kind, b.Kind), -cmp.Compare(a.Turns, b.Turns),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Path, b.Path),
		)
	})
	return classes, findings
}
