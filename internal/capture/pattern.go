package capture

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// MaxMatchBytes is the longest match that is found across the borders of events.
const MaxMatchBytes = 4096

// Pattern is what the stream of a direction is searched for. It is about bytes, not characters.
type Pattern struct {
	literal  []byte
	expr     *regexp.Regexp // of bytes as characters U+0000 to U+00FF; nil: literal
	anchored bool           // expr looks at what surrounds a match
}

// ParsePattern reads a pattern:
//
//	hello          these bytes; "text:" before them allows any
//	hex:0d0a0d0a   bytes in hex digits, with spaces between them if wanted
//	re:GET /\d+    a regular expression (RE2); \x80 to \xff are bytes, and a character beyond ASCII is the bytes of its UTF-8
func ParsePattern(text string) (*Pattern, error) {
	if expr, ok := strings.CutPrefix(text, "re:"); ok {
		return parseExpression(expr)
	}
	p := &Pattern{literal: []byte(strings.TrimPrefix(text, "text:"))}
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		var err error
		if p.literal, err = hex.DecodeString(strings.ReplaceAll(digits, " ", "")); err != nil {
			return nil, errors.New("want hex: with an even number of hex digits")
		}
	}
	if n := len(p.literal); n == 0 || n > MaxMatchBytes {
		return nil, fmt.Errorf("want 1 to %d bytes, got %d", MaxMatchBytes, n)
	}
	return p, nil
}

func parseExpression(text string) (*Pattern, error) {
	text = string(appendCharacters(nil, []byte(text)))
	expr, err := regexp.Compile(text)
	if err != nil {
		var wrong *syntax.Error
		if errors.As(err, &wrong) {
			return nil, fmt.Errorf("want a regular expression after re:, but it has %s: %q", wrong.Code, wrong.Expr)
		}
		return nil, err
	}
	if expr.MatchString("") {
		return nil, errors.New("want a regular expression that takes a byte at least: this one matches everywhere")
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	return &Pattern{expr: expr, anchored: isAnchored(tree)}, err
}

// isAnchored reports whether an expression looks at what surrounds a match.
func isAnchored(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	for _, part := range tree.Sub {
		if isAnchored(part) {
			return true
		}
	}
	return false
}

// appendCharacters appends each byte as the character of its number, which package regexp can match.
func appendCharacters(dst, b []byte) []byte {
	for _, c := range b {
		if c < 0x80 {
			dst = append(dst, c)
		} else {
			dst = append(dst, 0xc0|c>>6, 0x80|c&0x3f)
		}
	}
	return dst
}

// overlap is how many bytes may belong to a match that the next ones continue.
func (p *Pattern) overlap() int {
	if p.expr == nil {
		return len(p.literal) - 1
	}
	return MaxMatchBytes
}

// matcher searches one direction of a connection. It holds up to twice overlap, and the payload of one event.
type matcher struct {
	pattern *Pattern
	overlap int // as that of pattern
	found   func(Range) (more bool)
	window  []byte
	at      uint64 // of window in the stream
	fresh   int    // bytes at the window's end that have not been searched
	done    bool
	text    *[]byte // scratch: window in characters
}

// add takes the next bytes of the stream. No match crosses bytes that are missing.
func (m *matcher) add(offset uint64, payload []byte) {
	if m.done {
		return
	}
	if m.at+uint64(len(m.window)) != offset {
		m.finish()
		m.window, m.at = m.window[:0], offset
	}
	m.window = append(m.window, payload...)
	m.fresh += len(payload)
	if m.fresh < m.overlap {
		return
	}
	m.search(false)
	if drop := len(m.window) - m.overlap - 1; drop > 0 { // one more is what comes before a match
		m.window = append(m.window[:0], m.window[drop:]...)
		m.at += uint64(drop)
	}
}

// finish says that nothing follows.
func (m *matcher) finish() {
	if !m.done && len(m.window) > 0 {
		m.search(true)
	}
}

func (m *matcher) search(last bool) {
	m.fresh = 0
	if m.pattern.expr == nil {
		for from := 0; ; {
			i := bytes.Index(m.window[from:], m.pattern.literal)
			if i < 0 || !m.give(from+i, from+i+len(m.pattern.literal)) {
				return
			}
			from += i + 1 // matches may overlap
		}
	}
	text := appendCharacters((*m.text)[:0], m.window)
	*m.text = text
	passed, seen := 0, 0 // of text, and the same in window
	place := func(i int) int {
		for ; passed < i; passed++ {
			if text[passed]&0xc0 != 0x80 {
				seen++
			}
		}
		return seen
	}
	for _, match := range m.pattern.expr.FindAllIndex(text, -1) {
		start, end := place(match[0]), place(match[1])
		// What comes before the window, or after it, may be what an anchor looks at.
		unsure := m.pattern.anchored && (start == 0 && m.at > 0 || end == len(m.window) && !last)
		if start < end && !unsure && !m.give(start, end) {
			return
		}
	}
}

// give gives a match, and reports whether more are wanted.
func (m *matcher) give(start, end int) (more bool) {
	more = m.found(Range{m.at + uint64(start), m.at + uint64(end)})
	if !more {
		m.done, m.window = true, nil
	}
	return more
}
