package dumplog

import (
	"bytes"
	"sort"
)

// text is bytes of one line with the columns that they come from.
type text struct {
	bytes []byte
	runs  []run // the first one at 0, if there are bytes
}

// run says that the bytes of a text from at on stand in the line from column on, up to the next run.
type run struct {
	at     int
	column int64
}

// column returns where byte i of the text stands.
func (t *text) column(i int) int64 {
	k := t.find(i)
	if k < 0 {
		return 0
	}
	return t.runs[k].column + int64(i-t.runs[k].at)
}

// find returns the run of byte i.
func (t *text) find(i int) int {
	if len(t.runs) < 2 {
		return len(t.runs) - 1
	}
	return sort.Search(len(t.runs), func(k int) bool { return t.runs[k].at > i }) - 1
}

func (t *text) reset() { t.bytes, t.runs = t.bytes[:0], t.runs[:0] }

// put appends a byte that stands for what begins at column.
func (t *text) put(c byte, column int64) {
	t.mark(column)
	t.bytes = append(t.bytes, c)
}

// mark says that the next byte stands at column.
func (t *text) mark(column int64) {
	at := len(t.bytes)
	if n := len(t.runs); n > 0 {
		last := &t.runs[n-1]
		if last.column+int64(at-last.at) == column {
			return
		}
		if last.at == at {
			last.column = column
			return
		}
	}
	t.runs = append(t.runs, run{at, column})
}

// add appends the bytes of from between start and end. k is where the search for their runs may begin; add returns
// where the next one's may.
func (t *text) add(from *text, start, end, k int) int {
	for k+1 < len(from.runs) && from.runs[k+1].at <= start {
		k++
	}
	for start < end {
		stop := end
		if k+1 < len(from.runs) {
			stop = min(end, from.runs[k+1].at)
		}
		t.mark(from.runs[k].column + int64(start-from.runs[k].at))
		t.bytes = append(t.bytes, from.bytes[start:stop]...)
		if start = stop; start < end {
			k++
		}
	}
	return k
}

// drop removes the first n bytes.
func (t *text) drop(n int) {
	if n == 0 {
		return
	}
	if n >= len(t.bytes) {
		t.reset()
		return
	}
	k := t.find(n)
	first := run{0, t.column(n)}
	rest := t.runs[k+1:]
	runs := append(t.runs[:0], first)
	for _, r := range rest {
		runs = append(runs, run{r.at - n, r.column})
	}
	t.runs = runs
	t.bytes = append(t.bytes[:0], t.bytes[n:]...)
}

// pass undoes one kind of encoding. It keeps a sequence that its input breaks off in, so that the result does not
// depend on how a line is cut into pieces.
type pass struct {
	special *[256]bool
	// decode reads the sequence that begins b, which is a special byte. It returns how many bytes it takes and what it
	// stands for; 0 bytes if b ends within it.
	decode func(b []byte) (n int, c byte, emit bool)

	held, input text
}

// has reports whether there is anything to undo.
func (p *pass) has(b []byte) bool {
	if len(p.held.bytes) > 0 {
		return true
	}
	return p.next(b) < len(b)
}

// next returns where the first special byte stands, or the length of b.
func (p *pass) next(b []byte) int {
	for i, c := range b {
		if p.special[c] {
			return i
		}
	}
	return len(b)
}

// write appends what in stands for. At the end of a line, an unfinished sequence stands for itself.
func (p *pass) write(dst, in *text, end bool) {
	if len(p.held.bytes) > 0 {
		p.input.reset()
		p.input.add(&p.held, 0, len(p.held.bytes), 0)
		p.input.add(in, 0, len(in.bytes), 0)
		p.held.reset()
		in = &p.input
	}
	b, k := in.bytes, 0
	for i := 0; i < len(b); {
		next := i + p.next(b[i:])
		k = dst.add(in, i, next, k)
		if i = next; i == len(b) {
			return
		}
		n, c, emit := p.decode(b[i:])
		switch {
		case n == 0 && !end:
			p.held.add(in, i, len(b), k)
			return
		case n == 0:
			k = dst.add(in, i, i+1, k)
			n = 1
		case emit:
			for k+1 < len(in.runs) && in.runs[k+1].at <= i {
				k++
			}
			dst.put(c, in.runs[k].column+int64(i-in.runs[k].at))
		}
		i += n
	}
}

// passes undo, in this order: the zero bytes of UTF-16 and of the holes that truncation leaves; the escapes of JSON, Go,
// Python, rsyslog and HTML; the colors of a terminal.
type passes struct {
	zeros, escapes, colors pass
	one, two               text
}

func newPasses() *passes {
	return &passes{
		zeros:   pass{special: set("\x00"), decode: decodeZeros},
		escapes: pass{special: set(`\#&`), decode: decodeEscape},
		colors:  pass{special: set("\x1b"), decode: decodeColor},
	}
}

func set(special string) *[256]bool {
	var s [256]bool
	for i := range len(special) {
		s[special[i]] = true
	}
	return &s
}

// needed reports whether b, which begins a line, is anything but what it stands for.
func needed(b []byte) bool {
	for _, c := range []byte("\x1b\x00\\#&") {
		if bytes.IndexByte(b, c) >= 0 {
			return true
		}
	}
	return false
}

// write appends what in stands for.
func (p *passes) write(dst, in *text, end bool) {
	p.one.reset()
	p.two.reset()
	if p.zeros.has(in.bytes) {
		p.zeros.write(&p.one, in, end)
		in = &p.one
	}
	if p.escapes.has(in.bytes) {
		p.escapes.write(&p.two, in, end)
		in = &p.two
	}
	p.colors.write(dst, in, end)
}

func decodeZeros(b []byte) (n int, _ byte, _ bool) {
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n, 0, false
}

// maxColorBytes bounds a terminal's control sequence.
const maxColorBytes = 64

// decodeColor reads a control sequence (ECMA-48, CSI), which stands for nothing.
func decodeColor(b []byte) (n int, c byte, emit bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	if b[1] != '[' {
		return 1, b[0], true
	}
	for i := 2; i < maxColorBytes; i++ {
		switch {
		case i == len(b):
			return 0, 0, false
		case 0x40 <= b[i] && b[i] <= 0x7e:
			return i + 1, 0, false
		case b[i] < 0x20 || b[i] > 0x3f:
			return 1, b[0], true
		}
	}
	return 1, b[0], true
}

// maxNesting is how many backslashes may stand before an escaped character: JSON in JSON doubles them each time.
const maxNesting = 64

// decodeEscape reads an escape:
//
//	\n \/ \" \u003d \x1b \033    JSON, Go, Python; nested, they have more backslashes
//	#011 #033                    rsyslog
//	&quot; &#34; &#x3D;          HTML and XML
func decodeEscape(b []byte) (n int, c byte, emit bool) {
	switch b[0] {
	case '#':
		return decodeNumber(b, 1, 3, 8)
	case '&':
		return decodeEntity(b)
	}
	for n < len(b) && b[n] == '\\' {
		n++
		if n == maxNesting {
			return n, '\\', true
		}
	}
	if n == len(b) {
		return 0, 0, false
	}
	switch c := b[n]; c {
	case 'u':
		return decodeNumber(b, n+1, 4, 16)
	case 'x':
		return decodeNumber(b, n+1, 2, 16)
	case '0':
		return decodeNumber(b, n, 3, 8)
	case '"':
		if n%2 == 0 { // a string that ends with backslashes
			return n, '\\', true
		}
		return n + 1, c, true
	case '/', '\'':
		return n + 1, c, true
	case 'n':
		return n + 1, '\n', true
	case 'r':
		return n + 1, '\r', true
	case 't':
		return n + 1, '\t', true
	}
	return n, '\\', true
}

// decodeNumber reads digits of a base from start on. What is not ASCII becomes a byte that no record has.
func decodeNumber(b []byte, start, digits, base int) (n int, c byte, emit bool) {
	value := 0
	for i := range digits {
		if start+i == len(b) {
			return 0, 0, false
		}
		d := digit(b[start+i])
		if d >= base {
			return 1, b[0], true
		}
		value = value*base + d
	}
	switch {
	case value == 0:
		return start + digits, 0, false
	case value > 0x7f:
		value = 0x80
	}
	return start + digits, byte(value), true
}

// decodeEntity reads a character reference of HTML.
func decodeEntity(b []byte) (n int, c byte, emit bool) {
	const longest = len("&#x00003d;")
	end := bytes.IndexByte(b[:min(len(b), longest)], ';')
	if end < 0 {
		if len(b) < longest {
			return 0, 0, false
		}
		return 1, '&', true
	}
	name := b[1:end]
	if string(name) == "quot" {
		return end + 1, '"', true
	}
	base := 10
	name, numeric := bytes.CutPrefix(name, []byte("#"))
	if len(name) > 0 && (name[0] == 'x' || name[0] == 'X') {
		name, base = name[1:], 16
	}
	value := 0
	for _, c := range name {
		d := digit(c)
		if d >= base {
			return 1, '&', true
		}
		value = value*base + d
	}
	if !numeric || len(name) == 0 || value == 0 || value > 0x7f {
		return 1, '&', true
	}
	return end + 1, byte(value), true
}

// digit returns the value of a hex digit, or more than any base.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return 255
}
