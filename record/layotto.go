package record

import "bytes"

// LayottoOverhead is the most bytes that AppendLayotto writes besides three for each byte of payload.
const LayottoOverhead = len("[01234567-89ab-cdef-0123-456789abcdef][65535]")

// AppendLayotto appends the line that Layotto's tcpcopy writes: the window and the port in brackets, and payload in
// lower-case hex with a space between the bytes (fmt's "[%s][%s]% x"). It says neither connection nor direction nor
// order, so it can be read but not replayed. Allocation-free if dst has room for LayottoOverhead + 3·len(payload).
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

// Layotto is a line in Layotto's format that was read back.
type Layotto struct {
	Window  UUID
	Port    uint16
	Payload []byte // belongs to the buffer given to ParseLayotto
}

// ParseLayotto looks within line for what AppendLayotto writes, and puts its payload into buf (grown if it is too
// small). It stands from start to end; start is -1 if there is none.
//
// The format has no mark, and "[…][8080] upstream reset" resembles it. So the window must be a UUID as l4dump and Layotto
// make them, there must be a byte, and after the last one the line ends or continues as a proxy's suffix does: with a
// tab, a line break, a quote, a backslash that escapes one of them, two spaces, or
// a space and the '[' of the next line.
func ParseLayotto(line, buf []byte) (l Layotto, start, end int) {
	for from := 0; ; {
		i := bytes.Index(line[from:], []byte("]["))
		if i < 0 {
			return Layotto{}, -1, -1
		}
		start = from + i - uuidBytes - len("[")
		from += i + len("]")
		if start < 0 || line[start] != '[' {
			continue
		}
		s := scanner{text: line[start:]}
		s.literal("[")
		l.Window = s.uuid()
		s.literal("][")
		l.Port = uint16(s.uint(1<<16 - 1))
		s.literal("]")
		l.Payload = s.spacedHex(buf[:0])
		if s.err == nil && isLayottoWindow(l.Window) {
			return l, start, start + s.next
		}
	}
}

// isLayottoWindow reports whether u is of RFC 9562's variant and of a version that is in use: 8 by l4dump, 4 and 1 by
// Layotto.
func isLayottoWindow(u UUID) bool {
	version := u[6] >> 4
	return u[8]>>6 == 0b10 && (version == 8 || version == 4 || version == 1)
}

// spacedHex appends the bytes of one or more pairs of digits with a space between two.
func (s *scanner) spacedHex(dst []byte) []byte {
	for s.err == nil {
		dst = append(dst, byte(s.hex(2, 2)))
		rest := s.text[s.next:]
		switch {
		case len(rest) == 0, len(rest) == 1 && rest[0] == '\r', rest[0] == '\t', rest[0] == '\n', rest[0] == '"', rest[0] == '\\',
			bytes.HasPrefix(rest, []byte("\r\n")),
			bytes.HasPrefix(rest, []byte("  ")),
			bytes.HasPrefix(rest, []byte(" [")):
			return dst
		}
		s.literal(" ")
	}
	return dst
}
