// Package scan reads JSON (RFC 8259) for the plugin: its configuration and the sidecar's messages.
//
// It is here since what the plugin links is paid by every pod: a ready-made reader is 0.28 MB of module, this one a
// tenth of it. A fuzz test holds it to encoding/json.
package scan

import (
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON from left to right, value by value. After the first damage of the text it stays where it is.
type scanner struct {
	text   []byte
	next   int
	damage string // what is wrong with the text at next; "" while nothing is
}

// maxDepth is how deep objects and lists may be nested.
const maxDepth = 64

func (s *scanner) fail(damage string) {
	if s.damage == "" {
		s.damage = damage
	}
}

// peek returns the byte that the next token begins with, 0 at the end of the text or after damage.
func (s *scanner) peek() byte {
	for s.damage == "" && s.next < len(s.text) {
		switch c := s.text[s.next]; c {
		case ' ', '\t', '\r', '\n':
			s.next++
		case 0:
			s.fail("a zero byte")
		default:
			return c
		}
	}
	return 0
}

// kind returns what the next value is: '{', '[', '"', '0' for a number, 't' for true or false, 'n' for null, and 0
// if no value comes.
func (s *scanner) kind() byte {
	switch c := s.peek(); c {
	case '{', '[', '"', 'n', 't':
		return c
	case 'f':
		return 't'
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return '0'
	}
	return 0
}

// token reads the punctuation mark c.
func (s *scanner) token(c byte) bool {
	if s.peek() != c {
		s.unexpected("want '" + string(rune(c)) + "'")
		return false
	}
	s.next++
	return true
}

// try reads the punctuation mark c if it comes next.
func (s *scanner) try(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.next++
	return true
}

func (s *scanner) unexpected(want string) {
	switch c := s.peek(); {
	case s.damage != "":
	case c == 0:
		s.fail("it ends too early, " + want)
	case c < ' ' || c > '~':
		s.fail("an unexpected byte, " + want)
	default:
		s.fail("an unexpected '" + string(rune(c)) + "', " + want)
	}
}

// each reads the members of an object or list up to its end mark: read is called before each one.
func (s *scanner) each(end byte, read func()) {
	s.next++ // the opening mark, which the caller has seen
	if s.try(end) {
		return
	}
	for s.damage == "" {
		read()
		if s.try(end) {
			return
		}
		if !s.token(',') {
			return
		}
	}
}

// value passes over the next value and returns its text.
func (s *scanner) value() []byte {
	s.peek()
	start := s.next
	s.skip(0)
	return s.text[start:s.next]
}

func (s *scanner) skip(depth int) {
	if depth > maxDepth {
		s.fail("it is nested too deep")
		return
	}
	switch s.kind() {
	case '{':
		s.each('}', func() {
			s.string()
			s.token(':')
			s.skip(depth + 1)
		})
	case '[':
		s.each(']', func() { s.skip(depth + 1) })
	case '"':
		s.string()
	case '0':
		s.number()
	case 't', 'n':
		for _, word := range [...]string{"true", "false", "null"} {
			if len(s.text)-s.next >= len(word) && string(s.text[s.next:s.next+len(word)]) == word {
				s.next += len(word)
				return
			}
		}
		fallthrough
	default:
		s.unexpected("want a value")
	}
}

// number reads a number and returns its text.
func (s *scanner) number() string {
	start := s.next
	digits := func() bool {
		first := s.next
		for s.next < len(s.text) && '0' <= s.text[s.next] && s.text[s.next] <= '9' {
			s.next++
		}
		return s.next > first
	}
	at := func(marks ...byte) bool {
		for _, mark := range marks {
			if s.next < len(s.text) && s.text[s.next] == mark {
				s.next++
				return true
			}
		}
		return false
	}
	at('-')
	ok := at('0') || digits()
	if ok && at('.') {
		ok = digits()
	}
	if ok && at('e', 'E') {
		at('+', '-')
		ok = digits()
	}
	if !ok {
		s.unexpected("want a digit")
		return ""
	}
	return string(s.text[start:s.next])
}

// string reads a string and returns its content.
func (s *scanner) string() string {
	if !s.token('"') {
		return ""
	}
	var b []byte
	for s.damage == "" && s.next < len(s.text) {
		switch c := s.text[s.next]; {
		case c == '"':
			s.next++
			return string(b)
		case c == '\\':
			b = s.escape(b)
		case c < ' ':
			s.fail("a control character in a string")
		case c < utf8.RuneSelf:
			b = append(b, c)
			s.next++
		default:
			r, size := utf8.DecodeRune(s.text[s.next:])
			if r == utf8.RuneError && size == 1 {
				s.fail("a byte that is not UTF-8")
				return ""
			}
			b = append(b, s.text[s.next:s.next+size]...)
			s.next += size
		}
	}
	s.fail("it ends too early, want '\"'")
	return ""
}

// escape reads an escape sequence and appends what it stands for.
func (s *scanner) escape(b []byte) []byte {
	if s.next+1 >= len(s.text) {
		s.fail("it ends too early, want '\"'")
		return b
	}
	c := s.text[s.next+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r := s.unicode()
		if r < 0 {
			s.fail("a broken \\u in a string")
			return b
		}
		return utf8.AppendRune(b, r)
	default:
		s.fail("an unknown escape in a string")
		return b
	}
	s.next += 2
	return append(b, c)
}

// unicode reads \uXXXX, or two of them that are a surrogate pair; -1 if it is neither.
func (s *scanner) unicode() rune {
	high := s.hex4()
	if !utf16.IsSurrogate(high) {
		return high
	}
	if low := s.hex4(); low >= 0 {
		if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
			return r
		}
	}
	return -1
}

func (s *scanner) hex4() rune {
	const size = len(`\u0000`)
	if len(s.text)-s.next < size || s.text[s.next] != '\\' || s.text[s.next+1] != 'u' {
		return -1
	}
	n, ok := Uint(string(s.text[s.next+2:s.next+size]), 16, math.MaxUint16)
	if !ok {
		return -1
	}
	s.next += size
	return rune(n)
}

// AppendQuoted appends text as a JSON string of printable ASCII, and returns the extended slice.
func AppendQuoted(dst []byte, text string) []byte {
	const hexDigits = "0123456789abcdef"
	escape := func(c uint16) {
		dst = append(dst, '\\', 'u', hexDigits[c>>12], hexDigits[c>>8&0xf], hexDigits[c>>4&0xf], hexDigits[c&0xf])
	}
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case ' ' <= r && r <= '~':
			dst = append(dst, byte(r))
		case r < 0x10000:
			escape(uint16(r))
		default:
			high, low := utf16.EncodeRune(r)
			escape(uint16(high))
			escape(uint16(low))
		}
	}
	return append(dst, '"')
}
