package noise

import (
	"sync/atomic"

	"l4dump/internal/verdict/difference"
)

// Set is what is noise in a run. It is safe for concurrent use.
type Set struct {
	rules []Rule
	used  []atomic.Uint64
}

// NewSet returns a Set of rules; the first that takes a difference counts.
func NewSet(rules ...Rule) *Set { return &Set{rules: rules, used: make([]atomic.Uint64, len(rules))} }

// Takes reports whether d, of a class of a protocol, is noise, and counts it. known says that it is by a rule of Known.
func (s *Set) Takes(protocol, class string, d *difference.Difference) (taken, known bool) {
	for i := range s.rules {
		if s.rules[i].takes(protocol, class, d) {
			s.used[i].Add(1)
			return true, s.rules[i].known
		}
	}
	return false, false
}

// Use is how many differences a rule took.
type Use struct {
	Rule  Rule
	Count uint64
	Known bool // the rule is one of Known
}

// Uses returns all rules, in their order.
func (s *Set) Uses() []Use {
	uses := make([]Use, len(s.rules))
	for i := range s.rules {
		uses[i] = Use{s.rules[i], s.used[i].Load(), s.rules[i].known}
	}
	return uses
}
