package record

// LayottoOverhead is the most bytes that AppendLayotto writes besides three for each byte of payload.
const LayottoOverhead = len("[01234567-89ab-cdef-0123-456789abcdef][65535]")

// AppendLayotto appends the line that Layotto's tcpcopy writes: the window and the port in brackets, and payload in
// lower-case hex with a space between the bytes (fmt's "[%s][%s]% x"). It says neither connection nor direction nor
// order, so it can be read but not replayed. Allocation-free where dst has room for LayottoOverhead + 3·len(payload).
func AppendLayotto(dst []byte, window UUID, port uint16, payload []byte) []byte {
	dst = AppendPrefix(dst, window, port)
	for i, b := range payload {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&0xf])
	}
	return dst
}
