package capture

// history remembers the fingerprints of the last events, so that a second one of the same number can be told from a
// contradiction. It is a table of fixed size in which an event displaces the one with the same slot.
type history struct {
	slots []remembered
}

type remembered struct {
	conn  ID
	seq   uint64
	print Fingerprint // the zero value: the slot is empty
}

func newHistory(slots int) history { return history{slots: make([]remembered, slots)} }

func (h *history) slot(id ID, seq uint64) *remembered {
	// Odd multipliers spread connections; one connection's events take slots in turn.
	i := (id.VM^id.Number)*0x9e3779b97f4a7c15>>32 + seq
	return &h.slots[i%uint64(len(h.slots))]
}

func (h *history) put(id ID, seq uint64, print Fingerprint) {
	*h.slot(id, seq) = remembered{conn: id, seq: seq, print: print}
}

// get returns the fingerprint of an event. ok is false if it is no longer known.
func (h *history) get(id ID, seq uint64) (print Fingerprint, ok bool) {
	s := h.slot(id, seq)
	return s.print, s.conn == id && s.seq == seq && s.print != Fingerprint{}
}
