package guess

import "strconv"

// mysqlGreeting is the server's first packet:
//
//	4a 00 00   length, lowest byte first
//	00         sequence number
//	0a         version of the protocol
//	"8.0.36\0" version of the server
//	…          connection, 4 bytes; authentication, 8 bytes; 00
func mysqlGreeting(b []byte) (Guess, bool) {
	const minLength, maxLength, maxVersion, connection, authentication = 32, 512, 64, 4, 8
	c := cursor{b: b}
	header := c.little() // of which the last byte is the sequence number
	if c.short || header < minLength || header > maxLength || c.number(1) != 10 {
		return c.mismatch()
	}
	version, ok := c.until(0, maxVersion, isPrintable)
	if !ok || len(version) == 0 || !isDigit(version[0]) {
		return c.mismatch()
	}
	c.bytes(connection + authentication)
	if filler := c.number(1); c.short || filler != 0 {
		return c.mismatch()
	}
	return Guess{Protocol: MySQL, Version: string(version)}, false
}

// mysqlResponse is the client's first packet:
//
//	20 00 00      length
//	01            sequence number
//	05 ae ff 01   capabilities, with that of protocol 4.1
//	00 00 00 40   most bytes of a packet
//	21            character set
//	19 × 00       reserved; four more bytes, which MariaDB uses
//	…             the user's name; nothing, if the client asks for TLS
func mysqlResponse(b []byte) (Guess, bool) {
	const fixed, maxLength, protocol41, reserved = 32, 1 << 16, 0x200, 19
	c := cursor{b: b}
	length := c.bytes(3)
	if length == nil || c.number(1) != 1 {
		return c.mismatch()
	}
	size := int(length[0]) | int(length[1])<<8 | int(length[2])<<16
	if size < fixed || size > maxLength {
		return Guess{}, false
	}
	if capabilities := c.little(); capabilities&protocol41 == 0 {
		return c.mismatch()
	}
	c.little()
	c.number(1)
	for _, b := range c.bytes(reserved) {
		if b != 0 {
			return Guess{}, false
		}
	}
	if c.short {
		return Guess{}, true
	}
	return Guess{Protocol: MySQL, Encrypted: size == fixed}, false
}

// postgresStartup is a startup packet, or a request for encryption or for the end of a query, which have fixed lengths:
//
//	00 00 00 2a   length        00 00 00 08   length
//	00 03 00 00   version 3.0   04 d2 16 2f   for TLS; 30: for GSSAPI; 2e, length 16: the end of a query
//	"user\0…"     parameters
func postgresStartup(b []byte) (Guess, bool) {
	const minLength, maxLength, maxName = 8, 10_000, 64
	const cancelRequest, tlsRequest, gssRequest = 80877102, 80877103, 80877104
	c := cursor{b: b}
	length := c.number(4)
	if c.short || length < minLength || length > maxLength {
		return c.mismatch()
	}
	switch version := c.number(4); {
	case c.short:
		return Guess{}, true
	case version == tlsRequest && length == 8, version == gssRequest && length == 8:
		return Guess{Protocol: PostgreSQL, Encrypted: true}, false
	case version == cancelRequest && length == 16:
		return Guess{Protocol: PostgreSQL}, false
	case version>>16 != 3 || version&0xffff > 2:
		return Guess{}, false
	default:
		name, ok := c.until(0, maxName, func(b byte) bool { return isLetter(b) || b == '_' || b == '.' })
		if !ok || len(name) == 0 {
			return c.mismatch()
		}
		return Guess{Protocol: PostgreSQL, Version: "3." + strconv.Itoa(version&0xffff)}, false
	}
}

// mqttConnect is a CONNECT packet:
//
//	10 1a            type, length of the rest
//	00 04 "MQTT" 05  name and version of the protocol
func mqttConnect(b []byte) (Guess, bool) {
	c := cursor{b: b}
	if c.number(1) != 0x10 {
		return c.mismatch()
	}
	for i := 0; ; i++ {
		if more := c.number(1); more < 0x80 {
			break
		}
		if i == 3 {
			return Guess{}, false
		}
	}
	version := ""
	switch name := c.bytes(c.number(2)); string(name) {
	case "MQTT":
		version = map[int]string{4: "3.1.1", 5: "5.0"}[c.number(1)]
	case "MQIsdp":
		version = map[int]string{3: "3.1"}[c.number(1)]
	}
	if version == "" {
		return c.mismatch()
	}
	return Guess{Protocol: MQTT, Version: version}, false
}

// amqpVersions are the last four bytes of an AMQP header.
var amqpVersions = map[string]string{
	"\x00\x00\x09\x01": "0-9-1", "\x01\x01\x00\x09": "0-9", "\x01\x01\x08\x00": "0-8", "\x01\x01\x00\x0a": "0-10",
	"\x00\x01\x00\x00": "1.0", "\x02\x01\x00\x00": amqpTLS, "\x03\x01\x00\x00": "1.0",
}

const amqpTLS = "1.0 over TLS"

// amqpHeader is what a client of AMQP sends first: "AMQP" and a version.
func amqpHeader(b []byte) (Guess, bool) {
	c := cursor{b: b}
	if !c.literal("AMQP") {
		return c.mismatch()
	}
	version := amqpVersions[string(c.bytes(4))]
	if version == "" {
		return c.mismatch()
	}
	if version == amqpTLS {
		return Guess{Protocol: AMQP, Version: "1.0", Encrypted: true}, false
	}
	return Guess{Protocol: AMQP, Version: version}, false
}

// mongoRequest is a request, all numbers with the lowest byte first:
//
//	3f 01 00 00   length
//	01 00 00 00   number of the request
//	00 00 00 00   of the one that is answered: none
//	dd 07 00 00   OP_MSG
//	00 00 00 00   flags
//	00            kind of the section: a document
func mongoRequest(b []byte) (Guess, bool) {
	const opQuery, opCompressed, opMsg = 2004, 2012, 2013
	const minLength, maxLength, minDocument, maxName = 21, 48_000_000, 5, 128
	c := cursor{b: b}
	length := c.little()
	if c.short || length < minLength || length > maxLength {
		return c.mismatch()
	}
	c.little()
	if answers := c.little(); answers != 0 {
		return c.mismatch()
	}
	switch code := c.little(); {
	case c.short:
		return Guess{}, true
	case code == opMsg:
		const known = 0x0001_0003
		if flags := c.little(); flags&^known != 0 || c.number(1) != 0 {
			return c.mismatch()
		}
	case code == opCompressed:
		if inner := c.little(); inner != opMsg && inner != opQuery {
			return c.mismatch()
		}
	case code == opQuery:
		c.little() // flags
		name, ok := c.until(0, maxName, isVisible)
		if !ok || len(name) < len("a.$cmd") {
			return c.mismatch()
		}
		c.little() // skip
		c.little() // return
	default:
		return Guess{}, false
	}
	if code := b[12:16]; code[0] != opCompressed&0xff {
		if document := c.little(); document < minDocument || document > length {
			return c.mismatch()
		}
	}
	if c.short {
		return Guess{}, true
	}
	return Guess{Protocol: MongoDB}, false
}

// kafkaRequest is a request:
//
//	00 00 00 2f   length of the rest
//	00 12 00 03   what is asked for (18: ApiVersions), and in which version
//	00 00 00 01   number of the request
//	00 07 "rdkafka"  the client's name; ff ff: none
//
// Without a name, it must be one of those that a client begins with.
func kafkaRequest(b []byte) (Guess, bool) {
	const minLength, maxLength, lastKey, lastVersion, maxName, none = 10, 100 << 20, 100, 20, 256, 0xffff
	const metadata, saslHandshake, apiVersions = 3, 17, 18
	c := cursor{b: b}
	length := c.number(4)
	if c.short || length < minLength || length > maxLength {
		return c.mismatch()
	}
	key, version := c.number(2), c.number(2)
	if c.short || key > lastKey || version > lastVersion {
		return c.mismatch()
	}
	if c.number(4) > 1<<31-1 {
		return Guess{}, false
	}
	size := c.number(2)
	switch {
	case c.short:
		return Guess{}, true
	case size == 0 || size == none:
		first := key == apiVersions && version <= 4 || key == metadata && version <= 13 || key == saslHandshake && version <= 1
		if !first {
			return Guess{}, false
		}
		return Guess{Protocol: Kafka}, false
	case size > maxName || size+minLength > length:
		return Guess{}, false
	}
	for range size {
		if b := byte(c.number(1)); c.short || !isPrintable(b) {
			return c.mismatch()
		}
	}
	return Guess{Protocol: Kafka}, false
}
