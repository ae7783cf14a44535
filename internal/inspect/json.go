package inspect

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// WriteJSON writes a report as JSON of printable ASCII: a terminal takes some characters beyond it as controls.
func (r *Report) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if _, err := w.Write(append(escapeASCII(text), '\n')); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// escapeASCII writes every character of a JSON text that is not ASCII, which can stand in strings only, as \uXXXX.
func escapeASCII(text []byte) []byte {
	escaped := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r < 0x7f:
			escaped = append(escaped, byte(r))
		case r <= 0xffff:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		}
		text = text[n:]
	}
	return escaped
}
