package filter

import (
	"l4dump/internal/mask"
	"l4dump/record"
)

// masking is what is remembered of a connection whose bytes are masked. Others have none.
type masking struct {
	streams [2]mask.Stream // by record.Direction
	next    [2]uint64      // offsets after the bytes that streams were given
	masked  [2]uint64      // bytes overwritten in data records
}

// mask overwrites what must not be seen of a block at offset of direction d's stream, if anything is masked.
func (c *connection) mask(d record.Direction, offset uint64, block []byte) {
	if c.plugin.mask == nil {
		return
	}
	m := c.masking
	if m == nil {
		m = new(masking)
		c.masking = m
	}
	if m.next[d] != offset {
		m.streams[d].Gap()
	}
	m.next[d] = offset + uint64(len(block))
	c.plugin.mask.Apply(&m.streams[d], block)
}

// masked returns how many bytes, from start up to end of the block that was masked last, were overwritten.
func (c *connection) masked(start, end int) int {
	if c.masking == nil {
		return 0
	}
	return c.plugin.mask.Count(start, end)
}
