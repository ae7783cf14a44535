package framed

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

func (f *framer) nextLine(d capture.Direction, s *side, buf []byte) (p protocol.Piece, err error) {
	switch {
	case s.left > 0:
		if len(buf) == 0 {
			return p, nil
		}
		p.Kind = s.kind
		p.Size = int(min(int64(len(buf)), s.left))
		s.left -= int64(p.Size)
		return p, nil
	case s.block:
		n := min(len(buf), len(f.description.delimiter))
		if !bytes.Equal(buf[:n], f.description.delimiter[:n]) {
			return p, errors.New("a block is longer than its line says")
		}
		if n < len(f.description.delimiter) {
			return p, nil
		}
		s.block = false
		return protocol.Piece{Kind: s.kind, Size: n, Last: !s.more}, nil
	}
	text, size, err := f.description.cutLine(buf, &s.scanned)
	if err != nil || size == 0 {
		return p, err
	}
	rule, p, length, err := f.description.describeLine(d, text)
	if err != nil {
		return p, err
	}
	s.more = rule != nil && rule.continues
	if s.open {
		p = protocol.Piece{}
	} else {
		f.begin(d, s, &p)
	}
	if length >= 0 {
		if length > f.description.max {
			return p, fmt.Errorf("a block has %d bytes, over %d", length, f.description.max)
		}
		s.left, s.block = length, true
	}
	p.Kind, p.Size, p.Last = s.kind, size, !s.more && !s.block
	return p, nil
}

// cutLine returns the line that b begins with, and its length with the delimiter; 0 if it is not all there.
func (d *description) cutLine(b []byte, scanned *int) (text []byte, size int, err error) {
	i := bytes.Index(b[*scanned:], d.delimiter)
	if i < 0 {
		if *scanned = max(len(b)-len(d.delimiter)+1, 0); len(b) > maxLine {
			return nil, 0, errLine
		}
		return nil, 0, nil
	}
	end := *scanned + i
	*scanned = 0
	if end > maxLine {
		return nil, 0, errLine
	}
	return b[:end], end + len(d.delimiter), nil
}

var errLine = fmt.Errorf("a line is longer than %d bytes", maxLine)

// describeLine returns the rule of a line, what the message is that it begins, and the length of the block that follows
// it, or -1.
func (d *description) describeLine(from capture.Direction, text []byte) (rule *line, p protocol.Piece, length int64, err error) {
	length = -1
	rules := d.requests
	p = protocol.Piece{Kind: protocol.Request, Answers: 1}
	if from == capture.Upstream {
		rules = d.answers
		p = protocol.Piece{Kind: protocol.Answer}
	}
	var groups [][]byte
	for i := range rules {
		if groups = rules[i].match.FindSubmatch(text); groups != nil {
			rule = &rules[i]
			break
		}
	}
	word, _, _ := bytes.Cut(text, []byte(" "))
	if rule == nil {
		if from == capture.Downstream {
			p.Class = printable(word[:min(len(word), maxClass)])
		}
		return nil, p, length, nil
	}
	if rule.length >= 0 && groups[rule.length] != nil {
		if length, err = strconv.ParseInt(string(groups[rule.length]), 10, 64); err != nil || length < 0 {
			return rule, p, -1, fmt.Errorf("the length %q of a block is no number of bytes", groups[rule.length])
		}
	}
	if rule.noAnswer || rule.oneway >= 0 && groups[rule.oneway] != nil {
		p.Answers = 0
	}
	p.Failed = rule.failed
	if rule.class >= 0 {
		word = groups[rule.class]
	}
	if from == capture.Downstream || rule.failed || rule.class >= 0 {
		p.Class = printable(word[:min(len(word), maxClass)])
	}
	return rule, p, length, nil
}
