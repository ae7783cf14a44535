package strategy

// SharedBytes is a value that all workers of a process share.
type SharedBytes interface {
	// Load returns the value, and the version of it that Store wants. The value is valid until the next call.
	Load() (value []byte, version uint32)
	// Store replaces the value of that version, and does not keep value. It returns false if another worker was faster.
	Store(value []byte, version uint32) bool
}

// Headcount is how many connections of a configuration are live in all workers. Each worker counts its own; a shared
// table has a row for each that has had some lately:
//
//	0        8        16                24
//	+--------+--------+-----------------+
//	| ID     | count  | when it was said|  little-endian
//	+--------+--------+-----------------+
//
// A row that was not said again within rowTime is of a worker that has crashed, whose connections nobody will take from
// the count: it goes, and what is recorded is not held up by it.
type Headcount struct {
	Table SharedBytes
	ID    uint64 // this worker's, which no other has

	_    incomparable
	live int64
	said int64  // when the row was
	next []byte // scratch: the table to store
}

const (
	rowBytes = 24
	// rowTime is how long a row counts. A worker that says nothing for longer, though it lives, waits in a write to a log
	// that nobody reads; its connections count again as soon as it continues.
	rowTime = 60 * nanosecondsPerSecond
	// renewTime is how often a row is said again.
	renewTime = rowTime / 6
	// headcountAttempts bounds how often Join tries, for as long as other workers are faster.
	headcountAttempts = 1000
)

// Join counts one more connection at now, unless limit are live, and reports whether it did. Allocation-free once the
// table has had all its rows.
func (h *Headcount) Join(limit, now int64) bool {
	h.live++
	if h.say(limit, now) {
		return true
	}
	h.live--
	return false
}

// Leave takes that one of this worker's connections is no longer live. Allocation-free.
func (h *Headcount) Leave(now int64) {
	h.live--
	h.say(0, now)
}

// Renew says the row again if it is time. It is called on each tick. Allocation-free.
func (h *Headcount) Renew(now int64) {
	if h.live > 0 && (now-h.said >= renewTime || now < h.said) {
		h.say(0, now)
	}
}

// say stores this worker's row, and reports whether it did: not if more than limit, unless it is 0, would be live then.
func (h *Headcount) say(limit, now int64) bool {
	for range headcountAttempts {
		table, version := h.Table.Load()
		total := h.live
		h.next = h.next[:0]
		for ; len(table) >= rowBytes; table = table[rowBytes:] {
			var row [3]uint64
			for i, b := range table[:rowBytes] {
				row[i/8] |= uint64(b) << (i % 8 * 8)
			}
			if age := now - int64(row[2]); row[0] != h.ID && age < rowTime && age > -rowTime {
				total += int64(row[1])
				h.next = append(h.next, table[:rowBytes]...)
			}
		}
		if limit > 0 && total > limit {
			return false
		}
		row := [3]uint64{h.ID, uint64(h.live), uint64(now)}
		for i := range rowBytes {
			h.next = append(h.next, byte(row[i/8]>>(i%8*8)))
		}
		if h.Table.Store(h.next, version) {
			h.said = now
			return true
		}
	}
	return false
}
