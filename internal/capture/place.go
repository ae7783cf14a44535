package capture

import "strconv"

// Place is where something stands in the input.
type Place struct {
	Name   string // of the input, as it was given
	Line   int64  // from 1
	Column int    // bytes into the line, from 1; 0 where the whole line is meant
}

// String returns "name:line:column", without what is 0. Control characters in the name are escaped.
func (p Place) String() string {
	b := appendText(nil, p.Name)
	if p.Line > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, p.Line, 10)
	}
	if p.Column > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(p.Column), 10)
	}
	return string(b)
}

// appendText appends text as it is where it is printable ASCII without spaces and quotes, else quoted with every other
// character escaped: text from the network cannot move a terminal's cursor or look like two words.
func appendText(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strconv.AppendQuoteToASCII(dst, text)
		}
	}
	return append(dst, text...)
}
