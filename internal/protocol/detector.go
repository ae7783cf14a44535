package protocol

import (
	"slices"

	"l4dump/internal/capture"
)

// Detector tells which protocol a connection speaks. That it does shows only when a Framer has read all of it without an
// error; until then it is a guess.
type Detector struct {
	Protocols []Protocol          // to choose from, those that are more certain of themselves first
	Only      Protocol            // if it is not nil, that of all connections to other ports than those in Ports
	Ports     map[uint16]Protocol // no guess either; nil: a guess although there is Only
}

// Detect returns the protocol of a connection, by the port that the client connected to and the first bytes of each
// direction's stream, by Direction, and false if it cannot tell before more bytes are there. ended says that there will
// be no more.
//
// A protocol is chosen that the bytes of one direction prove and those of the other allow. If none is, the port decides
// among those that the bytes allow; then it is Raw.
func (d *Detector) Detect(port uint16, first [2][]byte, ended bool) (Protocol, bool) {
	p, said := d.Ports[port]
	if !said {
		p = d.Only
	}
	if p != nil {
		return p, true
	}
	var usual Protocol
	open := false
	for _, p := range d.Protocols {
		down, up := p.Match(capture.Downstream, first[0]), p.Match(capture.Upstream, first[1])
		switch {
		case down == No || up == No:
		case down == Yes || up == Yes:
			return p, true
		default:
			open = true
			if usual == nil && slices.Contains(p.Ports(), port) {
				usual = p
			}
		}
	}
	switch {
	case open && !ended && max(len(first[0]), len(first[1])) < maxFirst:
		return nil, false
	case usual != nil:
		return usual, true
	}
	return Raw, true
}

// maxFirst is the number of bytes that are enough to tell.
const maxFirst = 512
