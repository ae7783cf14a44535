package record

// AppendDetached appends a data record without the hex digits of its payload, which the caller keeps elsewhere and of
// which masked bytes were overwritten, and returns the extended slice. The checksum is that of the whole record:
//
//	… length=5 data= sum=f75f451d
//
// Allocation-free if dst has room for MaxDataOverhead more bytes.
func AppendDetached(dst []byte, h *Header, d Direction, offset uint64, payload []byte, masked int) []byte {
	start := len(dst)
	dst = appendDataHead(dst, h, d, offset, len(payload), masked)
	return appendSum(dst, dst[start:], payload)
}

// ParseDetached reads what AppendDetached or, for the other kinds of records, their own Append wrote, and returns it
// with the number of bytes it takes. Payload becomes the record's. ErrCut says that the record needs more of it, or that
// the text is cut.
func ParseDetached(text, payload []byte) (Record, int, error) {
	s := scanner{text: text, detached: true, payload: payload}
	r, err := s.record(nil)
	return r, s.next, err
}

// attach takes the payload that stands elsewhere.
func (s *scanner) attach(length int) []byte {
	switch {
	case s.err != nil:
	case len(s.payload) < length:
		s.err = ErrCut
	case len(s.payload) > length:
		s.err = ErrMalformed
	default:
		return s.payload
	}
	return nil
}
