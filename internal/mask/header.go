package mask

import "bytes"

// headerNames are the header fields whose values are credentials, in lower case.
var headerNames = [...]string{"authorization", "cookie", "proxy-authorization", "set-cookie"}

// headerState is where a stream stands within lines of text. It does not parse HTTP: a line of a body that looks like
// such a field is masked too.
type headerState struct {
	place   headerPlace
	matched uint8 // bytes of the line that match a name so far
	names   uint8 // a bit for each of headerNames that they match
}

type headerPlace uint8

const (
	atLineStart headerPlace = iota // the line's first byte comes, or those of a name
	inColon                        // the name has matched, its colon comes
	inValue                        // the value is masked up to the end of the line
	afterValue                     // a line break has ended a masked value: white space continues it
	inLine                         // the line is of no interest
)

// scan appends the values that stand in read, the next bytes of the stream.
func (h *headerState) scan(ranges []span, read []byte) []span {
	const all = 1<<len(headerNames) - 1
	for i := 0; i < len(read); {
		switch h.place {
		case inLine, inValue:
			end := bytes.IndexByte(read[i:], '\n')
			next := len(read)
			if end >= 0 {
				next = i + end + 1
			}
			if h.place == inValue {
				ranges = appendValue(ranges, read, i, next)
			}
			if end >= 0 {
				if h.place == inValue {
					h.place = afterValue
				} else {
					*h = headerState{}
				}
			}
			i = next
		case afterValue:
			if read[i] == ' ' || read[i] == '\t' { // obsolete line folding, RFC 9112, section 5.2
				h.place = inValue
				continue
			}
			*h = headerState{}
		case inColon:
			switch read[i] {
			case ':':
				h.place = inValue
			case ' ', '\t': // not allowed there, and accepted by some
			default:
				h.place = inLine
				continue
			}
			i++
		case atLineStart:
			if h.matched == 0 {
				h.names = all
			}
			c := read[i]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			for n, name := range headerNames {
				if h.names&(1<<n) != 0 && (int(h.matched) >= len(name) || name[h.matched] != c) {
					h.names &^= 1 << n
				}
			}
			if h.names == 0 {
				h.place = inLine
				if read[i] == '\n' {
					*h = headerState{}
					i++
				}
				continue
			}
			h.matched++
			i++
			for n, name := range headerNames {
				if h.names&(1<<n) != 0 && len(name) == int(h.matched) {
					h.place = inColon
				}
			}
		}
	}
	return ranges
}

// appendValue appends the bytes of a value from start up to end, without the line break that may end them and without
// the white space before the value.
func appendValue(ranges []span, read []byte, start, end int) []span {
	for start < end && (read[start] == ' ' || read[start] == '\t') {
		start++
	}
	for start < end && (read[end-1] == '\n' || read[end-1] == '\r') {
		end--
	}
	if start < end {
		ranges = append(ranges, span{start, end})
	}
	return ranges
}
