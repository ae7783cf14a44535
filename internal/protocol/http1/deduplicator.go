package http1

import (
	"bytes"
	"errors"
	"fmt"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// Deduplicator finds the bytes of downstream that stand in a recording again because an HTTP connection manager left
// them in the proxy's buffer, as capture.Verdict.Repeats says of a connection. It is not for concurrent use.
//
// The connection manager reads one request, and leaves what follows it until that request is answered. Then the proxy
// gives the whole rest again, and what has come since after it:
//
//	downstream  GET /a ... GET /b ... GET /c ...
//	upstream    the answer to /a
//	downstream  GET /b ... GET /c ... GET /d ...     the first two again
//
// If the connection manager answers a request itself, it reads the next one at once, and that is not given again. If
// then a request that has come in part begins with the same bytes twice, that cannot be told from a repetition, and
// counts as one.
type Deduplicator struct {
	cutter   *protocol.Cutter
	whole    int    // requests that have ended and are not answered
	rest     []byte // what came after the first of them
	ends     []int  // in rest, of the other ones
	answered bool   // the first one: rest is expected again
	matched  int    // bytes of rest that came again
	off      bool   // nothing is repeated any more
	err      error
}

// NewDeduplicator returns a Deduplicator of a connection from its beginning.
func NewDeduplicator() *Deduplicator {
	return &Deduplicator{cutter: protocol.NewCutter(&framer{})}
}

// maxRest bounds what a proxy may leave unread, in bytes. Envoy's default is 1 MiB.
const maxRest = 8 << 20

var (
	errRest  = fmt.Errorf("find repeated bytes: more than %d bytes follow a request that is not answered", maxRest)
	errOther = errors.New("find repeated bytes: what follows an answer repeats a part only of what was left unread")
)

// Next takes the next bytes of a direction, in the order of the recording, and returns how many of them stand there
// again: the first skip bytes of payload are to be left out. After an error it is not known what is repeated.
func (u *Deduplicator) Next(d capture.Direction, payload []byte) (skip int, err error) {
	if u.err != nil || u.off {
		return 0, u.err
	}
	if d == capture.Downstream && u.answered {
		if skip, u.err = u.repeated(payload); u.err != nil {
			return 0, u.err
		}
	}
	if u.err = u.feed(d, payload[skip:]); errors.Is(u.err, protocol.ErrRaw) {
		u.off, u.err = true, nil
	}
	return skip, u.err
}

// repeated returns how much of payload continues the repetition of rest.
func (u *Deduplicator) repeated(payload []byte) (skip int, err error) {
	want := u.rest[u.matched:]
	skip = min(len(want), len(payload))
	if !bytes.Equal(want[:skip], payload[:skip]) {
		if u.matched > 0 {
			return 0, errOther
		}
		skip = 0 // the connection manager had read it
	} else if u.matched += skip; u.matched < len(u.rest) {
		return skip, nil
	}
	u.advance()
	return skip, nil
}

// advance makes the request at the beginning of rest the first one.
func (u *Deduplicator) advance() {
	u.answered, u.matched = false, 0
	if len(u.ends) == 0 {
		u.rest = u.rest[:0]
		return
	}
	end := u.ends[0]
	u.rest = u.rest[:copy(u.rest, u.rest[end:])]
	u.ends = u.ends[:copy(u.ends, u.ends[1:])]
	for i := range u.ends {
		u.ends[i] -= end
	}
}

// feed follows which requests have ended, and which are answered.
func (u *Deduplicator) feed(d capture.Direction, b []byte) error {
	if d == capture.Downstream && u.whole > 0 {
		u.rest = append(u.rest, b...)
	}
	before := len(u.cutter.Rest(d))
	at := -before // of the piece in b
	var fault error
	err := u.cutter.Cut(d, b, false, func(p protocol.Piece, piece []byte) {
		at += len(piece)
		switch {
		case fault != nil || !p.Last:
		case p.Kind == protocol.Request:
			if u.whole++; u.whole == 1 {
				u.rest = append(u.rest[:0], b[at:]...)
			} else {
				u.ends = append(u.ends, len(u.rest)-(len(b)-at))
			}
		case p.Kind == protocol.Answer && u.whole == 0:
			u.off = true // answered before it had ended: the connection is closed
		case p.Kind == protocol.Answer:
			fault = u.answer()
		}
	})
	if len(u.rest) > maxRest {
		return errRest
	}
	if fault != nil {
		return fault
	}
	return err
}

func (u *Deduplicator) answer() error {
	if u.matched > 0 {
		return errOther
	}
	if u.answered {
		u.advance()
	}
	u.whole--
	u.answered = len(u.rest) > 0
	return nil
}
