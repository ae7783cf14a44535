package capture

import (
	"fmt"
	"strconv"
)

// Place is where something stands in an input: a line of a file, a message of a topic's partition. It is a value, so
// that one can be kept for each connection without an allocation for each event; what differs between sources is the
// Stringer.
type Place struct {
	Input  fmt.Stringer // names the input; it escapes what a terminal obeys, as Name does
	Number int64        // of the line or message; 0: the whole input is meant
	Column int64        // bytes into it, from 1; 0: the whole line or message is meant
}

// String returns "input:number:column", without what is 0.
func (p Place) String() string {
	var b []byte
	if p.Input != nil {
		b = append(b, p.Input.String()...)
	}
	if p.Number > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, p.Number, 10)
	}
	if p.Column > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, p.Column, 10)
	}
	return string(b)
}

// Name is an input that has a name, as a file. It is escaped if it is anything but printable ASCII.
type Name string

// String implements fmt.Stringer.
func (n Name) String() string { return string(appendText(nil, string(n))) }

// appendText appends text as it is if it is printable ASCII without spaces and quotes, else quoted with every other
// character escaped: text from the network cannot move a terminal's cursor or look like two words.
func appendText(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strconv.AppendQuoteToASCII(dst, text)
		}
	}
	return append(dst, text...)
}
