package framed

import (
	"bytes"
	"fmt"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// Name implements protocol.Protocol.
func (d *description) Name() string { return d.name }

// Ports implements protocol.Protocol.
func (d *description) Ports() []uint16 { return d.ports }

// NewFramer implements protocol.Protocol.
func (d *description) NewFramer() protocol.Framer { return &framer{description: d} }

// Match implements protocol.Protocol. A magic of two bytes or more proves the protocol.
func (d *description) Match(_ capture.Direction, first []byte) protocol.Match {
	if d.delimiter != nil {
		return d.matchLine(first)
	}
	if len(first) == 0 {
		return protocol.Unsure
	}
	size, err := d.sizeOf(first)
	switch {
	case err != nil:
		return protocol.No
	case d.magic != nil && size > 0 && len(d.magic.bytes) > 1:
		return protocol.Yes
	}
	return protocol.Unsure
}

// matchLine allows text.
func (d *description) matchLine(first []byte) protocol.Match {
	if text, _, ok := bytes.Cut(first, d.delimiter); ok {
		first = text
	}
	for _, c := range first {
		if (c < ' ' && c != '\t' && bytes.IndexByte(d.delimiter, c) < 0) || c == 0x7f {
			return protocol.No
		}
	}
	return protocol.Unsure
}

// Fields implements protocol.Protocol: one field, bytes, in which noise is overwritten: ranges and the id with zeros,
// what an expression matches, or its groups, with one *.
func (d *description) Fields(from capture.Direction, _ string, message []byte) (*protocol.Message, error) {
	p, err := d.read(from, message)
	if err != nil {
		name := "request"
		if from == capture.Upstream {
			name = "answer"
		}
		return nil, fmt.Errorf("read %s %s: %w", d.name, name, err)
	}
	b := bytes.Clone(message)
	spans := d.noise
	if d.id != nil {
		spans = append([]number{*d.id}, spans...)
	}
	for i := range spans {
		if from, to, ok := spans[i].span(message); ok {
			clear(b[from:to])
		}
	}
	for _, e := range d.blurs {
		b = blur(b, e.FindAllSubmatchIndex(b, -1))
	}
	return &protocol.Message{
		Class: p.Class, Failed: p.Failed,
		Fields: []protocol.Field{{Part: "bytes", Value: protocol.Value{Type: protocol.String, Text: string(b)}}},
	}, nil
}

// blur puts a * in place of each match, or of its groups if it has any.
func blur(b []byte, matches [][]int) []byte {
	var out []byte
	done := 0
	for _, at := range matches {
		spans := at
		if len(at) > 2 {
			spans = at[2:]
		}
		for i := 0; i < len(spans); i += 2 {
			if spans[i] < done { // no group, or within another
				continue
			}
			out = append(append(out, b[done:spans[i]]...), '*')
			done = spans[i+1]
		}
	}
	return append(out, b[done:]...)
}

// read returns what a whole message is.
func (d *description) read(from capture.Direction, message []byte) (p protocol.Piece, err error) {
	if d.delimiter != nil {
		scanned := 0
		text, size, err := d.cutLine(message, &scanned)
		switch {
		case err != nil:
			return p, err
		case size == 0:
			return p, errEnd
		}
		_, p, _, err = d.describeLine(from, text)
		return p, err
	}
	size, err := d.sizeOf(message)
	switch {
	case err != nil:
		return p, err
	case size != int64(len(message)):
		return p, errEnd
	}
	return d.describe(from, message), nil
}
