package guess

// http1Methods begin a request of HTTP/1 (the IANA's registry of methods, its common ones).
var http1Methods = [...]string{
	"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ",
	"PROPFIND ", "PROPPATCH ", "MKCOL ", "COPY ", "MOVE ", "LOCK ", "UNLOCK ", "REPORT ", "SEARCH ", "PURGE ",
}

// http1Request is a request line (RFC 9112, section 3), or the beginning of one that is longer than MaxBytes:
//
//	POST /orders?id=7 HTTP/1.1\r\n
func http1Request(b []byte) (Guess, bool) {
	c := cursor{b: b}
	if !c.method() {
		return c.mismatch()
	}
	isPath := len(c.b) > 0 && c.b[0] == '/'
	target, ok := c.until(' ', MaxBytes, isVisible)
	if c.short && len(b) == MaxBytes && isPath {
		return Guess{Protocol: HTTP1}, false
	}
	if !ok || len(target) == 0 {
		return c.mismatch()
	}
	version, ok := c.http1Version()
	if !ok {
		return c.mismatch()
	}
	if end := c.number(1); end != '\r' && end != '\n' {
		return c.mismatch()
	}
	return Guess{Protocol: HTTP1, Version: version}, false
}

// method passes over a method of HTTP/1 and the space after it.
func (c *cursor) method() bool {
	short := false
	for _, method := range http1Methods {
		n := min(len(method), len(c.b))
		if string(c.b[:n]) != method[:n] {
			continue
		}
		if n == len(method) {
			c.b = c.b[n:]
			return true
		}
		short = true
	}
	c.short = short
	return false
}

// http1Response is the beginning of a status line:
//
//	HTTP/1.1 200 OK\r\n
func http1Response(b []byte) (Guess, bool) {
	c := cursor{b: b}
	version, ok := c.http1Version()
	if !ok || !c.literal(" ") {
		return c.mismatch()
	}
	for range 3 {
		if !isDigit(byte(c.number(1))) {
			return c.mismatch()
		}
	}
	return Guess{Protocol: HTTP1, Version: version}, false
}

func (c *cursor) http1Version() (version string, ok bool) {
	if !c.literal("HTTP/1.") {
		return "", false
	}
	switch c.number(1) {
	case '0':
		return "1.0", !c.short
	case '1':
		return "1.1", true
	}
	return "", false
}

// http2Preface is what a client of HTTP/2 sends first (RFC 9113, section 3.4).
func http2Preface(b []byte) (Guess, bool) {
	c := cursor{b: b}
	if !c.literal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
		return c.mismatch()
	}
	return Guess{Protocol: HTTP2, Version: "2"}, false
}

// redisCommand is an array whose first element is a bulk string of letters, the command:
//
//	*2\r\n$3\r\nGET\r\n
func redisCommand(b []byte) (Guess, bool) {
	const maxElements, maxCommand = 1 << 20, 32
	c := cursor{b: b}
	if !c.literal("*") {
		return c.mismatch()
	}
	elements, ok := c.redisLength()
	if !ok || elements == 0 || elements > maxElements || !c.literal("$") {
		return c.mismatch()
	}
	length, ok := c.redisLength()
	if !ok || length == 0 || length > maxCommand {
		return c.mismatch()
	}
	for range length {
		if b := byte(c.number(1)); !isLetter(b) && b != '.' && b != '-' && b != '_' && !isDigit(b) {
			return c.mismatch()
		}
	}
	if !c.literal("\r\n") {
		return c.mismatch()
	}
	return Guess{Protocol: Redis}, false
}

// redisLength reads a number of at most seven digits and the line's end.
func (c *cursor) redisLength() (n int, ok bool) {
	digits, ok := c.until('\r', 7, isDigit)
	if !ok || len(digits) == 0 || !c.literal("\n") {
		return 0, false
	}
	for _, d := range digits {
		n = n*10 + int(d-'0')
	}
	return n, true
}

// isVisible allows what stands in a request's target: some clients do not escape what is not ASCII.
func isVisible(b byte) bool { return b > ' ' && b != 0x7f }
