package http1

import "bytes"

// head is what the first line and the fields of a message say about how it is framed. A fault is what is wrong with
// them, as text, and "" if nothing is: it is made into an error once.
type head struct {
	length    int64 // of the body; -1: not said
	chunked   bool
	coded     bool // Transfer-Encoding without chunked: the body ends with the stream
	upgrade   bool // Upgrade is there, and Connection names it
	old       bool // HTTP/1.0
	hasLength bool
	hasCoding bool
}

// requestLine reads "GET /a HTTP/1.1".
func requestLine(line []byte) (method, target []byte, fault string) {
	method, rest, _ := bytes.Cut(line, space)
	target, version, ok := bytes.Cut(rest, space)
	switch {
	case !isToken(method) || len(method) > maxMethod:
		return nil, nil, "the request line has no method"
	case !ok || len(target) == 0:
		return nil, nil, "the request line has no target"
	case !isVersion(version):
		return nil, nil, "the request line does not end with HTTP/1.0 or HTTP/1.1"
	}
	for _, b := range target {
		if b <= ' ' || b == 0x7f {
			return nil, nil, "the target has a control character"
		}
	}
	return method, target, ""
}

// statusLine reads "HTTP/1.1 200 OK". The text after the status may be missing, also with its space.
func statusLine(line []byte) (status int, fault string) {
	version, rest, _ := bytes.Cut(line, space)
	if !isVersion(version) {
		return 0, "the status line does not begin with HTTP/1.0 or HTTP/1.1"
	}
	if len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return 0, "the status is not of three digits"
	}
	for _, b := range rest[:3] {
		if b < '0' || b > '9' {
			return 0, "the status is not of three digits"
		}
		status = status*10 + int(b-'0')
	}
	if status < 100 || status > 599 {
		return 0, "the status is not from 100 to 599"
	}
	if !isText(rest[3:]) {
		return 0, "the status line has a control character"
	}
	return status, ""
}

var (
	space = []byte(" ")
	comma = []byte(",")
)

func isVersion(b []byte) bool { return string(b) == "HTTP/1.1" || string(b) == "HTTP/1.0" }

// fields reads the lines after the first one, without the empty one.
func (h *head) fields(lines []byte) (fault string) {
	upgrade, named := false, false
	for len(lines) > 0 {
		name, value, rest, fault := cutField(lines)
		if fault != "" {
			return fault
		}
		lines = rest
		switch {
		case equal(name, "content-length"):
			if h.hasLength {
				return "Content-Length stands twice"
			}
			if h.length = parseLength(value); h.length < 0 {
				return "Content-Length is no number of bytes"
			}
			h.hasLength = true
		case equal(name, "transfer-encoding"):
			if fault := h.coding(value); fault != "" {
				return fault
			}
		case equal(name, "upgrade"):
			upgrade = true
		case equal(name, "connection"):
			named = named || has(value, "upgrade")
		}
	}
	h.upgrade = upgrade && named
	switch {
	case h.hasLength && h.hasCoding:
		return "Content-Length and Transfer-Encoding are both there"
	case h.hasCoding && h.old:
		return "Transfer-Encoding is there in HTTP/1.0"
	}
	if !h.hasLength {
		h.length = -1
	}
	return ""
}

// coding reads a Transfer-Encoding. Chunked ends the body wherever it stands last; anything else after it is ambiguous.
func (h *head) coding(value []byte) (fault string) {
	h.hasCoding = true
	for len(value) > 0 {
		var item []byte
		item, value, _ = bytes.Cut(value, comma)
		item = trim(item)
		switch {
		case h.chunked:
			return "Transfer-Encoding has something after chunked"
		case equal(item, "chunked"):
			h.chunked = true
		case equal(item, "gzip"), equal(item, "x-gzip"), equal(item, "deflate"), equal(item, "compress"):
			h.coded = true
		default:
			return "Transfer-Encoding is not known"
		}
	}
	if !h.chunked && !h.coded {
		return "Transfer-Encoding is empty"
	}
	return ""
}

// cutField reads "name: value\r\n" and returns what follows. Every LF in lines has a CR before it.
func cutField(lines []byte) (name, value, rest []byte, fault string) {
	end := bytes.IndexByte(lines, '\n')
	line, rest := lines[:end-1], lines[end+1:]
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		return nil, nil, nil, "a header continues on a second line"
	}
	name, value, ok := bytes.Cut(line, colon)
	switch {
	case !ok:
		return nil, nil, nil, "a header has no colon"
	case !isToken(name):
		return nil, nil, nil, "the name of a header is none"
	case !isText(value):
		return nil, nil, nil, "a header has a control character"
	}
	return name, trim(value), rest, ""
}

var colon = []byte(":")

// parseLength returns a number of bytes that is digits only, or -1.
func parseLength(b []byte) (n int64) {
	if len(b) == 0 || len(b) > 18 {
		return -1
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// has says whether a list has an item.
func has(list []byte, want string) bool {
	for len(list) > 0 {
		var item []byte
		if item, list, _ = bytes.Cut(list, comma); equal(trim(item), want) {
			return true
		}
	}
	return false
}

func trim(b []byte) []byte { return bytes.Trim(b, " \t") }

// equal compares without regard to the case of ASCII letters. want is lower case.
func equal(b []byte, want string) bool {
	if len(b) != len(want) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// isToken says whether b is a token of RFC 9110, section 5.6.2.
func isToken(b []byte) bool {
	for _, c := range b {
		if !token[c] {
			return false
		}
	}
	return len(b) > 0
}

var token = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// isText says whether b has no control character but tabs.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
