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
	found, damaged := -1, false
	quote := -1
	for {
		if found < next {
			if found, damaged = record.Find(b, next); found < 0 {
				found = len(b)
			}
		}
		if quote < next {
			if quote = bytes.IndexByte(b[next:], '"'); quote < 0 {
				quote = len(b)
			} else {
				quote += next
			}
		}
		if min(found, quote) >= limit {
			break
		}
		if quote < found {
			if !end && !ends(b[quote+1:]) {
				return s.takeLayottos(t, gap, quote, true, quote)
			}
			s.endPart(t, quote)
			n, err := s.beginPart(t, quote+1, end)
			if err != nil {
				return 0, err
			}
			if next = quote + 1 + n; n > 0 {
				if _, err := s.takeLayottos(t, gap, quote, true, 0); err != nil {
					return 0, err
				}
				gap = next
			}
			continue
		}
		n, wait, err := s.recordAt(t, found, damaged, end)
		if err != nil {
			return 0, err
		}
		if _, err := s.takeLayottos(t, gap, found, true, 0); err != nil {
			return 0, err
		}
		if wait {
			return found, nil
		}
		next = found + n
		gap = next
	}
	if end {
		s.endPart(t, len(b))
	}
	return s.takeLayottos(t, gap, len(b), end, max(next, limit))
}

// recordAt takes the record at start, where record.Find has found one, and returns how many bytes to move on. wait says
// that more bytes are needed.
func (s *Scanner) recordAt(t *text, start int, damaged, end bool) (n int, wait bool, err error) {
	b := t.bytes[start:]
	if damaged {
		s.line.found = true
		s.damaged(ErrHead, s.place(t, start))
		return record.AfterMark(b, 0), false, nil
	}
	b = b[:min(len(b), MaxRecordBytes)]
	var fault error
	s.record, n, fault = record.Parse(b, s.payload[:0])
	if fault == nil {
		if s.record.Kind == record.KindData {
			s.payload = s.record.Payload
		}
		return n, false, s.emit(&s.record, b[:n], s.place(t, start))
	}
	if !end && len(b) < MaxRecordBytes {
		return 0, true, nil
	}
	s.line.found = true
	n = record.AfterMark(b, 0)
	most := len(t.bytes)
	if i := bytes.Index(b[n:min(len(b), n+maxPartBytes)], []byte(mark)); i >= 0 {
		most = start + n + i + 1
	}
	if stop, ok := boundary(t.bytes[:most], start, end); ok && stop < most || ok && most == len(t.bytes) {
		if record.IsCut(b[:stop-start]) {
			s.keep(t, start, stop, record.ErrCut)
			return stop - start, false, nil
		}
	}
	s.damaged(fault, s.place(t, start))
	return n, false, nil
}
