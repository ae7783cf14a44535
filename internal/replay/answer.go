package replay

import (
	"slices"

	"github.com/cespare/xxhash/v2"
)

// BlockBytes is the length of what one hash of a long Answer stands for.
const BlockBytes = 64 << 10

// Answer is what a target sent. A short one is there whole; of a long one there are its beginning and the hash of each
// block.
type Answer struct {
	Length uint64
	// Bytes are all of the answer if Blocks is nil, else its first BlockBytes. They are nil if nobody compares them.
	Bytes []byte
	// Blocks has HashBlock of each BlockBytes of the answer, the last one may be shorter.
	Blocks []uint64

	rest *xxhash.Digest // of the last block while it is not complete
	fill int            // bytes in rest
}

// HashBlock is the hash of a block.
func HashBlock(block []byte) uint64 { return xxhash.Sum64(block) }

// add takes the next bytes; keep is how many of an answer are kept: 0, or BlockBytes or more.
func (a *Answer) add(bytes []byte, keep int) {
	a.Length += uint64(len(bytes))
	switch {
	case keep == 0:
	case a.rest != nil:
		a.hash(bytes)
	case len(a.Bytes)+len(bytes) <= keep:
		a.Bytes = append(a.Bytes, bytes...)
	default:
		a.rest = xxhash.New()
		a.hash(a.Bytes)
		a.hash(bytes)
		head := append(a.Bytes, bytes[:min(len(bytes), max(0, BlockBytes-len(a.Bytes)))]...)
		a.Bytes = slices.Clone(head[:BlockBytes])
	}
}

func (a *Answer) hash(bytes []byte) {
	for len(bytes) > 0 {
		n := min(len(bytes), BlockBytes-a.fill)
		_, _ = a.rest.Write(bytes[:n]) // it never fails
		bytes = bytes[n:]
		if a.fill += n; a.fill == BlockBytes {
			a.endBlock()
		}
	}
}

func (a *Answer) endBlock() {
	if a.fill > 0 {
		a.Blocks = append(a.Blocks, a.rest.Sum64())
		a.rest.Reset()
		a.fill = 0
	}
}

// end says that nothing more comes.
func (a *Answer) end() {
	if a.rest != nil {
		a.endBlock()
		a.rest = nil
	}
}
