package verdict

import (
	"errors"
	"fmt"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	"l4dump/internal/verdict/difference"
)

var errIncomplete = errors.New("the answer ends within a message")

// answer is what is compared: a whole one as bytes, or a long one as hashes of its blocks.
type answer struct {
	bytes  string
	length uint64
	blocks []uint64 // not nil: bytes is only the beginning
}

// maxWhole is the length of the longest answer that is compared by what is in it, in bytes.
const maxWhole = 8 << 20

// hashedHead is what is kept of an answer besides its hashes if there is no memory for it, in bytes.
const hashedHead = 4 << 10

// live is what a target answered.
func live(a *replay.Answer) answer { return answer{string(a.Bytes), a.Length, a.Blocks} }

// recorded reads a turn's recorded answer.
func recorded(script *playbook.Script, t *playbook.Turn) (answer, error) {
	a := answer{length: t.AnswerBytes()}
	if a.length <= maxWhole {
		bytes, err := script.ReadSpans(nil, capture.Upstream, t.Answer...)
		a.bytes = string(bytes)
		return a, err
	}
	var block []byte
	for _, span := range t.Answer {
		for span.Len() > 0 {
			piece := span
			piece.To = min(piece.To, piece.From+replay.BlockBytes-uint64(len(block)))
			var err error
			if block, err = script.ReadSpans(block, capture.Upstream, piece); err != nil {
				return answer{}, err
			}
			span.From = piece.To
			if len(block) == replay.BlockBytes {
				a.endBlock(block)
				block = block[:0]
			}
		}
	}
	if len(block) > 0 {
		a.endBlock(block)
	}
	return a, nil
}

func (a *answer) endBlock(block []byte) {
	if a.blocks == nil {
		a.bytes = string(block)
	}
	a.blocks = append(a.blocks, replay.HashBlock(block))
}

// same reports whether two answers have the same bytes.
func (a *answer) same(b *answer) bool {
	if a.length != b.length {
		return false
	}
	if a.blocks == nil && b.blocks == nil {
		return a.bytes == b.bytes
	}
	return a.firstBlock(b) < 0
}

// firstBlock returns the index of the first block that differs, or -1. Answers of different lengths differ at the latest
// where the shorter one ends.
func (a *answer) firstBlock(b *answer) int {
	x, y := a.hashes(), b.hashes()
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return i
		}
	}
	if len(x) != len(y) {
		return min(len(x), len(y))
	}
	return -1
}

// hashes returns the hashes of the blocks, also of an answer that is there whole.
func (a *answer) hashes() []uint64 {
	if a.blocks != nil {
		return a.blocks
	}
	var hashes []uint64
	for rest := []byte(a.bytes); len(rest) > 0; {
		n := min(len(rest), replay.BlockBytes)
		hashes = append(hashes, replay.HashBlock(rest[:n]))
		rest = rest[n:]
	}
	return hashes
}

// long compares answers of which at least one is there as blocks only.
func long(a, b *answer) []difference.Difference {
	block := a.firstBlock(b)
	if block < 0 {
		return nil
	}
	d := difference.Difference{
		Kind: difference.Value, Path: difference.WholeAnswer,
		At:      fmt.Sprintf("%s, within the %d bytes from %d", difference.WholeAnswer, replay.BlockBytes, block*replay.BlockBytes),
		LengthA: int(a.length), LengthB: int(b.length), Offset: block * replay.BlockBytes,
	}
	if a.length != b.length {
		d.At += fmt.Sprintf("; %d bytes, and %d", a.length, b.length)
	}
	return []difference.Difference{d}
}

// messages cuts the bytes of an answer into messages. request returns what they answer, or as much as tells how they are
// framed; it is asked only if they are not one message.
func messages(p protocol.Protocol, class string, request func() []byte, bytes []byte) ([]*protocol.Message, error) {
	if whole, err := p.Fields(capture.Upstream, class, bytes); err == nil {
		return []*protocol.Message{whole}, nil
	}
	cutter := protocol.NewCutter(p.NewFramer())
	if err := cutter.Cut(capture.Downstream, request(), false, func(protocol.Piece, []byte) {}); err != nil {
		return nil, err
	}
	var found []*protocol.Message
	var message []byte
	var fault error
	whole := true
	err := cutter.Cut(capture.Upstream, bytes, true, func(piece protocol.Piece, b []byte) {
		if piece.First {
			message = message[:0]
		}
		message = append(message, b...)
		whole = piece.Last
		if !whole || piece.Kind != protocol.Answer || fault != nil { // milestones and what is unasked may come or not
			return
		}
		m, err := p.Fields(capture.Upstream, class, message)
		fault = err
		found = append(found, m)
	})
	if err == nil && (!whole || len(cutter.Rest(capture.Upstream)) > 0) {
		err = errIncomplete
	}
	return found, errors.Join(err, fault)
}
