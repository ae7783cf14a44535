// Package noise tells differences that mean nothing from those that do: by what is known of a protocol, by what a
// baseline's answers differ in from each other, and by rules that a person wrote, each with its reason. What is noise
// keeps its shape: a date that becomes empty, or a word, is a difference.
package noise

import (
	"encoding/base64"
	"math/bits"
	"net/http"
	"strings"
	"time"
)

// Form is what a text is, the most special first.
type Form uint8

// The forms. Text is any.
const (
	UUID Form = iota
	Timestamp
	HTTPDate
	Integer
	Number
	Hex
	Base64
	Text

	forms = int(Text) + 1
)

var formNames = [forms]string{"uuid", "rfc3339", "http-date", "integer", "number", "hex", "base64", "text"}

// String returns the form as it stands in a noise file.
func (f Form) String() string { return formNames[f] }

// MarshalText implements encoding.TextMarshaler.
func (f Form) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// formSet has a bit for each Form.
type formSet uint16

// maxFormBytes bounds a text that is anything but Text.
const maxFormBytes = 256

// formsOf returns what s is. Text is always in it.
func formsOf(s string) formSet {
	set := formSet(1) << Text
	if s == "" || len(s) > maxFormBytes {
		return set
	}
	for form, is := range [...]func(string) bool{isUUID, isTimestamp, isHTTPDate, isInteger, isNumber, isHex, isBase64} {
		if is(s) {
			set |= 1 << form
		}
	}
	return set
}

// FormOf returns the most special form of s.
func FormOf(s string) Form { return formsOf(s).special() }

// special returns the most special form of the set.
func (s formSet) special() Form { return Form(bits.TrailingZeros16(uint16(s))) }

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !hexDigit(s[i]) {
			return false
		}
	}
	return true
}

func isTimestamp(s string) bool {
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

func isHTTPDate(s string) bool {
	_, err := http.ParseTime(s)
	return err == nil
}

func isInteger(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func isNumber(s string) bool {
	whole, fraction, found := strings.Cut(s, ".")
	if mantissa, exponent, scientific := strings.Cut(strings.ToLower(s), "e"); scientific {
		return isNumber(mantissa) && isInteger(strings.TrimPrefix(exponent, "+"))
	}
	return isInteger(whole) && (!found || fraction != "" && strings.Trim(fraction, "0123456789") == "")
}

func isHex(s string) bool {
	for i := range len(s) {
		if !hexDigit(s[i]) {
			return false
		}
	}
	return len(s) >= 8
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isBase64 wants 12 bytes at least: shorter words are too often of its alphabet.
func isBase64(s string) bool {
	if len(s) < 12 {
		return false
	}
	s = strings.TrimRight(s, "=")
	_, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		_, err = base64.RawURLEncoding.DecodeString(s)
	}
	return err == nil
}
