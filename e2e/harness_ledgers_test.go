package e2e

import (
	"fmt"
	"slices"

	"l4dump/internal/mask"
	"l4dump/record"
)

// ledgers holds what is recorded of a churn against what was sent, without keeping it.
type ledgers struct {
	churn  *churn
	kept   map[record.ConnID]*[2]counted
	closed int
	masked uint64
	whole  int // of the closed ones, those of which every byte was recorded
}

// counted is what is recorded of a stream.
type counted struct {
	bytes   uint64
	altered uint64 // of them, those that are not what was sent
}

// take checks and drops what a dump has of the churn: every byte of a data record is the one that was sent or masked, and
// every close record accounts for all of them.
func (l *ledgers) take(d *dump) error {
	for id, c := range d.conns {
		source := ends(c.open.Source, c.open.Destination)
		if c.records == 1 && c.closed == nil {
			continue // its client may not know its own address yet
		}
		number, sent, ok := l.churn.find(source)
		if !ok {
			return fmt.Errorf("connection %s is none of those that were made: %s", id, source)
		}
		if l.kept[id] == nil {
			l.kept[id] = new([2]counted)
		}
		for direction := range c.streams {
			n, err := l.compare(number, sent, &c.streams[direction])
			if err != nil {
				return fmt.Errorf("connection %s: %s: %w", id, record.Direction(direction), err)
			}
			l.kept[id][direction].bytes += n.bytes
			l.kept[id][direction].altered += n.altered
		}
		c.streams = [2]stream{}
		if c.closed == nil {
			continue
		}
		if err := l.balance(c, sent); err != nil {
			return fmt.Errorf("connection %s: %w", id, err)
		}
		delete(l.kept, id)
		delete(d.conns, id)
		delete(d.bySource, source)
	}
	return nil
}

// onlyLong reports whether all connections of a dump that have no close record live as long as the churn.
func (l *ledgers) onlyLong(d *dump) bool {
	for _, c := range d.conns {
		number, _, ok := l.churn.find(ends(c.open.Source, c.open.Destination))
		if !ok || number >= uint64(len(l.churn.long)) {
			return false
		}
	}
	return true
}

// compare compares the recorded bytes with those that were sent, and counts them.
func (l *ledgers) compare(number, sent uint64, s *stream) (kept counted, err error) {
	if len(s.chunks) == 0 {
		return kept, nil
	}
	want := text(number)
	for _, c := range s.chunks {
		for i, b := range c.data {
			at := c.offset + uint64(i)
			if at >= sent {
				return kept, fmt.Errorf("byte %d is recorded of %d that were sent", at, sent)
			}
			if b == want[at%uint64(len(want))] {
				continue
			}
			if b != mask.Byte {
				return kept, fmt.Errorf("byte %d is recorded as %#x, and is %#x", at, b, want[at%uint64(len(want))])
			}
			kept.altered++
		}
		kept.bytes += uint64(len(c.data))
	}
	return kept, nil
}

// balance requires that a closed connection's ledgers say what was sent, and what is there of it.
func (l *ledgers) balance(c *conn, sent uint64) error {
	whole := true
	for direction, ledger := range []record.Ledger{c.closed.Downstream, c.closed.Upstream} {
		dropped := uint64(0)
		for _, drop := range ledger.Dropped {
			dropped += drop.Bytes
		}
		there := l.kept[c.id][direction]
		if ledger.Seen != sent || ledger.Kept != there.bytes || ledger.Seen != ledger.Kept+dropped ||
			ledger.Masked < there.altered || ledger.Masked > ledger.Kept {
			return fmt.Errorf("the ledger of %s is %+v; %d bytes were sent, and recorded are %+v", record.Direction(direction), ledger, sent, there)
		}
		whole = whole && ledger.Kept == sent
		l.masked += ledger.Masked
	}
	l.closed++
	if whole {
		l.whole++
	}
	return nil
}

// median returns the middle one of some values, of which there is one at least.
func median(values []int64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
