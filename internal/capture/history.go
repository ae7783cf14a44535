package capture

import "l4dump/record"

// fingerprint tells whether two records with the same connection and number are the same.
type fingerprint struct {
	sum    [8]byte // the record's checksum as it stands in it
	length int     // of the record's text in bytes
}

// history remembers the fingerprints of the last records, so that a second one of the same number can be told from a
// contradiction. It is a table of fixed size in which a record displaces the one with the same slot.
type history struct {
	slots []remembered
}

type remembered struct {
	conn  record.ConnID
	seq   uint64
	print fingerprint // the zero value: the slot is empty
}

func newHistory(slots int) history { return history{slots: make([]remembered, slots)} }

func (h *history) slot(id record.ConnID, seq uint64) *remembered {
	// Odd multipliers spread connections; one connection's records take slots in turn.
	i := (id.VM^id.Number)*0x9e3779b97f4a7c15>>32 + seq
	return &h.slots[i%uint64(len(h.slots))]
}

func (h *history) put(id record.ConnID, seq uint64, print fingerprint) {
	*h.slot(id, seq) = remembered{conn: id, seq: seq, print: print}
}

// get returns the fingerprint of a record. ok is false where it is no longer known.
func (h *history) get(id record.ConnID, seq uint64) (print fingerprint, ok bool) {
	s := h.slot(id, seq)
	return s.print, s.conn == id && s.seq == seq && s.print != fingerprint{}
}
