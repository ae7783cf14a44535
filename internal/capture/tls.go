package capture

// tlsHeadBytes of a stream tell whether it begins with a TLS handshake.
const tlsHeadBytes = 6

// isTLS reports whether the first bytes of a direction begin a TLS handshake:
//
//	16          record of type handshake
//	03 01       SSL 3.0 (03 00) to TLS 1.3, which says 03 03 or less here
//	02 00       length of the record
//	01          handshake of type ClientHello, from the server 02: ServerHello
func isTLS(d Direction, head *[tlsHeadBytes]byte) bool {
	length := int(head[3])<<8 | int(head[4])
	return head[0] == 0x16 && head[1] == 3 && head[2] <= 4 && 4 <= length && length <= 1<<14 && head[5] == 1+byte(d)
}

// sniff looks at the first bytes of a direction.
func (c *conn) sniff(e *entry) {
	s := &c.streams[e.Direction]
	if s.heads == tlsHeadBytes || e.Offset != uint64(s.heads) {
		return
	}
	s.heads += copy(s.head[s.heads:], e.Payload)
	if s.heads == tlsHeadBytes && isTLS(e.Direction, &s.head) {
		c.tls = true
	}
}

// BeginsTLS reports whether bytes that a peer sent begin a TLS handshake.
func BeginsTLS(d Direction, bytes []byte) bool {
	return len(bytes) >= tlsHeadBytes && isTLS(d, (*[tlsHeadBytes]byte)(bytes))
}
