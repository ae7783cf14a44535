package dumplog

import (
	"bytes"
	"fmt"

	"l4dump/internal/capture"
	"l4dump/record"
)

const (
	// windowBytes is how much of a long line is looked at in one go. Windows begin at the same bytes of a line however
	// the input is cut into blocks, so that what is found does not depend on that.
	windowBytes = 256 << 10

	// MaxRecordBytes is the longest record that is found, and the longest line in Layotto's format.
	MaxRecordBytes = 1 << 20

	// MaxTextBytes is how much of a line without a record a Handler gets.
	MaxTextBytes = windowBytes

	// overlapBytes of a window are looked at together with the next one: a record's head may stand across both.
	overlapBytes = 64
)

// Scanner finds the records in log text. Its memory does not grow with the input or its lines. It is not safe for
// concurrent use.
//
//	s := NewScanner(handler)
//	s.Begin("envoy.log")
//	for … { s.Write(block) }
//	s.End()
//	s.Finish()
type Scanner struct {
	handler Handler
	at      capture.Place // of the line that is being read
	carry   []byte

	passes *passes
	raw    text  // a line or a window of one
	clean  text  // what it stands for, as far as it has not been scanned
	next   int   // where the scan of clean continues
	long   bool  // windows of this line have been scanned
	offset int64 // bytes in them
	first  []byte

	lines    int64 // that were begun
	line     lineState
	parts    parts
	layottos []*layottoPart
	damages  damages
	payload  []byte
	record   record.Record
	layotto  record.Layotto
}

// lineState is what is known of the line that is being scanned.
type lineState struct {
	found bool   // something other than text
	first []byte // of the line, for Text
	head  *head  // nil until it is looked for
	any   bool   // a record was found: last
	last  identity
	seen  map[identity]struct{} // empty while there is one record
}

// identity tells two records of one line apart.
type identity struct {
	conn record.ConnID
	seq  uint64
	sum  [8]byte
}

// maxLineIdentities bounds how many records of one line are remembered to recognize a second one.
const maxLineIdentities = 1 << 16

// NewScanner returns a Scanner that gives what it finds to handler.
func NewScanner(handler Handler) *Scanner {
	return &Scanner{handler: handler, passes: newPasses()}
}

// Begin begins the input called name. A record that breaks off in the input before continues in this one only if the
// names say that a log was rotated: both the same, or "x.log.1" and "x.log".
func (s *Scanner) Begin(name string) error {
	var err error
	if !continues(nameOf(s.at.Input), name) {
		err = s.Finish()
	}
	s.at = capture.Place{Input: capture.Name(name)}
	return err
}

// Write takes the next block of the input. It does not keep it.
func (s *Scanner) Write(block []byte) error {
	for len(block) > 0 {
		end := bytes.IndexByte(block, '\n')
		room := windowBytes - len(s.carry)
		switch {
		case end >= 0 && end <= room:
			line := block[:end]
			block = block[end+1:]
			if len(s.carry) > 0 {
				line = append(s.carry, line...)
				s.carry = line[:0]
			}
			s.at.Number++
			if err := s.piece(line, true); err != nil {
				return err
			}
		case len(block) <= room:
			s.carry = append(s.carry, block...)
			return nil
		default:
			s.carry = append(s.carry, block[:room]...)
			block = block[room:]
			s.at.Number++
			err := s.piece(s.carry, false)
			s.at.Number--
			s.carry = s.carry[:0]
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// End ends the input with a last line that no line break ends.
func (s *Scanner) End() error {
	if len(s.carry) == 0 && !s.long {
		return nil
	}
	s.at.Number++
	line := s.carry
	s.carry = s.carry[:0]
	return s.piece(line, true)
}

// Line takes one line by itself, as a message of a queue, without a line break. at.Column is where it begins in its line,
// 0 meaning the line's beginning.
func (s *Scanner) Line(line []byte, at capture.Place) error {
	if at.Input != s.at.Input && !continues(nameOf(s.at.Input), nameOf(at.Input)) {
		if err := s.Finish(); err != nil {
			return err
		}
	}
	s.offset = max(0, at.Column-1)
	at.Column = 0
	s.at = at
	for len(line) > windowBytes {
		if err := s.piece(line[:windowBytes], false); err != nil {
			return err
		}
		line = line[windowBytes:]
	}
	return s.piece(line, true)
}

// nameOf returns the name of an input as it was given.
func nameOf(input fmt.Stringer) string {
	switch input := input.(type) {
	case nil:
		return ""
	case capture.Name:
		return string(input)
	}
	return input.String()
}

// At returns the place of the line that was read last.
func (s *Scanner) At() capture.Place { return s.at }

// Finish gives up what waits for a continuation.
func (s *Scanner) Finish() error {
	for _, p := range s.parts.takeAll() {
		s.expired(p)
	}
	s.moreDamaged()
	return s.finishLayottos()
}

// piece scans a line, or the next window of one.
func (s *Scanner) piece(b []byte, end bool) error {
	if !s.long {
		s.beginLine(b, end)
	}
	s.raw.bytes, s.raw.runs = b, append(s.raw.runs[:0], run{0, s.offset + 1})
	var err error
	if !s.long && end && !needed(b) {
		_, err = s.scan(&s.raw, 0, true)
	} else {
		s.passes.write(&s.clean, &s.raw, end)
		var next int
		if next, err = s.scan(&s.clean, s.next, end); !end {
			s.next = min(next, overlapBytes)
			s.clean.drop(next - s.next)
		}
	}
	s.raw.bytes = nil
	if !end {
		s.long = true
		s.offset += int64(len(b))
		return err
	}
	s.clean.reset()
	s.long, s.offset, s.next = false, 0, 0
	if err != nil {
		return err
	}
	return s.endLine()
}

func (s *Scanner) beginLine(b []byte, whole bool) {
	s.lines++
	if len(s.line.seen) > 0 {
		clear(s.line.seen)
	}
	s.line = lineState{seen: s.line.seen, first: b}
	if !whole {
		s.first = append(s.first[:0], b...)
		s.line.first = s.first
	}
}

func (s *Scanner) endLine() error {
	if s.damages.more > 0 {
		s.moreDamaged()
	}
	if s.line.found {
		return nil
	}
	return s.handler.Text(s.line.first, s.at)
}

// place returns where byte i of t stands.
func (s *Scanner) place(t *text, i int) capture.Place {
	at := s.at
	at.Column = t.column(i)
	return at
}

// emit gives a record to the handler, if it is the first of its kind in this line: collectors keep a line's text beside
// what they parsed from it.
func (s *Scanner) emit(r *record.Record, text []byte, at capture.Place) error {
	s.line.found = true
	if s.seen(r, text) {
		return nil
	}
	return s.handler.Record(r, text, at)
}

func (s *Scanner) seen(r *record.Record, text []byte) bool {
	id := identity{conn: r.Conn, seq: r.Seq}
	copy(id.sum[:], text[len(text)-len(id.sum):])
	l := &s.line
	if !l.any {
		l.any, l.last = true, id
		return false
	}
	if len(l.seen) == 0 {
		if l.seen == nil {
			l.seen = map[identity]struct{}{}
		}
		l.seen[l.last] = struct{}{}
	}
	if _, ok := l.seen[id]; ok {
		return true
	}
	if len(l.seen) >= maxLineIdentities {
		clear(l.seen)
	}
	l.seen[id] = struct{}{}
	return false
}

// damages counts the damaged records of one line.
type damages struct {
	line  capture.Place
	count int
	more  uint64
	first capture.Place // of those that are not reported by themselves
}

// MaxLineDamages is how many damaged records of one line are reported one by one.
const MaxLineDamages = 8

func (s *Scanner) damaged(err error, at capture.Place) {
	d := &s.damages
	line := capture.Place{Input: at.Input, Number: at.Number}
	if d.line != line {
		s.moreDamaged()
		*d = damages{line: line}
	}
	if d.count++; d.count <= MaxLineDamages {
		s.handler.Fault(Fault{Kind: Damaged, Place: at, Err: err})
		return
	}
	if d.more++; d.more == 1 {
		d.first = at
	}
}

// moreDamaged reports how many damaged records of a line were not reported one by one.
func (s *Scanner) moreDamaged() {
	if d := &s.damages; d.more > 0 {
		s.handler.Fault(Fault{Kind: MoreDamaged, Place: d.first, Records: d.more})
		d.more = 0
	}
}
