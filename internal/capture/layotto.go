package capture

import (
	"bytes"

	"l4dump/record"
)

const (
	uuidDigits = len("01234567-89ab-cdef-0123-456789abcdef")
	portDigits = len("65535")
)

// layottoLine is what follows a proxy's prefix in Layotto's format: "[window][port]68 65 6c".
type layottoLine struct {
	window  record.UUID
	port    uint16
	payload []byte
}

// findLayotto looks for Layotto's format within line and puts its payload into buf. start is -1 where there
// is none.
func findLayotto(line, buf []byte) (l layottoLine, start int) {
	for from := 0; ; {
		i := bytes.Index(line[from:], []byte("]["))
		if i < 0 {
			return l, -1
		}
		between := from + i
		from = between + 1
		start = between - uuidDigits - 1
		if start < 0 || line[start] != '[' {
			continue
		}
		window, ok := record.ParseUUID(string(line[start+1 : between]))
		if !ok {
			continue
		}
		port, rest, ok := cutPort(line[between+2:])
		if !ok {
			continue
		}
		return layottoLine{window: window, port: port, payload: appendSpacedHex(buf[:0], rest)}, start
	}
}

// cutPort reads the digits and the bracket that begin text.
func cutPort(text []byte) (port uint16, rest []byte, ok bool) {
	n := 0
	i := 0
	for i < len(text) && i < portDigits && '0' <= text[i] && text[i] <= '9' {
		n = n*10 + int(text[i]-'0')
		i++
	}
	if i == 0 || i == len(text) || text[i] != ']' || n > 1<<16-1 {
		return 0, nil, false
	}
	return uint16(n), text[i+1:], true
}

// appendSpacedHex appends the bytes of the hex pairs, with a space between two, that begin text.
func appendSpacedHex(dst, text []byte) []byte {
	for len(text) >= 2 {
		high, low := unhex(text[0]), unhex(text[1])
		if high < 0 || low < 0 {
			return dst
		}
		dst = append(dst, byte(high<<4|low))
		if len(text) == 2 || text[2] != ' ' {
			return dst
		}
		text = text[3:]
	}
	return dst
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c - 'a' + 10)
	}
	return -1
}
