package dumplog

import (
	"bytes"
	"slices"

	"l4dump/internal/capture"
	"l4dump/record"
)

// takeLayottos takes the lines in Layotto's format between start and stop. Unless the gap is closed, it returns the
// place of one that may continue, if it comes before next; else next, or the end of the last line if that is later.
func (s *Scanner) takeLayottos(t *text, start, stop int, closed bool, next int) (int, error) {
	for start < stop {
		gap := t.bytes[start:stop]
		cutFrom, cutTo := findLayotto(gap)
		if cutFrom < 0 {
			break
		}
		l, from, to := record.ParseLayotto(gap, s.payload)
		if (from < 0 || cutFrom <= from) && s.keepLayotto(t, start+cutFrom, start+cutTo, closed) {
			start += cutTo
			continue
		}
		if from >= 0 && (closed || to < len(gap)-1) {
			s.payload, s.layotto = l.Payload, l
			s.line.found = true
			if err := s.handler.Layotto(&s.layotto, s.place(t, start+from)); err != nil {
				return 0, err
			}
			start += to
			continue
		}
		if closed {
			break
		}
		if from < 0 && cutTo == len(gap) {
			from = cutFrom
		}
		if from >= 0 && len(gap)-from >= MaxRecordBytes {
			s.line.found = true
			s.damaged(ErrLong, s.place(t, start+from))
			from, start = -1, stop
		}
		if from >= 0 {
			return max(start, min(next, start+from)), nil
		}
		break
	}
	return max(start, next), nil
}

// findLayotto returns where the first head of Layotto's format begins in b, and where the digits and spaces end that
// follow it; or -1.
func findLayotto(b []byte) (start, stop int) {
	const window = len("[01234567-89ab-cdef-0123-456789abcdef")
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("]["))
		if i < 0 {
			return -1, -1
		}
		i += from
		from = i + 1
		if start = i - window; start < 0 || b[start] != '[' || !record.IsCut(b[start:from]) {
			continue
		}
		stop = i + len("][")
		for stop < len(b) && '0' <= b[stop] && b[stop] <= '9' && stop-from <= len("65535") {
			stop++
		}
		if stop < len(b) && b[stop] == ']' {
			stop++
			stop += digitsEnd(b[stop:])
		}
		return start, stop
	}
}

// digitsEnd returns where the digits and spaces end that begin b.
func digitsEnd(b []byte) int {
	for i, c := range b {
		if (digit(c) > 15 || 'A' <= c && c <= 'F') && c != ' ' {
			return i
		}
	}
	return len(b)
}

// layottoPart is the beginning of a line in Layotto's format, which has no checksum: the runtime's marks, or a string
// that ends without a line break, must say that it is not whole.
type layottoPart struct {
	at    capture.Place
	key   uint64
	bytes []byte
}

// keepLayotto keeps what t holds from start to stop if it is a part of a line, and reports whether it is.
func (s *Scanner) keepLayotto(t *text, start, stop int, closed bool) bool {
	if !closed || s.long || len(s.layottos) == maxParts || !s.isPartial(t, stop) {
		return false
	}
	s.line.found = true
	s.layottos = append(s.layottos, &layottoPart{
		at: s.place(t, start), key: s.head(t).key, bytes: bytes.Clone(t.bytes[start:stop]),
	})
	return true
}

// isPartial reports whether what ends at stop continues in another line.
func (s *Scanner) isPartial(t *text, stop int) bool {
	h := s.head(t)
	if h.runtime {
		return h.partial && len(bytes.TrimRight(t.bytes[stop:], "\r")) == 0
	}
	return h.key != 0 && stop < len(t.bytes) && t.bytes[stop] == '"'
}

// continueLayotto adds what begins at start to the line that waits for it, and returns how many bytes belong to that.
func (s *Scanner) continueLayotto(t *text, start int) (int, error) {
	h := s.head(t)
	for i, p := range s.layottos {
		if p.key != h.key || h.key == 0 || !h.runtime && !isPart(t.bytes, start, start) {
			continue
		}
		n := digitsEnd(t.bytes[start:])
		if bytes.HasPrefix(t.bytes[start+n:], []byte("]")) && bytes.Count(p.bytes, []byte("]")) == 1 {
			n++ // the cut stood within the head
			n += digitsEnd(t.bytes[start+n:])
		}
		p.bytes = append(p.bytes, t.bytes[start:start+n]...)
		if n > 0 && s.isPartial(t, start+n) && len(p.bytes) < MaxRecordBytes {
			s.line.found = true
			return n, nil
		}
		s.layottos = append(s.layottos[:i], s.layottos[i+1:]...)
		if whole, err := s.endLayotto(p); !whole || err != nil {
			return 0, err
		}
		s.line.found = s.line.found || n > 0
		return n, nil
	}
	return 0, nil
}

// endLayotto gives a line that waits for nothing more to the handler. whole is false if it is none: it had no byte, or
// only half of the last one.
func (s *Scanner) endLayotto(p *layottoPart) (whole bool, err error) {
	l, start, _ := record.ParseLayotto(p.bytes, s.payload)
	if start < 0 {
		if last := bytes.LastIndexByte(p.bytes, ']'); digitsEnd(p.bytes[last+1:]) > 1 {
			s.damaged(record.ErrCut, p.at)
		}
		return false, nil
	}
	s.payload, s.layotto = l.Payload, l
	return true, s.handler.Layotto(&s.layotto, p.at)
}

// dropLayotto forgets what began at a place: it was a record.
func (s *Scanner) dropLayotto(at capture.Place) {
	s.layottos = slices.DeleteFunc(s.layottos, func(p *layottoPart) bool { return p.at == at })
}

// finishLayottos gives up all that wait.
func (s *Scanner) finishLayottos() error {
	for _, p := range s.layottos {
		if _, err := s.endLayotto(p); err != nil {
			return err
		}
	}
	s.layottos = nil
	return nil
}
