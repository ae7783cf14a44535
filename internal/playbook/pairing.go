package playbook

import (
	"errors"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// Pairing pairs the messages of a connection: which request an answer answers, and when nothing more answers it. The
// recording and each live connection have one. It is not for concurrent use.
type Pairing struct {
	cutter *protocol.Cutter
	offset [2]uint64 // of the next piece in each direction's stream
	asked  int       // requests so far
	open   []request // those that are not fully answered, in their order
	part   Part
	// What the server's message answers that is not complete; partial says that there is one.
	answering int
	partial   bool
}

// request is one that waits for answers.
type request struct {
	number int
	id     uint64
	sent   bool // its last piece was seen, so that answers is known
	wanted int
	got    int
}

// Part is a piece of a message, and what it belongs to.
type Part struct {
	protocol.Piece
	From    uint64 // offset of the piece in its direction's stream
	Request int    // number of the request that this is, or that it answers, from 0; Unasked: none
	Done    bool   // with this piece the request is answered
}

// Unasked is the Request of a Part that answers none.
const Unasked = -1

// maxAsked bounds the requests that wait for an answer.
const maxAsked = 1 << 16

// ErrAsked says that too many requests wait for answers.
var ErrAsked = errors.New("more than 65536 requests wait for an answer")

// NewPairing returns a Pairing of a connection from its beginning.
func NewPairing(framer protocol.Framer) *Pairing {
	return &Pairing{cutter: protocol.NewCutter(framer), answering: Unasked}
}

// Feed takes the next bytes of a direction's stream and calls emit for each piece that they complete. p and bytes are
// valid until emit returns. A request must be fed before what answers it. An error is final.
func (d *Pairing) Feed(from capture.Direction, chunk []byte, ended bool, emit func(p *Part, bytes []byte)) error {
	if len(d.open) > maxAsked {
		return ErrAsked
	}
	return d.cutter.Cut(from, chunk, ended, func(piece protocol.Piece, bytes []byte) {
		d.part = Part{Piece: piece, From: d.offset[from], Request: Unasked}
		d.offset[from] += uint64(piece.Size)
		switch {
		case piece.Kind == protocol.Request:
			d.request(&d.part)
		case piece.Kind != protocol.Push:
			d.answer(&d.part)
		}
		emit(&d.part, bytes)
	})
}

// Oldest returns the number of the oldest request that the next piece may belong to.
func (d *Pairing) Oldest() int {
	if len(d.open) > 0 {
		return d.open[0].number
	}
	return d.asked
}

// Offset returns how much of a direction's stream is in pieces.
func (d *Pairing) Offset(of capture.Direction) uint64 { return d.offset[of] }

func (d *Pairing) request(p *Part) {
	if p.First {
		d.settle()
		d.open = append(d.open, request{number: d.asked, id: p.ID})
		d.asked++
	}
	p.Request = d.asked - 1
	if !p.Last {
		return
	}
	for i := range d.open {
		if r := &d.open[i]; r.number == p.Request {
			r.sent, r.wanted = true, p.Answers
			switch {
			case r.wanted == 0:
				d.remove(i)
			case r.got > 0 && r.got >= r.wanted: // it was answered before it was complete
				p.Done = true
				d.remove(i)
			}
			return
		}
	}
}

// settle ends what the client does not wait for any more: an answered request whose number of answers is not known.
func (d *Pairing) settle() {
	if len(d.open) > 0 && d.open[0].wanted == protocol.Unknown && d.open[0].got > 0 && !d.partial {
		d.remove(0)
	}
}

func (d *Pairing) answer(p *Part) {
	if p.First {
		d.answering = d.find(p)
	}
	p.Request = d.answering
	d.partial = !p.Last
	if !p.Last || p.Kind != protocol.Answer {
		return
	}
	for i := range d.open {
		r := &d.open[i]
		if r.number != p.Request {
			continue
		}
		r.got++
		switch {
		case !r.sent:
		case r.wanted == protocol.Unknown:
			p.Done = r.got == 1
			if len(d.open) > 1 {
				d.remove(i)
			}
		case r.got >= r.wanted:
			p.Done = true
			d.remove(i)
		}
		return
	}
}

// find returns the number of the request that a message answers.
func (d *Pairing) find(p *Part) int {
	for i := range d.open {
		if !p.HasID || d.open[i].id == p.ID {
			return d.open[i].number
		}
	}
	return Unasked
}

func (d *Pairing) remove(i int) {
	if i == 0 { // the usual case moves nothing
		d.open = d.open[1:]
		return
	}
	d.open = append(d.open[:i], d.open[i+1:]...)
}

// Rest returns the bytes of a direction that are in no piece, as far as they are kept. They are valid until the next Feed.
func (d *Pairing) Rest(of capture.Direction) []byte { return d.cutter.Rest(of) }
