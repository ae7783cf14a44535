package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// liveClient is a connection that lives while recording stops and continues. It knows which of its bytes must not be
// recorded.
type liveClient struct {
	*client
	sent   uint64
	silent []byteRange
}

const pieceBytes = 100

// byteRange is a range of a stream's bytes.
type byteRange struct{ from, to uint64 }

// liveClients are connections through one listener.
type liveClients []*liveClient

// dialLive opens connections, so many that each worker has some.
func dialLive(t *testing.T, address string) liveClients {
	t.Helper()
	list := make(liveClients, 12*workers)
	for i := range list {
		list[i] = &liveClient{client: dial(t, address)}
	}
	return list
}

// speak exchanges some bytes.
func (c *liveClient) speak() byteRange {
	c.t.Helper()
	from := c.sent
	c.exchange(randomBytes(from, pieceBytes))
	c.sent += pieceBytes
	return byteRange{from, c.sent}
}

// speak exchanges some bytes on each connection.
func (list liveClients) speak() {
	for _, c := range list {
		c.speak()
	}
}

// beSilent exchanges bytes on each connection that must not be recorded.
func (list liveClients) beSilent() {
	for _, c := range list {
		c.silent = append(c.silent, c.speak())
	}
}

// waitForRecords waits until what passes is recorded on each connection.
func (list liveClients) waitForRecords(p *proxy) {
	p.t.Helper()
	for i, c := range list {
		from := c.sent
		p.waitForDump(fmt.Sprintf("records of connection %d", i), func(d *dump) bool {
			c.speak()
			recorded, ok := d.bySource[c.source()]
			return ok && recorded.streams[record.Downstream].hasFrom(from)
		})
	}
}

// waitForSilence waits until nothing more is recorded of what passes on each connection.
func (list liveClients) waitForSilence(p *proxy) {
	p.t.Helper()
	for i, c := range list {
		p.waitForDump(fmt.Sprintf("no records of connection %d", i), func(d *dump) bool {
			spoken := c.speak()
			recorded, ok := d.bySource[c.source()]
			p.dump()
			return !ok || !recorded.streams[record.Downstream].hasFrom(spoken.from)
		})
	}
}

// hasFrom reports whether a byte at offset or after it is recorded.
func (s *stream) hasFrom(offset uint64) bool {
	return len(s.chunks) > 0 && s.chunks[len(s.chunks)-1].offset >= offset
}

// finish ends the connections and requires that nothing was recorded of what must not be.
func (list liveClients) finish(p *proxy) {
	p.t.Helper()
	closes := p.dump().closes
	for _, c := range list {
		c.finish()
	}
	d := p.waitForCloses(closes + len(list))
	for _, c := range list {
		recorded := d.of(p.t, c.source())
		require.Equal(p.t, c.sent, recorded.closed.Downstream.Seen)
		require.Equal(p.t, c.sent, recorded.closed.Upstream.Seen)
		for direction := range recorded.streams {
			for _, chunk := range recorded.streams[direction].chunks {
				c.requireSilence(record.Direction(direction), byteRange{chunk.offset, chunk.offset + uint64(len(chunk.data))})
			}
		}
	}
}

// requireSilence requires that recorded bytes are none of those that must not be.
func (c *liveClient) requireSilence(direction record.Direction, recorded byteRange) {
	c.t.Helper()
	for _, silent := range c.silent {
		require.False(c.t, recorded.from < silent.to && silent.from < recorded.to,
			"%s bytes %d to %d are recorded; %d to %d must not be", direction, recorded.from, recorded.to, silent.from, silent.to)
	}
}
