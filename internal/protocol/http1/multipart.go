package http1

import (
	"bytes"
	"mime"
	"strings"
)

// cutBoundary returns the value of a Content-Type of multipart without the boundary, and the boundary. Any other value
// stays as it is, and has none.
func cutBoundary(value string) (kind, boundary string) {
	kind, parameters, err := mime.ParseMediaType(value)
	if err != nil || !strings.HasPrefix(kind, "multipart/") || parameters["boundary"] == "" {
		return value, ""
	}
	boundary = parameters["boundary"]
	delete(parameters, "boundary")
	return mime.FormatMediaType(kind, parameters), boundary
}

// withoutBoundary returns a multipart body in which "--" alone delimits the parts (RFC 2046, 5.1.1).
func withoutBoundary(body []byte, boundary string) []byte {
	if boundary == "" {
		return body
	}
	if rest, ok := bytes.CutPrefix(body, []byte("--"+boundary)); ok {
		body = append([]byte("--"), rest...)
	}
	return bytes.ReplaceAll(body, []byte("\r\n--"+boundary), []byte("\r\n--"))
}
