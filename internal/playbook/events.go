package playbook

import (
	"errors"
	"io"

	"l4dump/internal/capture"
)

// event is what is kept of a recorded event besides its bytes, which stand in the direction's stream.
type event struct {
	kind   capture.Kind
	d      capture.Direction
	seq    uint64
	length uint64
	time   int64
}

// appendEvent is the inverse of readEvent; before is the event before, for numbers that stay small.
func appendEvent(dst []byte, before, e *event) []byte {
	elapsed := e.time - before.time // clocks are set back at times
	return appendUints(dst, uint64(e.kind)|uint64(e.d)<<2, e.seq-before.seq, e.length, uint64(elapsed)<<1^uint64(elapsed>>63))
}

func readEvent(c cursor, before *event) (event, error) {
	var kind, seq, length, elapsed uint64
	if err := c.uints(&kind, &seq, &length, &elapsed); err != nil {
		return event{}, err
	}
	return event{
		kind: capture.Kind(kind & 3), d: capture.Direction(kind >> 2), seq: before.seq + seq, length: length,
		time: before.time + int64(elapsed>>1) ^ -int64(elapsed&1),
	}, nil
}

// events gives each stored event below seq to take, and the payload of data in pieces; a piece is valid until the next.
type events struct {
	stored  *io.SectionReader
	streams [2]io.ReaderAt
	buf     []byte
}

// each calls take for each event before seq, once for each piece of its bytes; last says that it is the last piece.
func (r *events) each(seq uint64, take func(e *event, piece []byte, last bool) error) error {
	c := newCursor(r.stored)
	var at [2]uint64
	var e event
	for {
		var err error
		e, err = readEvent(c, &e)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case e.seq >= seq:
			return nil
		}
		for left := e.length; ; {
			piece := r.buf[:min(left, uint64(len(r.buf)))]
			if _, err := r.streams[e.d].ReadAt(piece, int64(at[e.d])); err != nil && len(piece) > 0 {
				return err
			}
			at[e.d] += uint64(len(piece))
			left -= uint64(len(piece))
			if err := take(&e, piece, left == 0); err != nil {
				return err
			}
			if left == 0 {
				break
			}
		}
	}
}

// cut returns where to cut a recording that breaks off before seq: after the last that the server sent. What the client
// sent later has no answer.
func (r *events) cut(seq uint64) (uint64, error) {
	var after uint64
	err := r.each(seq, func(e *event, _ []byte, _ bool) error {
		if e.d == capture.Upstream && e.kind != capture.KindClose {
			after = e.seq + 1
		}
		return nil
	})
	return after, err
}
