package dumplog

import "strconv"

// Place is where something stands in the input.
type Place struct {
	Name   string // of the input, as it was given
	Line   int64  // from 1
	Column int64  // bytes into the line, from 1; 0 means the whole line
}

// String returns "name:line:column", without what is 0. Control characters in the name are escaped.
func (p Place) String() string {
	b := appendName(nil, p.Name)
	if p.Line > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, p.Line, 10)
	}
	if p.Column > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, p.Column, 10)
	}
	return string(b)
}

// appendName appends name as it is if it is printable ASCII without spaces and quotes, else quoted with every other
// character escaped: a name cannot move a terminal's cursor or look like two words.
func appendName(dst []byte, name string) []byte {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strconv.AppendQuoteToASCII(dst, name)
		}
	}
	return append(dst, name...)
}
