package resp

import (
	"bytes"
	"errors"
	"fmt"
)

// The limits of a value. Redis's own are 512 MiB for a string, and no line is longer than 64 KiB.
const (
	maxLine  = 64 << 10 // bytes
	maxBulk  = 4 << 30  // bytes
	maxItems = 1 << 32  // in an array, a set, a push; twice that in a map
	maxDepth = 128      // values within values
)

// walker finds the end of a value that comes in any cut. The zero value is at a value's beginning.
type walker struct {
	stack    []level
	left     int64 // bytes to come of a string
	crlf     bool  // which CRLF follows
	streamed bool  // in a string of unknown length
	begun    bool
	scanned  int // bytes of the unread rest without the end of a line
}

// level is an array, a set, a push, a map or an attribute that is not complete.
type level struct {
	left      int64 // values to come; streaming: up to a "."
	attribute bool  // it is followed by the value that it belongs to
}

const streaming = -1

// walk takes what buf has of the value and returns its length, and whether the value ends there.
func (w *walker) walk(buf []byte) (n int, done bool, err error) {
	for !done {
		rest := buf[n:]
		var size int
		switch {
		case w.left > 0:
			size = int(min(w.left, int64(len(rest))))
			w.left -= int64(size)
		case w.crlf && len(rest) < 2:
		case w.crlf && (rest[0] != '\r' || rest[1] != '\n'):
			return n, false, errors.New("a string is longer than it says")
		case w.crlf:
			size = 2
			w.crlf = false
			done = !w.streamed && w.complete()
		default:
			var line []byte
			if line, size, err = cutLine(rest, &w.scanned); err == nil && size > 0 {
				done, err = w.line(line)
				w.begun = true
			}
			if err != nil {
				return n, false, err
			}
		}
		if size == 0 {
			return n, false, nil
		}
		n += size
	}
	*w = walker{stack: w.stack[:0]}
	return n, true, nil
}

// cutLine returns the line that buf begins with, and its length with CRLF; 0 if it is not all there.
func cutLine(buf []byte, scanned *int) (line []byte, size int, err error) {
	i := bytes.IndexByte(buf[*scanned:], '\n')
	if i < 0 {
		if *scanned = len(buf); len(buf) > maxLine {
			return nil, 0, errLine
		}
		return nil, 0, nil
	}
	size = *scanned + i + 1
	*scanned = 0
	switch {
	case size > maxLine:
		return nil, 0, errLine
	case size < 3 || buf[size-2] != '\r':
		return nil, 0, errors.New("a line is empty or ends without CR")
	}
	return buf[:size-2], size, nil
}

var errLine = fmt.Errorf("a line is longer than %d bytes", maxLine)

// line takes a line of the value.
func (w *walker) line(line []byte) (done bool, err error) {
	kind, text := line[0], line[1:]
	if w.streamed {
		if kind != ';' {
			return false, errors.New("a streamed string has something else than parts")
		}
		n, ok := parseCount(text, maxBulk)
		switch {
		case !ok:
			return false, errLength
		case n == 0:
			w.streamed = false
			return w.complete(), nil
		}
		w.left, w.crlf = n, true
		return false, nil
	}
	switch kind {
	case '$', '=', '!':
		return w.bulk(kind, text)
	case '*', '~', '>', '%', '|':
		return w.aggregate(kind, text)
	case '.':
		return w.end(text)
	}
	if !isScalar(kind, text) {
		return false, fmt.Errorf("no value begins with %q", clip(line))
	}
	return w.complete(), nil
}

var errLength = errors.New("the length of a string is no number, or too large")

func (w *walker) bulk(kind byte, text []byte) (done bool, err error) {
	switch {
	case kind == '$' && string(text) == "-1":
		return w.complete(), nil
	case kind == '$' && string(text) == "?":
		w.streamed = true
		return false, nil
	}
	n, ok := parseCount(text, maxBulk)
	if !ok {
		return false, errLength
	}
	w.left, w.crlf = n, true
	return false, nil
}

func (w *walker) aggregate(kind byte, text []byte) (done bool, err error) {
	l := level{attribute: kind == '|'}
	switch {
	case kind == '*' && string(text) == "-1":
		return w.complete(), nil
	case kind == '>' && w.begun:
		return false, errors.New("a push is within a value")
	case kind != '>' && string(text) == "?":
		l.left = streaming
	default:
		n, ok := parseCount(text, maxItems)
		if !ok {
			return false, errors.New("the number of values is none, or too large")
		}
		if l.left = n; kind == '%' || kind == '|' {
			l.left *= 2
		}
	}
	if l.left == 0 {
		return !l.attribute && w.complete(), nil
	}
	if len(w.stack) == maxDepth {
		return false, fmt.Errorf("more than %d values are within each other", maxDepth)
	}
	w.stack = append(w.stack, l)
	return false, nil
}

// end takes the "." after the last of a streamed number of values.
func (w *walker) end(text []byte) (done bool, err error) {
	top := len(w.stack) - 1
	if top < 0 || w.stack[top].left != streaming || len(text) > 0 {
		return false, errors.New("a streamed value ends that did not begin")
	}
	attribute := w.stack[top].attribute
	w.stack = w.stack[:top]
	return !attribute && w.complete(), nil
}

// complete says whether the value that just ended is the whole one.
func (w *walker) complete() bool {
	for top := len(w.stack) - 1; top >= 0; top-- {
		l := &w.stack[top]
		if l.left == streaming {
			return false
		}
		if l.left--; l.left > 0 {
			return false
		}
		attribute := l.attribute
		w.stack = w.stack[:top]
		if attribute {
			return false
		}
	}
	return true
}

// isScalar says whether a line is a value by itself.
func isScalar(kind byte, text []byte) bool {
	switch kind {
	case '+', '-':
		return bytes.IndexByte(text, '\r') < 0
	case ':', '(':
		return isInteger(text)
	case '_':
		return len(text) == 0
	case '#':
		return string(text) == "t" || string(text) == "f"
	case ',':
		return isDouble(text)
	}
	return false
}

func isInteger(text []byte) bool {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}

// isDouble takes "-1.5e+10", "inf" and "nan": whatever has only such characters.
func isDouble(text []byte) bool {
	for _, c := range text {
		if (c < '0' || c > '9') && bytes.IndexByte([]byte("+-.eEinfaINFA"), c) < 0 {
			return false
		}
	}
	return len(text) > 0
}

// parseCount reads a number without a sign that is at most limit.
func parseCount(b []byte, limit int64) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 12 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= limit
}

// clip returns the beginning of a line for an error.
func clip(line []byte) []byte { return line[:min(len(line), 16)] }
