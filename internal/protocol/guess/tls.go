package guess

import "strconv"

// The parts of TLS's handshake that are read (RFC 8446, sections 4 and 5.1).
const (
	recordHandshake         = 22
	messageClientHello      = 1
	messageServerHello      = 2
	extensionServerName     = 0
	extensionVersions       = 43
	serverNameHost          = 0
	maxPlaintext            = 1 << 14
	randomBytes             = 32
	versionTLS13            = 0x0304
	minHelloBytes           = 4 + 2 + randomBytes + 1 + 2 + 1
	maxHelloBytes           = 1 << 16
	recordMajor, lastRecord = 3, 4
)

// clientHello is a record of type handshake that begins with a ClientHello:
//
//	16 03 01 02 00   record: handshake, a version of 3.0 to 3.4, length
//	01 00 01 fc      message: ClientHello, length
//	03 03 …          version, random, session, cipher suites, compression, extensions
func clientHello(b []byte) (Guess, bool) {
	message, g, more := handshake(b, messageClientHello)
	if g.Protocol == "" {
		return g, more
	}
	c := cursor{b: message}
	version := c.number(2)
	c.bytes(randomBytes)
	c.bytes(c.number(1)) // session
	c.bytes(c.number(2)) // cipher suites
	c.bytes(c.number(1)) // compression
	c.extensions(func(kind int, data cursor) {
		switch kind {
		case extensionServerName:
			data.number(2)
			if data.number(1) == serverNameHost {
				g.SNI = hostName(data.bytes(data.number(2)))
			}
		case extensionVersions:
			data.number(1)
			for len(data.b) > 1 {
				if v := data.number(2); v <= versionTLS13 { // others are GREASE (RFC 8701) or drafts
					version = max(version, v)
				}
			}
		}
	})
	if !more {
		g.Offered = tlsVersion(version)
	}
	return g, more
}

// serverHello is the same with a ServerHello, whose message is
//
//	02 00 00 76      ServerHello, length
//	03 03 …          version, random, session, cipher suite, compression, extensions
func serverHello(b []byte) (Guess, bool) {
	message, g, more := handshake(b, messageServerHello)
	if g.Protocol == "" {
		return g, more
	}
	c := cursor{b: message}
	version := c.number(2)
	c.bytes(randomBytes)
	c.bytes(c.number(1)) // session
	c.bytes(3)           // cipher suite and compression
	if c.short {
		return g, more
	}
	c.extensions(func(kind int, data cursor) {
		if kind == extensionVersions {
			version = data.number(2)
		}
	})
	if !more {
		g.Version = tlsVersion(version)
	}
	return g, more
}

// handshake returns the body of the handshake message that b begins with, as far as it is there, out of as many records
// as it takes. The guess is TLS if b begins such a message.
func handshake(b []byte, kind int) (body []byte, g Guess, more bool) {
	c := cursor{b: b}
	var message []byte
	for {
		if c.number(1) != recordHandshake || c.number(1) != recordMajor || c.number(1) > lastRecord {
			if g.Protocol != "" { // something else stands within the message
				return nil, g, c.short
			}
			g, more = c.mismatch()
			return nil, g, more
		}
		length := c.number(2)
		if length == 0 || length > maxPlaintext {
			return nil, g, c.short
		}
		part := c.b[:min(length, len(c.b))]
		whole := len(part) == length
		c.b = c.b[len(part):]
		if message == nil {
			message = part
		} else {
			message = append(message[:len(message):len(message)], part...)
		}
		m := cursor{b: message}
		if m.number(1) != kind {
			return nil, g, m.short && !whole
		}
		size := m.number(3)
		switch {
		case m.short && whole: // a record that ends within the first four bytes of a message: nobody sends that
			return nil, g, false
		case m.short:
			return nil, g, true
		case size+4 < minHelloBytes || size > maxHelloBytes:
			return nil, g, false
		}
		g = Guess{Protocol: TLS, Encrypted: true}
		if len(m.b) >= size {
			return m.b[:size], g, false
		}
		if !whole {
			return m.b, g, true
		}
	}
}

// extensions calls each with every extension that is all there.
func (c *cursor) extensions(each func(kind int, data cursor)) {
	c.number(2)
	for len(c.b) > 0 {
		kind := c.number(2)
		data := c.bytes(c.number(2))
		if c.short {
			return
		}
		each(kind, cursor{b: data})
	}
}

// hostName returns a server name, with '?' for every byte that is none of a name.
func hostName(b []byte) string {
	name := make([]byte, len(b))
	for i, c := range b {
		if name[i] = c; c <= ' ' || c >= 0x7f {
			name[i] = '?'
		}
	}
	return string(name)
}

func tlsVersion(v int) string {
	if v == 0x0300 {
		return "SSL 3.0"
	}
	if v >= 0x0301 && v <= versionTLS13 {
		return "1." + strconv.Itoa(v-0x0301)
	}
	return ""
}
