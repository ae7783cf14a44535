// Package mask overwrites what must not be seen in a stream before a record is made of it: literal patterns, the values
// of HTTP/1 header fields that carry credentials, payment card numbers, or every byte. The length of the stream never
// changes. The plugin links it, so it uses few and small standard packages.
package mask

import "bytes"

// Byte is what stands in place of a masked byte.
const Byte = '*'

// The bounds of a Mask.
const (
	MaxPatterns     = 16
	MaxPatternBytes = 256
)

// Config is what to mask. The zero value masks nothing.
type Config struct {
	Patterns    []string // literal bytes, each of 1 to MaxPatternBytes bytes, at most MaxPatterns
	HTTPHeaders bool     // the values of Authorization, Cookie, Proxy-Authorization and Set-Cookie in HTTP/1
	CardNumbers bool     // runs of 13 to 19 digits that pass the Luhn check, also in groups
	LengthsOnly bool     // every byte
}

// Empty reports whether nothing is masked.
func (c *Config) Empty() bool {
	return len(c.Patterns) == 0 && !c.HTTPHeaders && !c.CardNumbers && !c.LengthsOnly
}

// Mask overwrites the bytes of many streams, one read at a time. It is not safe for concurrent use: its scratch memory
// belongs to the last call of Apply.
type Mask struct {
	config   Config
	patterns [][]byte // config's
	longest  int      // bytes of the longest of them
	ranges   []span   // that Apply found, in the order of the detectors
	marks    []bool   // which bytes of the read they hold
	joined   []byte   // the end of the reads before, and the beginning of this one
}

// span is the bytes of a read from start up to end.
type span struct{ start, end int }

// New returns a Mask. It keeps config.
func New(config Config) *Mask {
	m := &Mask{config: config}
	for _, pattern := range config.Patterns {
		m.patterns = append(m.patterns, []byte(pattern))
		m.longest = max(m.longest, len(pattern))
	}
	return m
}

// Stream is what a Mask must remember of one direction of a connection between reads. The zero value is a stream that
// begins.
type Stream struct {
	tail   []byte // the last bytes, as they were, that begin a pattern; they are overwritten
	gap    bool   // bytes are missing before the next ones
	rest   int    // how many more of the next bytes may be the end of a pattern that began in a gap
	header headerState
	card   cardState
}

// Gap tells that bytes of the stream are not given to Apply. What must not be seen may have begun in them: the next bytes
// are overwritten as far as that may reach, which is the length of the longest pattern, the end of a line for a header
// field, the end of a run of digits for a card number.
func (s *Stream) Gap() {
	*s = Stream{tail: s.tail[:0], gap: true}
	s.header.place = inValue
	s.card.count, s.card.overflown = maxRunDigits, true
}

// Apply overwrites what must not be seen of read, the next bytes of the stream s, and returns how many bytes it has
// overwritten.
//
// What might be the beginning of a pattern or of a card number at the end of a read is overwritten too, since the rest
// may come with the next read when the beginning has long been written. Allocation-free once its memory has grown, but
// for the first read of a stream.
func (m *Mask) Apply(s *Stream, read []byte) (masked int) {
	m.ranges = m.ranges[:0]
	if cap(m.marks) < len(read) {
		m.marks = make([]bool, len(read))
	}
	m.marks = m.marks[:len(read)]
	clear(m.marks)
	if len(read) == 0 {
		return 0
	}
	if m.config.LengthsOnly {
		m.ranges = append(m.ranges, span{0, len(read)})
	} else {
		m.literals(s, read)
		if m.config.HTTPHeaders {
			m.ranges = s.header.scan(m.ranges, read)
		}
		if m.config.CardNumbers {
			m.ranges = s.card.scan(m.ranges, read)
		}
	}
	for _, r := range m.ranges {
		for i := r.start; i < r.end; i++ {
			read[i], m.marks[i] = Byte, true
		}
	}
	return m.Count(0, len(read))
}

// Count returns how many of the bytes from start up to end of the read that Apply saw last it has overwritten.
func (m *Mask) Count(start, end int) (masked int) {
	for _, marked := range m.marks[start:end] {
		if marked {
			masked++
		}
	}
	return masked
}

// literals finds the literal patterns, also those that began in the reads before.
func (m *Mask) literals(s *Stream, read []byte) {
	if m.longest == 0 {
		return
	}
	if s.gap {
		s.gap, s.rest = false, m.longest-1
	}
	if s.rest > 0 {
		end := min(s.rest, len(read))
		s.rest -= end
		m.ranges = append(m.ranges, span{0, end})
	}
	before := len(s.tail)
	m.joined = append(append(m.joined[:0], s.tail...), read[:min(m.longest-1, len(read))]...)
	for _, pattern := range m.patterns {
		if before > 0 {
			m.find(m.joined, pattern, before)
		}
		m.find(read, pattern, 0)
	}
	// The longest end of the stream that begins a pattern: it may be one that the next read completes.
	all := read
	if len(read) < m.longest-1 {
		all = m.joined // the whole of both
	}
	begun := 0
	for _, pattern := range m.patterns {
		begun = max(begun, beginning(all, pattern))
	}
	if begun > 0 {
		m.ranges = append(m.ranges, span{max(len(read)-begun, 0), len(read)})
	}
	s.tail = append(s.tail[:0], all[len(all)-begun:]...)
}

// find adds where pattern stands in text, which begins before bytes ahead of the read.
func (m *Mask) find(text []byte, pattern []byte, before int) {
	done := 0 // of the read
	for from := 0; ; {
		i := bytes.Index(text[from:], pattern)
		if i < 0 {
			return
		}
		start := from + i
		if end := start + len(pattern); end > before {
			m.ranges = append(m.ranges, span{max(start-before, done), end - before})
			done = end - before
		}
		from = start + 1 // one may overlap the next
	}
}

// beginning returns the length of the longest end of text that is a beginning of pattern, less than the whole.
func beginning(text []byte, pattern []byte) int {
	for n := min(len(text), len(pattern)-1); n > 0; n-- {
		if bytes.Equal(text[len(text)-n:], pattern[:n]) {
			return n
		}
	}
	return 0
}
