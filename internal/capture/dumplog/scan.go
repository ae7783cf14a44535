package dumplog

import (
	"bytes"

	"l4dump/record"
)

// scan finds what begins in t at from or later. Unless t is the line's end, scan leaves what more bytes might change,
// and returns where the next scan continues: there or before begins all that was left.
func (s *Scanner) scan(t *text, from int, end bool) (next int, err error) {
	b := t.bytes
	limit := len(b) // what begins from here on is left
	if !end {
		limit = max(from, len(b)-overlapBytes)
	}
	next = from
	gap := from // from here on, no record has been found
	if !s.long && from == 0 {
		if next, err = s.beginText(t, end); err != nil {
			return 0, err
		}
		gap = next
	}
	mark, damaged := -1, false
	quote := -1
	for {
		if mark < next {
			if mark, damaged = record.Find(b, next); mark < 0 {
				mark = len(b)
			}
		}
		if quote < next {
			if quote = bytes.IndexByte(b[next:], '"'); quote < 0 {
				quote = len(b)
			} else {
				quote += next
			}
		}
		if min(mark, quote) >= limit {
			break
		}
		if quote < mark {
			if !end && !ends(b[quote+1:]) {
				return s.layottos(t, gap, quote, true, quote)
			}
			s.endPart(t, quote)
			n, err := s.beginPart(t, quote+1, end)
			if err != nil {
				return 0, err
			}
			if next = quote + 1 + n; n > 0 {
				if _, err := s.layottos(t, gap, quote, true, 0); err != nil {
					return 0, err
				}
				gap = next
			}
			continue
		}
		n, wait, err := s.recordAt(t, mark, damaged, end)
		if err != nil {
			return 0, err
		}
		if _, err := s.layottos(t, gap, mark, true, 0); err != nil {
			return 0, err
		}
		if wait {
			return mark, nil
		}
		next = mark + n
		gap = next
	}
	if end {
		s.endPart(t, len(b))
	}
	return s.layottos(t, gap, len(b), end, max(next, limit))
}

// recordAt takes the record at mark, where record.Find has found one, and returns how many bytes to move on. wait says
// that more bytes are needed.
func (s *Scanner) recordAt(t *text, mark int, damaged, end bool) (n int, wait bool, err error) {
	b := t.bytes[mark:]
	if damaged {
		s.line.found = true
		s.damaged(ErrHead, s.place(t, mark))
		return record.AfterMark(b, 0), false, nil
	}
	b = b[:min(len(b), MaxRecordBytes)]
	var fault error
	s.record, n, fault = record.Parse(b, s.payload[:0])
	if fault == nil {
		if s.record.Kind == record.KindData {
			s.payload = s.record.Payload
		}
		return n, false, s.emit(&s.record, b[:n], s.place(t, mark))
	}
	if !end && len(b) < MaxRecordBytes {
		return 0, true, nil
	}
	s.line.found = true
	if stop, ok := boundary(t.bytes, mark, end); ok && record.IsCut(b[:stop-mark]) {
		s.keep(t, mark, stop, fault)
		return stop - mark, false, nil
	}
	s.damaged(fault, s.place(t, mark))
	return record.AfterMark(b, 0), false, nil
}

// layottos takes the lines in Layotto's format between start and stop. Unless the gap is closed, it returns the place of
// one that may continue, if it comes before next, else next.
func (s *Scanner) layottos(t *text, start, stop int, closed bool, next int) (int, error) {
	for start < stop {
		gap := t.bytes[start:stop]
		if bytes.IndexByte(gap, ']') < 0 {
			break
		}
		l, from, to := record.ParseLayotto(gap, s.payload)
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
		if from < 0 {
			from = layottoTail(gap)
		}
		if from >= 0 && len(gap)-from >= MaxRecordBytes {
			s.line.found = true
			s.damaged(ErrLong, s.place(t, start+from))
			from = -1
			start = stop
		}
		if from >= 0 {
			return max(start, min(next, start+from)), nil
		}
		break
	}
	return max(start, next), nil
}

// layottoTail returns where a line in Layotto's format begins that b's end may have cut, or -1.
func layottoTail(b []byte) int {
	i := bytes.LastIndex(b, []byte("]["))
	start := i - len("[01234567-89ab-cdef-0123-456789abcdef")
	if start < 0 || b[start] != '[' {
		return -1
	}
	rest := b[i+len("]["):]
	digits := 0
	for digits < len(rest) && digits <= len("65535") && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	if rest = rest[digits:]; digits == 0 || len(rest) > 0 && rest[0] != ']' {
		return -1
	}
	for _, c := range rest[min(1, len(rest)):] {
		if (digit(c) > 15 || 'A' <= c && c <= 'F') && c != ' ' {
			return -1
		}
	}
	return start
}
