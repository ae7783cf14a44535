package http1

import "bytes"

// maxClass bounds the length of a class in bytes: of a longer one, the end is left out.
const maxClass = 200

// appendClass appends "GET /v1/users/{}": the method and the path of the target without its query, with a {} for each
// segment that looks like an identifier. b has room for maxClass bytes.
func appendClass(b, method, target []byte) []byte {
	b = append(append(b, method...), ' ')
	if i := bytes.Index(target, []byte("://")); i > 0 && target[0] != '/' {
		target = target[i+3:]
		if i := bytes.IndexByte(target, '/'); i >= 0 {
			target = target[i:]
		} else {
			target = []byte("/")
		}
	}
	if i := bytes.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	for len(target) > 0 {
		segment := target[1:]
		if target[0] != '/' {
			segment = target
		} else {
			b = fill(b, "/")
		}
		end := bytes.IndexByte(segment, '/')
		if end < 0 {
			end = len(segment)
		}
		if isIdentifier(segment[:end]) {
			b = fill(b, "{}")
		} else {
			b = fill(b, segment[:end])
		}
		target = segment[end:]
	}
	return b
}

// fill appends as much of s as b has room for.
func fill[T []byte | string](b []byte, s T) []byte {
	return append(b, s[:min(len(s), cap(b)-len(b))]...)
}

// isIdentifier says whether a segment of a path looks made for one thing: a number, a UUID or another row of at least 8
// hexadecimal digits with a decimal one among them, or a row of at least 20 letters and digits of all kinds.
func isIdentifier(b []byte) bool {
	digits, hex, upper, lower := 0, 0, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			hex++
			fallthrough
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			if c < 'a' {
				upper++
			} else {
				lower++
			}
		case c == '-' || c == '_' || c == '.' || c == '=' || c == '~':
		default:
			return false
		}
	}
	letters := upper + lower
	switch {
	case digits == 0:
		return false
	case letters == 0:
		return digits == len(b) || digits >= 8 && bytes.IndexByte(b, '.') < 0
	case hex == digits+letters && hex >= 8 && bytes.IndexByte(b, '.') < 0:
		return true
	}
	return digits+letters >= 20 && upper > 0 && lower > 0
}
