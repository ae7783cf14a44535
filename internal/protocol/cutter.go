package protocol

import "l4dump/internal/capture"

// Cutter cuts the chunks of a connection into pieces: it keeps what its Framer has not read yet, at most MaxWanted bytes
// of each direction besides the chunk, and stops for good at the Framer's first error. It is not for concurrent use.
type Cutter struct {
	framer Framer
	rest   [2][]byte
	ended  [2]bool
	err    error
}

// NewCutter returns a Cutter of a connection from its beginning.
func NewCutter(framer Framer) *Cutter { return &Cutter{framer: framer} }

// Cut takes the next bytes of a direction's stream and calls emit for each piece that they complete, with the piece's
// bytes, which are valid until emit returns. ended says that the stream ends after chunk; more of that direction is
// ignored.
//
// It returns the Framer's error, now and in all later calls, which emit nothing. Rest has the bytes that are in no piece.
func (c *Cutter) Cut(d capture.Direction, chunk []byte, ended bool, emit func(Piece, []byte)) error {
	if c.err != nil || c.ended[d] {
		return c.err
	}
	c.ended[d] = ended
	buf, joined := chunk, len(c.rest[d]) > 0
	if joined {
		c.rest[d] = append(c.rest[d], chunk...)
		buf = c.rest[d]
	}
	for {
		var p Piece
		if p, c.err = c.framer.Next(d, buf, ended); c.err != nil || p.Kind == 0 {
			break
		}
		emit(p, buf[:p.Size])
		buf = buf[p.Size:]
	}
	if len(buf) == 0 && cap(c.rest[d]) > maxIdle {
		c.rest[d] = nil
		return c.err
	}
	if !joined || len(buf) < len(c.rest[d]) { // else nothing was taken, and the rest is in its place
		c.rest[d] = append(c.rest[d][:0], buf...)
	}
	return c.err
}

// maxIdle is the memory in bytes that a direction keeps while nothing is unread.
const maxIdle = 4 << 10

// Err returns the error that ended the cutting, or nil.
func (c *Cutter) Err() error { return c.err }

// Rest returns the bytes of a direction that came and are in no piece. They are valid until the next Cut. After an
// error, those of later chunks are not among them.
func (c *Cutter) Rest(d capture.Direction) []byte { return c.rest[d] }
