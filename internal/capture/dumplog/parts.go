package dumplog

import (
	"bytes"
	"slices"

	"l4dump/internal/capture"
	"l4dump/record"
)

// A log may cut a record in two or more: a container runtime cuts long lines, or whatever it reads, and a collector puts
// each part into an object of its own. What is cut is kept, and what comes next in a place where a part may begin is
// tried: the beginning of a line or what follows a container runtime's prefix, and the beginning of a string. Whether
// it belongs to the record is for its grammar and its checksum to say, so that neither a runtime's marks of parts nor
// their names in JSON need to be known.

const (
	maxParts     = 16      // records that wait for their continuation at a time
	maxVariants  = 8       // what one of them may be, where several parts may continue it
	maxTries     = 1 << 16 // places that are tried for one of them
	maxBrackets  = 8       // that are tried as the beginning of a record at the end of a line
	maxPartBytes = 128 << 10

	mark = "] L4D1 " // what record.Find looks for
)

// part is the beginning of a record.
type part struct {
	at       capture.Place
	err      error  // what is wrong with it if nothing continues it; nil if it has no mark
	plain    bool   // only the next line may continue it
	key      uint64 // of the stream in which it stands, 0 if that is not known
	line     int64  // that has continued it last, by Scanner.lines
	tries    int
	variants []variant // the first is what was cut, the others are that and parts that follow it
}

type variant struct {
	bytes []byte
	tail  []byte // an escape that the cut has broken off
	last  spot   // where the part begins that came last; the zero value in a part's first variant
}

// spot is a place in the scanner's input, as in capture.Place.
type spot struct{ number, column int64 }

// marked reports whether v has a mark that came with its parts.
func (v *variant) marked() bool { return v.last != spot{} && bytes.Contains(v.bytes, []byte(mark)) }

// parts are the records that wait for their continuation, the latest last.
type parts struct {
	list  []*part
	joint []byte
}

func (p *parts) takeAll() []*part {
	all := p.list
	p.list = nil
	return all
}

func (p *parts) remove(i int) *part {
	gone := p.list[i]
	p.list = append(p.list[:i], p.list[i+1:]...)
	return gone
}

// keep keeps what t holds from start to stop, the beginning of a record. err is nil if its mark has not come yet.
func (s *Scanner) keep(t *text, start, stop int, err error) {
	h := s.head(t)
	p := &part{
		at: s.place(t, start), err: err, key: h.key, tries: maxTries,
		plain: !h.container && (stop == len(t.bytes) || t.bytes[stop] == '\r'),
		variants: []variant{{
			bytes: bytes.Clone(t.bytes[start:stop]),
			tail:  bytes.Clone(t.bytes[stop : stop+brokenEscape(t.bytes[stop:])]),
		}},
	}
	s.parts.list = append(s.parts.list, p)
	if len(s.parts.list) > maxParts {
		s.expired(s.parts.remove(0))
	}
}

// expired reports a record that nothing continues.
func (s *Scanner) expired(p *part) {
	for i := range p.variants {
		if p.err == nil && p.variants[i].marked() {
			p.err = record.ErrCut
		}
	}
	if p.err != nil {
		s.damaged(p.err, p.at)
	}
}

// refute removes from all parts the variants that took the same text for theirs as v, which has become a record.
func (p *parts) refute(v *variant) {
	if v.last == (spot{}) {
		return
	}
	for _, other := range p.list {
		other.variants = slices.DeleteFunc(other.variants, func(w variant) bool {
			return w.last == v.last && bytes.Equal(w.bytes, v.bytes)
		})
	}
}

// endPart keeps the head of a record that breaks off at stop, before its mark. What breaks off later recordAt keeps.
func (s *Scanner) endPart(t *text, stop int) {
	const longest = len("[01234567-89ab-cdef-0123-456789abcdef][65535] L4D1")
	b := t.bytes[:stop]
	if len(b) == 0 || !headBytes[b[len(b)-1]] {
		return
	}
	escape := false
	b = bytes.TrimSuffix(b, []byte{'\r'})
	if i := bytes.LastIndexAny(b[max(0, len(b)-maxBrokenEscape):], "\\\x1b#&"); i >= 0 {
		i += max(0, len(b)-maxBrokenEscape)
		for i > 0 && b[i-1] == '\\' {
			i--
		}
		if brokenEscape(b[i:]) == len(b)-i {
			b, escape = b[:i], true
		}
	}
	stop = len(b)
	from := max(0, stop-longest)
	for range maxBrackets { // the window's, or the port's, after those of a proxy's and a collector's prefix
		i := bytes.IndexByte(b[from:], '[')
		if i < 0 {
			break
		}
		from += i
		if record.IsCut(b[from:]) && !bytes.Contains(b[from:], []byte(mark)) {
			s.keep(t, from, stop, nil)
			return
		}
		from++
	}
	if escape { // it may be the bracket's
		s.keep(t, stop, stop, nil)
	}
}

// beginText tries what begins a line, and returns how many bytes of it continue a record.
func (s *Scanner) beginText(t *text, end bool) (n int, err error) {
	if !end {
		s.head(t)
	}
	if len(s.parts.list) == 0 && len(s.layottos) == 0 {
		return 0, nil
	}
	h := s.head(t)
	for _, start := range h.starts(t.bytes) {
		if n, err = s.beginPart(t, start, end); n > 0 || err != nil {
			n += start
			break
		}
	}
	if h.runtime && n == 0 && err == nil {
		if n, err = s.continueLayotto(t, h.start); n > 0 {
			n += h.start
		}
	}
	passed := h.runtime && (!h.partial || len(bytes.TrimRight(t.bytes[h.start:], "\r")) > 0) // not an empty part
	for i := 0; i < len(s.parts.list); {
		p := s.parts.list[i]
		if (p.plain || passed && p.key == h.key) && p.line != s.lines {
			s.expired(s.parts.remove(i))
			continue
		}
		i++
	}
	return n, err
}

// beginPart tries what begins at start as the continuation of a record, or in a string of a line in Layotto's format,
// and returns how many bytes belong to it.
func (s *Scanner) beginPart(t *text, start int, end bool) (n int, err error) {
	if len(s.parts.list) > 0 {
		n, err = s.continueRecord(t, start, end)
	}
	if len(s.layottos) > 0 && n == 0 && err == nil && start > 0 && t.bytes[start-1] == '"' {
		n, err = s.continueLayotto(t, start)
	}
	return n, err
}

func (s *Scanner) continueRecord(t *text, start int, end bool) (n int, err error) {
	skip := runtimeHead(t.bytes[start:]).start
	start += skip
	if start == len(t.bytes) {
		return 0, nil
	}
	h := s.head(t)
	for i := len(s.parts.list) - 1; i >= 0; i-- {
		p := s.parts.list[i]
		if p.key != 0 && h.key != 0 && p.key != h.key {
			continue
		}
		if p.tries--; p.tries <= 0 {
			s.expired(s.parts.remove(i))
			continue
		}
		for j := len(p.variants) - 1; j >= 0; j-- {
			if n := s.complete(&p.variants[j], t, start, end); n > 0 {
				s.parts.remove(i)
				s.parts.refute(&p.variants[j])
				s.dropLayotto(p.at)
				return skip + n, s.emit(&s.record, s.parts.joint, p.at)
			}
		}
	}
	for i := len(s.parts.list) - 1; i >= 0; i-- {
		p := s.parts.list[i]
		if p.key != 0 && h.key != 0 && p.key != h.key {
			continue
		}
		for j := len(p.variants) - 1; j >= 0; j-- {
			if used := s.extend(p, j, t, start, end); used > 0 {
				p.line = s.lines
				s.dropLayotto(p.at)
				s.line.found = true
				n = max(n, skip+used)
				break
			}
		}
	}
	return n, nil // it may belong to another of them: the checksum will say
}

// complete returns how many bytes of t from start on make v a record, which is put into s.record and its text into
// s.parts.joint; 0 if they do not.
func (s *Scanner) complete(v *variant, t *text, start int, end bool) int {
	for _, tail := range v.tails() {
		c := s.parts.join(v, tail, t, start, end)
		r, length, err := record.Parse(c.joint, s.payload[:0])
		if err != nil || length <= len(v.bytes) {
			continue
		}
		if r.Kind == record.KindData {
			s.payload = r.Payload
		}
		s.record = r
		s.parts.joint = c.joint[:length]
		return max(1, c.stop-start-(len(c.joint)-length))
	}
	return 0
}

// extend adds variant j of p and what t holds from start on to p if they are the beginning of a record, and returns how
// many bytes that are.
func (s *Scanner) extend(p *part, j int, t *text, start int, end bool) int {
	v := &p.variants[j]
	for _, tail := range v.tails() {
		c := s.parts.join(v, tail, t, start, end)
		if c.used == 0 || !c.bounded || len(c.joint) > maxPartBytes || !record.IsCut(c.joint) ||
			!s.head(t).runtime && !isPart(t.bytes, start, c.stop) {
			continue
		}
		if len(p.variants) == maxVariants {
			if p.err == nil && p.variants[1].marked() {
				p.err = record.ErrCut
			}
			p.variants = append(p.variants[:1], p.variants[2:]...)
		}
		at := s.place(t, start)
		p.variants = append(p.variants, variant{
			bytes: bytes.Clone(c.joint), tail: bytes.Clone(c.tail), last: spot{at.Number, at.Column},
		})
		return c.used
	}
	return 0
}

// tails returns what may stand between v and its continuation. Backslashes at the end of a part may belong to an escape
// that is whole without them.
func (v *variant) tails() [][]byte {
	if len(v.tail) > 0 && len(bytes.Trim(v.tail, `\`)) == 0 {
		return [][]byte{nil, v.tail}
	}
	return [][]byte{v.tail}
}

// continuation is a variant with what may continue it.
type continuation struct {
	joint   []byte // both together; valid until the next call
	stop    int    // where that ends
	bounded bool   // a part may end there
	tail    []byte // an escape that the part's end breaks off
	used    int    // bytes of the part, that escape included
}

// join joins v and what t holds from start on. tail is the beginning of an escape, whose end t holds.
func (p *parts) join(v *variant, tail []byte, t *text, start int, end bool) (c continuation) {
	first := start
	p.joint = append(p.joint[:0], v.bytes...)
	if len(tail) > 0 {
		escape := append(bytes.Clone(tail), t.bytes[start:min(len(t.bytes), start+maxBrokenEscape)]...)
		decode := decodeEscape
		if escape[0] == 0x1b {
			decode = decodeColor
		}
		n, char, emit := decode(escape)
		if n <= len(tail) { // it is none, or it is cut once more
			n = brokenEscape(escape)
			return continuation{
				joint: p.joint, stop: start, bounded: n > len(tail), tail: escape[:n], used: max(0, n-len(tail)),
			}
		}
		start += n - len(tail)
		if emit && char == 0x1b {
			escape := append([]byte{char}, t.bytes[start:min(len(t.bytes), start+maxBrokenEscape)]...)
			if n, _, emit := decodeColor(escape); n > 1 && !emit {
				start += n - 1
			}
		} else if emit {
			p.joint = append(p.joint, char)
		}
	}
	c.stop, c.bounded = boundary(t.bytes, start, end)
	p.joint = append(p.joint, t.bytes[start:c.stop]...)
	c.joint = p.joint
	c.tail = t.bytes[c.stop : c.stop+brokenEscape(t.bytes[c.stop:])]
	c.used = c.stop + len(c.tail) - first
	return c
}

// recordBytes are the bytes that stand in a record.
var recordBytes = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:/@[]%=, ")

// headBytes are the bytes in which the head of a record may break off, escapes and carriage returns included.
var headBytes = set("0123456789abcdefABCDEFux-[]LD \\\r\x1b#&;")

// runEnd returns where the bytes of a record end that begin at start, at most maxPartBytes on.
func runEnd(b []byte, start int) int {
	most := min(len(b), start+maxPartBytes)
	for start < most && recordBytes[b[start]] {
		start++
	}
	return start
}

// ends reports whether what is in b suffices to judge the part that begins it.
func ends(b []byte) bool {
	if bytes.IndexByte(b, '"') >= 0 || len(b) >= 2*maxPartBytes {
		return true
	}
	return runEnd(b, 0) < len(b)-maxBrokenEscape
}

// boundary returns where the bytes of a record end that begin at start, and whether a part may end there.
func boundary(b []byte, start int, end bool) (stop int, ok bool) {
	stop = runEnd(b, start)
	if stop == len(b) {
		return stop, end
	}
	switch b[stop] {
	case '"', '\'', '\n', '\r', '\t', '<':
		return stop, true
	}
	return stop, brokenEscape(b[stop:]) > 0
}

// maxBrokenEscape bounds an escape that a part's end breaks off.
const maxBrokenEscape = 80

// brokenEscape returns the length of the escape at the beginning of b that the end of a part breaks off, or 0.
func brokenEscape(b []byte) int {
	n := 0
	if n < len(b) && (b[n] == 0x1b || b[n] == '#' || b[n] == '&') {
		n++
	}
	for n < len(b) && b[n] == '\\' && n < maxNesting {
		n++
	}
	if n == 0 {
		return 0
	}
	for n < len(b) && n < maxBrokenEscape {
		c := b[n]
		if digit(c) > 15 && c != 'u' && c != 'x' && c != '[' && c != ';' && c != '#' && c != 'K' {
			break
		}
		n++
	}
	if n == len(b) || b[n] == '"' || b[n] == '\r' || b[n] == '\n' {
		return n
	}
	return 0
}

// isPart reports whether a string from start to stop may be a part of a log's line, and no other field of its object.
func isPart(b []byte, start, stop int) bool {
	const long = 1024 // no name or identifier has as many bytes
	if stop-start >= long || start == 0 {
		return true
	}
	before := bytes.TrimRight(bytes.TrimSuffix(b[:start], []byte{'"'}), ": ")
	before, quoted := bytes.CutSuffix(before, []byte{'"'})
	if !quoted {
		return false
	}
	name := before[bytes.LastIndexByte(before, '"')+1:]
	switch string(bytes.ToLower(name)) {
	case "log", "message", "msg", "body", "text", "line", "event", "content", "stringvalue", "textpayload", "_raw", "data":
		return true
	}
	return false
}
