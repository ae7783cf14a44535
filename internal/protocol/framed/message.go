package framed

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// span returns where a number stands in a message, and false if the message does not reach so far.
func (n *number) span(b []byte) (from, to int, ok bool) {
	from = n.offset
	if n.after != nil {
		add, ok := n.after.read(b)
		if !ok || add > maxBytes {
			return 0, 0, false
		}
		from += int(add)
	}
	return from, from + n.bytes, from+n.bytes <= len(b)
}

// read returns the number in a message, and false if the message does not reach so far.
func (n *number) read(b []byte) (v uint64, ok bool) {
	from, to, ok := n.span(b)
	if !ok {
		return 0, false
	}
	for i := range to - from {
		at := from + i
		if n.little {
			at = to - 1 - i
		}
		v = v<<8 | uint64(b[at])
	}
	return v, true
}

// holds says whether a message meets the condition; one that is too short does not.
func (c *condition) holds(b []byte) bool {
	v, ok := c.read(b)
	return ok && slices.Contains(c.values, v&c.mask) != c.not
}

var (
	errMagic = errors.New("the message does not begin as it should")
	errEnd   = errors.New("the stream ends within a message")
)

// sizeOf returns the length of the message that b begins with, and 0 if it does not say it yet.
func (d *description) sizeOf(b []byte) (int64, error) {
	if m := d.magic; m != nil {
		got := b[min(len(b), m.offset):min(len(b), m.offset+len(m.bytes))]
		switch {
		case string(got) != string(m.bytes[:len(got)]):
			return 0, errMagic
		case len(got) < len(m.bytes):
			return 0, nil
		}
	}
	for i := range d.lengths {
		l := &d.lengths[i]
		if l.when != nil {
			if _, ok := l.when.read(b); !ok {
				return 0, nil
			}
			if !l.when.holds(b) {
				continue
			}
		}
		size, head, ok := l.sum(b)
		if d.magic != nil {
			head = max(head, d.magic.offset+len(d.magic.bytes))
		}
		switch {
		case !ok:
			return 0, nil
		case size < int64(head):
			return 0, fmt.Errorf("the message has %d bytes, which is less than the %d that it begins with", size, head)
		case size > d.max:
			return 0, fmt.Errorf("the message has %d bytes, over %d", size, d.max)
		}
		return size, nil
	}
	return 0, errors.New("the message meets no condition of a length")
}

// sum returns the length of a message, and how much of it says so.
func (l *length) sum(b []byte) (size int64, head int, ok bool) {
	if l.varint {
		return l.sumVarint(b)
	}
	for i := range l.parts {
		v, ok := l.parts[i].read(b)
		if !ok {
			return 0, 0, false
		}
		_, to, _ := l.parts[i].span(b)
		head = max(head, to)
		size += int64(min(v, maxBytes+1)) // so that no sum overflows
	}
	if l.follow {
		size += int64(head)
	}
	return size + l.adjust, head, true
}

// sumVarint reads seven bits per byte, the lowest first, as protobuf writes them.
func (l *length) sumVarint(b []byte) (size int64, head int, ok bool) {
	var v uint64
	for i := range 10 {
		at := l.parts[0].offset + i
		if at >= len(b) {
			return 0, 0, false
		}
		v |= uint64(b[at]&0x7f) << (7 * i)
		if b[at] < 0x80 {
			return int64(min(v, maxBytes+1)) + int64(at+1) + l.adjust, at + 1, true
		}
	}
	return maxBytes + 1, 0, true
}

// headOf returns how much of a message is wanted before what it is can be told. It is at most size.
func (d *description) headOf(b []byte, size int64) int {
	need := 0
	want := func(n *number) {
		if n == nil {
			return
		}
		if _, to, _ := n.span(b); to > 0 {
			need = max(need, to)
		} else if n.after != nil {
			need = max(need, n.after.offset+n.after.bytes)
		}
	}
	want(d.id)
	for _, c := range []*condition{d.requestIf, d.onewayIf, d.answerIf} {
		if c != nil {
			want(&c.number)
		}
	}
	if d.status != nil {
		want(&d.status.number)
	}
	if c := d.class; c != nil {
		switch {
		case c.find != nil:
			need = max(need, c.offset+classWindow)
		case c.size != nil:
			want(c.size)
			need = max(need, c.offset+maxClass)
		default:
			need = max(need, c.offset+c.bytes)
		}
	}
	return int(min(int64(min(need, protocol.MaxWanted)), size))
}

// classOf returns the class of a request.
func (d *description) classOf(b []byte) string {
	c := d.class
	if c == nil || c.offset >= len(b) {
		return ""
	}
	text := b[c.offset:]
	switch {
	case c.find != nil:
		return find(c, text[:min(len(text), classWindow)])
	case c.size != nil:
		n, ok := c.size.read(b)
		if !ok {
			return ""
		}
		text = text[:min(n, uint64(len(text)), maxClass)]
	default:
		text = text[:min(len(text), c.bytes)]
	}
	return printable(text)
}

// find returns the groups of an expression with dots between, or all that it matches if it has none.
func find(c *class, text []byte) string {
	at := c.find.FindSubmatchIndex(text)
	if at == nil {
		return ""
	}
	if len(at) == 2 {
		return printable(text[at[0]:at[1]])
	}
	name := ""
	for i := 2; i < len(at); i += 2 {
		if at[i] < 0 {
			continue
		}
		if name != "" {
			name += "."
		}
		name += printable(text[at[i]:at[i+1]])
	}
	return name[:min(len(name), maxClass)]
}

// printable returns text as it is, and anything else as hexadecimal digits.
func printable(b []byte) string {
	if !utf8.Valid(b) {
		return hex.EncodeToString(b)
	}
	for _, r := range string(b) {
		if !unicode.IsPrint(r) {
			return hex.EncodeToString(b)
		}
	}
	return string(b)
}

// describe returns what a message is, of which b has at least the head.
func (d *description) describe(from capture.Direction, b []byte) (p protocol.Piece) {
	if d.id != nil {
		p.ID, p.HasID = d.id.read(b)
	}
	if from == capture.Downstream {
		p.Kind = protocol.Request
		if d.requestIf == nil || d.requestIf.holds(b) {
			p.Class = d.classOf(b)
			if d.onewayIf == nil || !d.onewayIf.holds(b) {
				p.Answers = 1
			}
		}
		return p
	}
	if d.answerIf != nil && !d.answerIf.holds(b) {
		return protocol.Piece{Kind: protocol.Push}
	}
	p.Kind = protocol.Answer
	if d.status != nil {
		if v, ok := d.status.read(b); ok {
			p.Class, p.Failed = strconv.FormatUint(v, 10), !slices.Contains(d.status.ok, v)
		}
	}
	return p
}
