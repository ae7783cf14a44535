package noise

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"l4dump/internal/verdict/difference"
)

// maxLearned bounds the places that a Learner tells apart.
const maxLearned = 10_000

// Learner learns in what a baseline's answers differ from each other. It is safe for concurrent use.
type Learner struct {
	mu      sync.Mutex
	turns   map[string]uint64 // compared, by protocol and class
	places  map[location]*seen
	dropped uint64
}

type location struct{ protocol, class, path string }

// seen is what was seen at a place, without its values.
type seen struct {
	kinds       map[string]bool
	forms       formSet
	least, most int
	turns       uint64
	lastTurn    uint64 // of the class, so that a turn counts once
}

// Turn takes in what two answers of one turn to the same service differ.
func (l *Learner) Turn(protocol, class string, differences []difference.Difference) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.places == nil {
		l.places, l.turns = map[location]*seen{}, map[string]uint64{}
	}
	l.turns[protocol+" "+class]++
	turn := l.turns[protocol+" "+class]
	for i := range differences {
		d := &differences[i]
		kind, ok := kindWord(d.Kind)
		if !ok || d.Path == difference.WholeAnswer {
			continue // two answers of one service differ in more than noise, or nobody knows in which part
		}
		at := location{protocol, class, d.Path}
		s := l.places[at]
		if s == nil {
			if len(l.places) == maxLearned {
				l.dropped++
				continue
			}
			s = &seen{kinds: map[string]bool{}, forms: ^formSet(0), least: -1}
			l.places[at] = s
		}
		s.add(kind, d)
		if s.lastTurn != turn {
			s.lastTurn = turn
			s.turns++
		}
	}
}

func (s *seen) add(kind string, d *difference.Difference) {
	s.kinds[kind] = true
	if d.HasA {
		s.value(d.A, d.From, d.LengthA)
	}
	if d.HasB {
		s.value(d.B, d.From, d.LengthB)
	}
}

// value takes the part of a value of the given length that begins at from.
func (s *seen) value(v string, from, length int) {
	if from == 0 && length == len(v) {
		s.forms &= formsOf(v)
	} else {
		s.forms &= 1 << Text
	}
	if s.least < 0 || length < s.least {
		s.least = length
	}
	s.most = max(s.most, length)
}

// Rules returns what was learned, sorted, without values; dropped is how many differences were at more places than are
// told apart.
func (l *Learner) Rules() (rules []Rule, dropped uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, s := range l.places {
		rules = append(rules, s.rule(at, l.turns[at.protocol+" "+at.class]))
	}
	slices.SortFunc(rules, func(a, b Rule) int {
		return strings.Compare(a.Protocol+"\x00"+a.Class+"\x00"+a.Path, b.Protocol+"\x00"+b.Class+"\x00"+b.Path)
	})
	return rules, l.dropped
}

func (s *seen) rule(at location, turns uint64) Rule {
	r := Rule{
		Protocol: at.protocol, Class: at.class, Path: at.path, Form: s.forms.special().String(),
		Reason: fmt.Sprintf("learned: differs in %d of %d turns of the baseline from itself", s.turns, turns),
	}
	for word := range s.kinds {
		r.Kinds = append(r.Kinds, word)
	}
	slices.Sort(r.Kinds)
	if form := s.forms.special(); form == Integer || form == Number {
		r.Length = []int{max(1, s.least-1), s.most + 1} // it counts on
	} else {
		r.Length = []int{s.least, s.most}
	}
	// A change of length comes with values that differ, and the other way round.
	if s.kinds["value"] && s.least != s.most && !s.kinds["length"] {
		r.Kinds = append(r.Kinds, "length")
		slices.Sort(r.Kinds)
	}
	return r
}

// kindWord is a kind's word in a noise file; false for those that no rule takes.
func kindWord(kind difference.Kind) (string, bool) {
	for word, k := range ruleKinds {
		if k == kind {
			return word, true
		}
	}
	return "", false
}
