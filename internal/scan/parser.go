package scan

import (
	"strconv"

	"l4dump/internal/fault"
)

// MaxTextBytes is the longest document that is read.
const MaxTextBytes = 64 << 10

// Parser reads one JSON document into Go values. It reads the whole document whatever it finds, so that all faults are
// known at once. A value that is at fault leaves its place as it was.
type Parser struct {
	scanner
	faults  fault.Faults
	lenient bool
}

// Value reads one JSON value, whose path is given for its faults.
type Value func(path string)

// Member is a key of an object and how its value is read.
type Member struct {
	Name string
	Read Value
}

// Key returns a member.
func Key(name string, read Value) Member { return Member{Name: name, Read: read} }

// NewParser returns a parser for which a key that is not known is a fault.
func NewParser(text []byte) *Parser { return &Parser{scanner: scanner{text: text}} }

// NewLenientParser returns a parser that passes over keys that it does not know: those of a later version.
func NewLenientParser(text []byte) *Parser {
	p := NewParser(text)
	p.lenient = true
	return p
}

// Document reads the whole text as one value. The error is a fault.Faults.
func (p *Parser) Document(read Value) error {
	if len(p.text) > MaxTextBytes {
		p.Fault("", "want at most "+itoa(MaxTextBytes)+" bytes, got "+itoa(int64(len(p.text))))
		return p.faults
	}
	read("")
	if p.peek() != 0 {
		p.unexpected("want nothing after the object")
	}
	if p.damage != "" {
		p.Fault("", "want valid JSON, but at byte "+itoa(int64(p.next))+": "+p.damage)
	}
	if len(p.faults) > 0 {
		return p.faults
	}
	return nil
}

// Fault notes that the value at path is not what was wanted.
func (p *Parser) Fault(path, message string) {
	p.faults = append(p.faults, fault.Fault{Path: path, Message: message})
}

// Object reads an object by its members. If they are without a fault, done (if not nil) looks at them together.
//
//go:noinline
func (p *Parser) Object(members []Member, done Value) Value {
	return func(path string) {
		if p.kind() != '{' {
			p.wrong(path, "an object")
			return
		}
		faults := len(p.faults)
		seen := make([]bool, len(members))
		p.each('}', func() {
			name := p.string()
			p.token(':')
			p.member(path, name, members, seen)
		})
		if done != nil && p.sound(faults) {
			done(path)
		}
	}
}

// sound reports whether no fault was found since there were so many.
func (p *Parser) sound(faults int) bool { return p.damage == "" && len(p.faults) == faults }

func (p *Parser) member(path, name string, members []Member, seen []bool) {
	for i, m := range members {
		if m.Name != name {
			continue
		}
		if seen[i] {
			p.Fault(fault.Join(path, name), "given twice")
			break
		}
		seen[i] = true
		m.Read(fault.Join(path, name))
		return
	}
	p.value()
	if p.damage == "" && !p.lenient && !known(members, name) {
		p.Fault(fault.Join(path, clip(string(AppendQuoted(nil, name)))), "unknown key, want one of "+names(members))
	}
}

func known(members []Member, name string) bool {
	for _, m := range members {
		if m.Name == name {
			return true
		}
	}
	return false
}

// List reads a list, its elements by element. If they are without a fault, done (if not nil) looks at them together.
//
//go:noinline
func (p *Parser) List(want string, element, done Value) Value {
	return func(path string) {
		if p.kind() != '[' {
			p.wrong(path, want)
			return
		}
		faults, i := len(p.faults), int64(0)
		p.each(']', func() {
			element(path + "[" + itoa(i) + "]")
			i++
		})
		if done != nil && p.sound(faults) {
			done(path)
		}
	}
}

// OrNull reads a value that may be null, which leaves its place as it was.
func (p *Parser) OrNull(read Value) Value {
	return func(path string) {
		if p.kind() == 'n' {
			p.value()
			return
		}
		read(path)
	}
}

// wrong passes over the next value and notes that it should have been another.
func (p *Parser) wrong(path, want string) {
	if text := p.value(); p.damage == "" {
		p.Fault(path, "want "+want+", got "+describe(text))
	}
}

// scalar reads a value of kind and gives its text (a string's content) to accept. If that refuses it, or the value is
// of another kind, it is a fault. Inlined it, and others here, would be in the plugin a dozen times.
//
//go:noinline
func (p *Parser) scalar(kind byte, want string, accept func(text string) bool) Value {
	return func(path string) {
		if p.kind() != kind {
			p.wrong(path, want)
			return
		}
		start := p.next
		var text string
		if kind == '"' {
			text = p.string()
		} else {
			text = p.number()
		}
		if p.damage == "" && !accept(text) {
			p.Fault(path, "want "+want+", got "+describe(p.text[start:p.next]))
		}
	}
}

// Text reads a string that accept takes.
func (p *Parser) Text(want string, accept func(text string) bool) Value {
	return p.scalar('"', want, accept)
}

// Bool reads true or false.
//
//go:noinline
func (p *Parser) Bool(to *bool) Value {
	return func(path string) {
		text := p.value()
		if *to = string(text) == "true"; !*to && p.damage == "" && string(text) != "false" {
			p.Fault(path, "want true or false, got "+describe(text))
		}
	}
}

// OrNoLimit says that 0 is allowed besides a range.
const OrNoLimit = ", or 0 for no limit"

// Integer reads a whole number from least to most, however it is written: 5, 5.0 or 50e-1. or is empty or OrNoLimit.
//
//go:noinline
func (p *Parser) Integer(to *int64, least, most int64, or string) Value {
	return p.scalar('0', "a whole number from "+itoa(least)+" to "+itoa(most)+or, func(text string) bool {
		n, ok := decimalOf(text).whole()
		if !ok || ((n < least || n > most) && (or == "" || n != 0)) {
			return false
		}
		*to = n
		return true
	})
}

// Number reads a number that accept takes; want says which those are.
//
//go:noinline
func (p *Parser) Number(to *float64, want string, accept func(n float64) bool) Value {
	return p.scalar('0', want, func(text string) bool {
		n, ok := decimalOf(text).float()
		if !ok || !accept(n) {
			return false
		}
		*to = n
		return true
	})
}

// OneOf reads a string that is one of options.
func OneOf[T ~string](p *Parser, to *T, options ...T) Value {
	want := ""
	for i, option := range options {
		switch {
		case i > 0 && i == len(options)-1:
			want += " or "
		case i > 0:
			want += ", "
		}
		want += `"` + string(option) + `"`
	}
	return p.Text(want, func(text string) bool {
		for _, option := range options {
			if text == string(option) {
				*to = option
				return true
			}
		}
		return false
	})
}

// describe shows a JSON value in a message: a short one as it is, an object or a list by its kind.
func describe(text []byte) string {
	switch text[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return clip(string(text))
}

// clip shortens text from a document for a message.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

// names lists the keys of an object.
func names(members []Member) (list string) {
	for i, m := range members {
		if i > 0 {
			list += ", "
		}
		list += m.Name
	}
	return list
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
