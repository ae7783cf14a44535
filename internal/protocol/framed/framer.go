package framed

import (
	"fmt"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// framer implements protocol.Framer.
type framer struct {
	description *description
	sides       [2]side
	waiting     int // requests without an answer, if answers come in their order
	err         error
}

// side is a direction's place in its stream.
type side struct {
	open    bool // a message has begun
	kind    protocol.Kind
	answers int
	left    int64 // bytes to come of the message, or of the block after a line
	block   bool  // of which the delimiter follows
	more    bool  // another line of the message follows
	scanned int   // bytes of the unread rest that hold no delimiter
}

// Next implements protocol.Framer.
func (f *framer) Next(d capture.Direction, buf []byte, ended bool) (protocol.Piece, error) {
	if f.err != nil {
		return protocol.Piece{}, f.err
	}
	s := &f.sides[d]
	var p protocol.Piece
	var err error
	if f.description.delimiter != nil {
		p, err = f.nextLine(d, s, buf)
	} else {
		p, err = f.nextMessage(d, s, buf)
	}
	if err == nil && p.Kind == 0 && ended && (s.open || len(buf) > 0) {
		err = errEnd
	}
	if err != nil {
		name := "request"
		if d == capture.Upstream {
			name = "answer"
		}
		f.err = fmt.Errorf("frame %s %s: %w", f.description.name, name, err)
		return protocol.Piece{}, f.err
	}
	if p.Last && d == capture.Downstream {
		p.Answers = s.answers
	}
	s.open = s.open && p.Kind == 0 || p.Kind != 0 && !p.Last
	return p, nil
}

// begin takes note of a message that begins with p, and makes a push of an answer that nobody waits for.
func (f *framer) begin(d capture.Direction, s *side, p *protocol.Piece) {
	p.First = true
	s.answers, p.Answers = p.Answers, 0
	switch {
	case p.HasID:
	case d == capture.Downstream:
		f.waiting += s.answers
	case p.Kind == protocol.Answer && f.waiting == 0:
		p.Kind = protocol.Push
	case p.Kind == protocol.Answer:
		f.waiting--
	}
	s.kind = p.Kind
}

func (f *framer) nextMessage(d capture.Direction, s *side, buf []byte) (p protocol.Piece, err error) {
	if len(buf) == 0 {
		return p, nil
	}
	if !s.open {
		size, err := f.description.sizeOf(buf)
		if err != nil {
			return p, err
		}
		if size == 0 {
			if len(buf) > protocol.MaxWanted {
				err = errLong
			}
			return p, err
		}
		whole := buf[:min(int64(len(buf)), size)]
		if len(whole) < f.description.headOf(whole, size) {
			return p, nil
		}
		p = f.description.describe(d, whole)
		f.begin(d, s, &p)
		s.left = size
	}
	p.Kind = s.kind
	p.Size = int(min(int64(len(buf)), s.left))
	s.left -= int64(p.Size)
	p.Last = s.left == 0
	return p, nil
}

var errLong = fmt.Errorf("the message does not say how long it is in %d bytes", protocol.MaxWanted)
