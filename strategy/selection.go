package strategy

import "strings"

// Selection is which connections are recorded: those that Match, but for those that Except matches.
type Selection struct {
	Match  Criteria
	Except Criteria // matches nothing if it is empty
}

// Criteria match a connection if each of the lists that are not empty has an element that does.
type Criteria struct {
	Ports        []uint16 // that clients connect to
	Sources      []Prefix // of clients' addresses
	Destinations []Prefix // of the addresses that they connect to
	Directions   []string // of the listener, "inbound" or "outbound"
	SNI          []string // patterns, as matches has them
	Peers        []string // patterns of URIs in clients' certificates
	FirstBytes   []string // that clients' streams begin with
}

// The bounds of Criteria.
const (
	MaxCriteria     = 64 // elements of a list
	MaxFirstBytes   = 64 // of one prefix
	MaxPatternBytes = 256
)

// matches reports whether pattern stands for text. It is a text with at most one "*", which stands for any number of
// characters, at its beginning or its end.
func matches(pattern, text string) bool {
	last := len(pattern) - 1
	switch {
	case pattern == "*":
		return text != ""
	case pattern[0] == '*':
		return strings.HasSuffix(text, pattern[1:])
	case pattern[last] == '*':
		return strings.HasPrefix(text, pattern[:last])
	}
	return text == pattern
}

func validPattern(p string) bool {
	if p == "" || len(p) > MaxPatternBytes {
		return false
	}
	star := strings.IndexByte(p, '*')
	return star < 0 || star == len(p)-1 || star == 0 && strings.IndexByte(p[1:], '*') < 0
}

// Subject is what is known of a connection so far.
type Subject struct {
	Source, Destination string // as the proxy writes addresses
	Direction           string // of the listener; empty if it is not known

	Identified bool // the handshake, if there is one, is over: SNI and Peer are what they will be
	SNI, Peer  string

	First []byte // the first bytes of the client's stream
	Final bool   // no further ones will be looked at
}

// Verdict is what a selection says of a connection.
type Verdict uint8

// The verdicts.
const (
	Undecided Verdict = iota // it takes more than is known yet
	Selected
	Unselected
)

// Empty reports whether every connection is selected.
func (s *Selection) Empty() bool { return s.Match.empty() && s.Except.empty() }

// Decide says whether a connection is recorded.
func (s *Selection) Decide(about *Subject) Verdict {
	match, except := Selected, Unselected
	if !s.Match.empty() {
		match = s.Match.decide(about)
	}
	if !s.Except.empty() {
		except = s.Except.decide(about)
	}
	switch {
	case match == Unselected || except == Selected:
		return Unselected
	case match == Undecided || except == Undecided:
		return Undecided
	}
	return Selected
}

// Sampled reports whether the connection with an identifier of two numbers is among the share of connections that are
// recorded. It depends on nothing else.
func (c *Capture) Sampled(vm, number uint64) bool {
	const bits = 53 // of a float64's precision
	return c.ConnectionRate >= 1 || float64(mix(vm^mix(number))>>(64-bits)) < c.ConnectionRate*(1<<bits)
}

// NeededBytes returns how many of the client's first bytes a decision takes at most.
func (s *Selection) NeededBytes() (n int) {
	for _, c := range [...]*Criteria{&s.Match, &s.Except} {
		for _, prefix := range c.FirstBytes {
			n = max(n, len(prefix))
		}
	}
	return n
}

func (c *Criteria) empty() bool {
	return len(c.Ports) == 0 && len(c.Sources) == 0 && len(c.Destinations) == 0 && len(c.Directions) == 0 &&
		len(c.SNI) == 0 && len(c.Peers) == 0 && len(c.FirstBytes) == 0
}

// decide returns Selected if each list has an element that matches, Unselected as soon as one has none.
func (c *Criteria) decide(about *Subject) Verdict {
	verdict := Selected
	for _, each := range [...]Verdict{
		c.address(about),
		identity(c.SNI, about.SNI, about.Identified),
		identity(c.Peers, about.Peer, about.Identified),
		c.firstBytes(about),
	} {
		switch each {
		case Unselected:
			return Unselected
		case Undecided:
			verdict = Undecided
		}
	}
	return verdict
}

// address decides by what is known when a connection begins.
func (c *Criteria) address(about *Subject) Verdict {
	if len(c.Ports) > 0 || len(c.Destinations) > 0 {
		to, port, known := ParseEndpoint(about.Destination)
		if !known || len(c.Ports) > 0 && !containsPort(c.Ports, port) || len(c.Destinations) > 0 && !within(c.Destinations, to) {
			return Unselected
		}
	}
	if len(c.Sources) > 0 {
		if from, _, ok := ParseEndpoint(about.Source); !ok || !within(c.Sources, from) {
			return Unselected
		}
	}
	return identity(c.Directions, about.Direction, true)
}

func identity(patterns []string, text string, known bool) Verdict {
	switch {
	case len(patterns) == 0:
		return Selected
	case !known:
		return Undecided
	}
	for _, pattern := range patterns {
		if matches(pattern, text) {
			return Selected
		}
	}
	return Unselected
}

func (c *Criteria) firstBytes(about *Subject) Verdict {
	if len(c.FirstBytes) == 0 {
		return Selected
	}
	verdict := Unselected
	for _, prefix := range c.FirstBytes {
		n := min(len(prefix), len(about.First))
		switch {
		case string(about.First[:n]) != prefix[:n]:
		case n == len(prefix):
			return Selected
		case !about.Final:
			verdict = Undecided
		}
	}
	return verdict
}

func within(prefixes []Prefix, a Address) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func containsPort(ports []uint16, port uint16) bool {
	for _, each := range ports {
		if each == port {
			return true
		}
	}
	return false
}
