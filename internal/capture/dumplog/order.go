package dumplog

import (
	"context"
	"errors"
	"io"

	"l4dump/internal/capture"
	"l4dump/record"
)

// What is read to tell the order of a log at most.
const (
	orderBytes = 64 << 20
	orderPairs = 256
	orderConns = 4096
)

// IsNewestFirst reports whether a log stands newest first, as exports of log stores do: the numbers of its connections'
// records descend. It reads r, which may be compressed, as far as it takes to tell.
func IsNewestFirst(ctx context.Context, r io.Reader) (bool, error) {
	o := order{conns: map[record.ConnID]orderOf{}}
	s := NewScanner(&o)
	err := Copy(ctx, s, io.LimitReader(NewReader(r), orderBytes), "")
	var corrupt *CorruptError
	if err != nil && !errors.Is(err, errOrderKnown) && !errors.As(err, &corrupt) {
		return false, err
	}
	return o.newestFirst(), nil
}

// Copy gives r to s, which name stands for in places, until it ends.
func Copy(ctx context.Context, s *Scanner, r io.Reader, name string) error {
	if err := s.Begin(name); err != nil {
		return err
	}
	block := make([]byte, windowBytes)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(block)
		if err := s.Write(block[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return s.End()
		}
		if err != nil {
			return err
		}
	}
}

// order is a Handler that compares the records of a connection: those that begin two lines, and those within a line.
type order struct {
	conns  map[record.ConnID]orderOf
	lines  votes
	within votes
	times  votes // of records of any connection, for a log that has one of each only
	last   struct {
		line int64
		time int64
	}
}

type orderOf struct {
	line       int64
	first, seq uint64 // of the line's first record, and the latest
}

type votes struct{ up, down int }

func (v *votes) add(down bool) {
	if down {
		v.down++
	} else {
		v.up++
	}
}

var errOrderKnown = errors.New("the order is known")

func (o *order) newestFirst() bool {
	for _, v := range []votes{o.lines, o.within, o.times} {
		if v.up != v.down {
			return v.down > v.up
		}
	}
	return false
}

// Record implements Handler.
func (o *order) Record(r *record.Record, _ []byte, at capture.Place) error {
	c, known := o.conns[r.Conn]
	switch {
	case !known:
		if len(o.conns) == orderConns {
			return errOrderKnown
		}
		c = orderOf{line: at.Number, first: r.Seq}
	case c.line == at.Number && r.Seq != c.seq:
		o.within.add(r.Seq < c.seq)
	case c.line != at.Number && r.Seq != c.first:
		o.lines.add(r.Seq < c.first)
		c.line, c.first = at.Number, r.Seq
	}
	c.seq = r.Seq
	o.conns[r.Conn] = c
	if o.last.line != at.Number {
		if o.last.line > 0 && r.Time != o.last.time {
			o.times.add(r.Time < o.last.time)
		}
		o.last.line, o.last.time = at.Number, r.Time
	}
	if o.lines.up+o.lines.down >= orderPairs {
		return errOrderKnown
	}
	return nil
}

// Layotto implements Handler.
func (o *order) Layotto(*record.Layotto, capture.Place) error { return nil }

// Text implements Handler.
func (o *order) Text([]byte, capture.Place) error { return nil }

// Fault implements Handler.
func (o *order) Fault(Fault) {}
