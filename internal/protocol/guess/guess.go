// Package guess tells which protocol a connection speaks from its first bytes. It is a guess: each signature is long
// enough that other traffic is unlikely to bear it, and nothing is guessed from fewer bytes than that.
package guess

// Protocol is what a connection speaks, as a word for programs.
type Protocol string

// The protocols.
const (
	Unknown    Protocol = "unknown"
	TLS        Protocol = "tls"
	HTTP1      Protocol = "http1"
	HTTP2      Protocol = "http2"
	Redis      Protocol = "redis"
	MySQL      Protocol = "mysql"
	PostgreSQL Protocol = "postgresql"
	MQTT       Protocol = "mqtt"
	Kafka      Protocol = "kafka"
	MongoDB    Protocol = "mongodb"
	AMQP       Protocol = "amqp"
)

var names = map[Protocol]string{
	Unknown: "unknown", TLS: "TLS", HTTP1: "HTTP/1", HTTP2: "HTTP/2", Redis: "Redis", MySQL: "MySQL",
	PostgreSQL: "PostgreSQL", MQTT: "MQTT", Kafka: "Kafka", MongoDB: "MongoDB", AMQP: "AMQP",
}

// Name returns the protocol's name for a person.
func (p Protocol) Name() string { return names[p] }

// Guess is what the first bytes say.
type Guess struct {
	Protocol Protocol
	// Version is the protocol's, or of MySQL the server's, as the bytes name it; of TLS, what the server chose. Empty if
	// the bytes do not tell.
	Version string
	Offered string // of TLS: the highest version that the client offers
	SNI     string // of TLS: the server name that the client asks for, of printable ASCII
	// Encrypted means that what follows is ciphertext, or that the client asks for that within another protocol.
	Encrypted bool
}

// MaxBytes is how many bytes of a direction Of looks at.
const MaxBytes = 4096

// Of guesses from the first bytes of both directions, of which either may be empty. The protocol is Unknown if they bear
// no signature. more says that further bytes of a direction may tell more. Of is pure, and allocates only for texts.
func Of(downstream, upstream []byte) (g Guess, more bool) {
	client, clientMore := match(clientSignatures[:], downstream)
	server, serverMore := match(serverSignatures[:], upstream)
	g = client
	switch client.Protocol {
	case Unknown:
		g = server
	case server.Protocol:
		g.Version = server.Version
		g.Encrypted = client.Encrypted || server.Encrypted
	}
	switch g.Protocol {
	case Unknown, TLS, MySQL: // to which the other direction adds something
		return g, clientMore || serverMore
	}
	return g, clientMore
}

// A signature looks at the first bytes of a direction. It returns a guess with a protocol, or the zero value. more says
// that further bytes may tell more.
type signature func(b []byte) (g Guess, more bool)

var (
	clientSignatures = [...]signature{
		clientHello, http1Request, http2Preface, redisCommand, mysqlResponse, postgresStartup, mqttConnect, amqpHeader,
		mongoRequest, kafkaRequest,
	}
	serverSignatures = [...]signature{serverHello, http1Response, mysqlGreeting}
)

// match returns what the first signature says that matches, else whether one may with further bytes.
func match(signatures []signature, b []byte) (g Guess, more bool) {
	full := len(b) >= MaxBytes
	b = b[:min(len(b), MaxBytes)]
	for _, s := range signatures {
		found, may := s(b)
		if found.Protocol != "" {
			return found, may && !full
		}
		more = more || may
	}
	return Guess{Protocol: Unknown}, more && !full
}

// cursor reads fields from the first bytes of a direction. A field that is not all there reads as zero, and so do all
// after it.
type cursor struct {
	b     []byte
	short bool // a field was not all there
}

// bytes returns the next n bytes, or nil.
func (c *cursor) bytes(n int) []byte {
	if c.short || n < 0 || len(c.b) < n {
		c.short, c.b = true, nil
		return nil
	}
	field := c.b[:n]
	c.b = c.b[n:]
	return field
}

// number returns the next n bytes as a number in network byte order.
func (c *cursor) number(n int) int {
	value := 0
	for _, b := range c.bytes(n) {
		value = value<<8 | int(b)
	}
	return value
}

// little returns the next four bytes as a number with the lowest byte first.
func (c *cursor) little() uint32 {
	b := c.bytes(4)
	if b == nil {
		return 0
	}
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// until returns the bytes before the next stop, and passes over it. Before that, all bytes must be allowed and at most
// most; ok is false if they are not, or if stop is still to come.
func (c *cursor) until(stop byte, most int, allowed func(byte) bool) (text []byte, ok bool) {
	for i, b := range c.b {
		switch {
		case b == stop:
			text, c.b = c.b[:i], c.b[i+1:]
			return text, !c.short
		case i == most || !allowed(b):
			return nil, false
		}
	}
	c.short, c.b = true, nil
	return nil, false
}

// literal passes over text, and reports whether it stands there. If a part of it does and the rest is still to come, c is
// short.
func (c *cursor) literal(text string) bool {
	n := min(len(text), len(c.b))
	if c.short || string(c.b[:n]) != text[:n] {
		return false
	}
	c.b = c.b[n:]
	if n < len(text) {
		c.short = true
		return false
	}
	return true
}

// mismatch is what a signature returns if a field is not what it wants: if the field is not all there, it may still be.
func (c *cursor) mismatch() (Guess, bool) { return Guess{}, c.short }

func isPrintable(b byte) bool { return ' ' <= b && b < 0x7f }

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// String returns the protocol with its version for a person.
func (g *Guess) String() string {
	text := g.Protocol.Name()
	switch {
	case g.Protocol == HTTP1 && g.Version != "":
		return "HTTP/" + g.Version
	case g.Protocol == HTTP2 || g.Protocol == Unknown:
		return text
	case g.Version != "":
		text += " " + g.Version
	case g.Offered != "":
		text += ", " + g.Offered + " offered"
	}
	if g.Encrypted && g.Protocol != TLS {
		text += ", encrypted"
	}
	return text
}
