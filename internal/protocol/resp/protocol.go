// Package resp cuts connections of Redis, and of what speaks its protocol, into messages: RESP2 and RESP3, as
// redis/redis-specifications describes them, and inline commands.
package resp

import (
	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// Protocol is RESP.
type Protocol struct{}

// Name implements protocol.Protocol.
func (Protocol) Name() string { return "redis" }

// Ports implements protocol.Protocol.
func (Protocol) Ports() []uint16 { return []uint16{6379, 6380, 26379} }

// NewFramer implements protocol.Protocol.
func (Protocol) NewFramer() protocol.Framer { return &framer{} }

// Match implements protocol.Protocol. An inline command proves nothing: memcached's text protocol has the like. Nor does
// an answer: POP3 says +OK too.
func (Protocol) Match(d capture.Direction, first []byte) protocol.Match {
	if len(first) == 0 {
		return protocol.Unsure
	}
	if d == capture.Upstream {
		if isType(first[0]) {
			return protocol.Unsure
		}
		return protocol.No
	}
	if first[0] != '*' {
		return matchInline(first)
	}
	for i, c := range first[1:] {
		switch {
		case c >= '0' && c <= '9' && i < 7:
		case c == '\r' && i > 0:
			const rest = "\r\n$"
			n := min(len(first)-1-i, len(rest))
			switch {
			case string(first[1+i:1+i+n]) != rest[:n]:
				return protocol.No
			case n < len(rest):
				return protocol.Unsure
			}
			return protocol.Yes
		default:
			return protocol.No
		}
	}
	return protocol.Unsure
}

// matchInline allows a line of printable characters that begins with a letter.
func matchInline(first []byte) protocol.Match {
	if c := first[0] | 0x20; c < 'a' || c > 'z' {
		return protocol.No
	}
	for _, c := range first {
		switch {
		case c == '\n':
			return protocol.Unsure
		case c < ' ' && c != '\r' && c != '\t', c >= 0x7f:
			return protocol.No
		}
	}
	return protocol.Unsure
}

func isType(c byte) bool {
	switch c {
	case '+', '-', ':', '$', '*', '_', '#', ',', '(', '!', '=', '%', '~', '>', '|':
		return true
	}
	return false
}
