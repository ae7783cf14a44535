package playbook

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// cursorBytes is what a cursor reads at a time: many connections are played at once, each with a few cursors.
const cursorBytes = 512

// cursor reads what is stored of a script one after another.
type cursor struct{ r *bufio.Reader }

func newCursor(stored *io.SectionReader) cursor {
	return cursor{bufio.NewReaderSize(io.NewSectionReader(stored, 0, stored.Size()), cursorBytes)}
}

// uints reads numbers. The error is io.EOF if there is nothing more before the first.
func (c cursor) uints(to ...*uint64) error {
	for i, value := range to {
		n, err := binary.ReadUvarint(c.r)
		if err != nil {
			return c.broken(err, i == 0)
		}
		*value = n
	}
	return nil
}

func (c cursor) text() (string, error) {
	var n uint64
	if err := c.uints(&n); err != nil {
		return "", c.broken(err, false)
	}
	text := make([]byte, n)
	_, err := io.ReadFull(c.r, text)
	return string(text), c.broken(err, false)
}

// broken makes an error of an end that is none.
func (c cursor) broken(err error, first bool) error {
	switch {
	case err == nil, first && errors.Is(err, io.EOF):
		return err
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read a script: %w", err)
}

func appendUints(dst []byte, values ...uint64) []byte {
	for _, value := range values {
		dst = binary.AppendUvarint(dst, value)
	}
	return dst
}

func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

// Steps reads the steps of a script, in order.
type Steps struct{ cursor }

// Steps returns a cursor before the first step.
func (s *Script) Steps() *Steps { return &Steps{newCursor(s.steps)} }

func appendStep(dst []byte, s *Step) []byte {
	return appendUints(dst, uint64(s.Kind)|bit(s.Gate.End)<<2, s.Span.From, s.Span.Len(), uint64(s.At),
		s.Gate.Bytes, s.Gate.Answers, s.Gate.Milestones, uint64(s.Gate.At))
}

// Next returns the next step, or io.EOF.
func (s *Steps) Next() (Step, error) {
	var kind, from, length, at, gateAt uint64
	var step Step
	err := s.uints(&kind, &from, &length, &at, &step.Gate.Bytes, &step.Gate.Answers, &step.Gate.Milestones, &gateAt)
	step.Kind, step.Gate.End = StepKind(kind&3), kind&4 != 0
	step.Span, step.At, step.Gate.At = Span{from, from + length}, int64(at), int64(gateAt)
	return step, err
}

// Turns reads the turns of a script, in the order in which they began.
type Turns struct{ cursor }

// Turns returns a cursor before the first turn.
func (s *Script) Turns() *Turns { return &Turns{newCursor(s.turns)} }

func appendTurn(dst []byte, t *Turn) []byte {
	dst = appendUints(dst, bit(t.Open)|bit(t.Failed)<<1, t.Request.From, t.Request.Len(), uint64(t.At), uint64(t.Done), uint64(t.Gap), t.Writes, uint64(len(t.Class)))
	dst = append(dst, t.Class...)
	dst = appendUints(dst, uint64(len(t.Answer)))
	for _, span := range t.Answer {
		dst = appendUints(dst, span.From, span.Len())
	}
	return dst
}

// Next returns the next turn, or io.EOF.
func (t *Turns) Next() (Turn, error) {
	var flags, from, length, at, done, gap, spans uint64
	var turn Turn
	if err := t.uints(&flags, &from, &length, &at, &done, &gap, &turn.Writes); err != nil {
		return turn, err
	}
	turn.Open, turn.Failed = flags&1 != 0, flags&2 != 0
	turn.Request, turn.At, turn.Done, turn.Gap = Span{from, from + length}, int64(at), int64(done), int64(gap)
	var err error
	if turn.Class, err = t.text(); err != nil {
		return turn, err
	}
	if err := t.uints(&spans); err != nil {
		return turn, t.broken(err, false)
	}
	for range spans {
		if err := t.uints(&from, &length); err != nil {
			return turn, t.broken(err, false)
		}
		turn.Answer = append(turn.Answer, Span{from, from + length})
	}
	return turn, nil
}

// Order reads which turns were answered, one after another.
type Order struct{ cursor }

// Order returns a cursor before the turn that was answered first. If the protocol is not known there is none.
func (s *Script) Order() *Order { return &Order{newCursor(s.answers)} }

// Next returns the index of a turn, or io.EOF.
func (o *Order) Next() (turn uint64, err error) {
	err = o.uints(&turn)
	return turn, err
}
