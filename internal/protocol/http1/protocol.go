// Package http1 cuts connections of HTTP/1.0 and HTTP/1.1 (RFC 9112) into messages.
//
// It is strict: if two implementations could disagree about where a message ends, it returns an error instead of
// deciding for one of them.
package http1

import (
	"bytes"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// Protocol is HTTP/1.
type Protocol struct{}

// Name implements protocol.Protocol.
func (Protocol) Name() string { return "http1" }

// Ports implements protocol.Protocol.
func (Protocol) Ports() []uint16 { return []uint16{80, 8000, 8008, 8080, 8081, 8888, 3000, 5000} }

// NewFramer implements protocol.Protocol.
func (Protocol) NewFramer() protocol.Framer { return &framer{} }

// methods are those that prove a request before its line has come to an end.
var methods = []string{"GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "REPORT"}

// Match implements protocol.Protocol.
func (Protocol) Match(d capture.Direction, first []byte) protocol.Match {
	if d == capture.Upstream {
		return prefix(first, "HTTP/1.")
	}
	first = bytes.TrimPrefix(first, []byte("\r\n"))
	if line, _, ok := bytes.Cut(first, []byte("\n")); ok {
		if _, _, fault := requestLine(bytes.TrimSuffix(line, []byte("\r"))); fault != "" {
			return protocol.No
		}
		return protocol.Yes
	}
	method, target, ok := bytes.Cut(first, []byte(" "))
	if !ok && (len(first) == 0 || string(first) == "\r") {
		return protocol.Unsure
	}
	if len(target) > 0 && (target[0] == '/' || target[0] == 'h' || target[0] == '*') {
		for _, known := range methods {
			if string(method) == known {
				return protocol.Yes
			}
		}
	}
	if !isToken(method) || len(method) > maxMethod {
		return protocol.No
	}
	return protocol.Unsure
}

// maxMethod bounds the length of a method in bytes.
const maxMethod = 32

func prefix(first []byte, want string) protocol.Match {
	n := min(len(first), len(want))
	switch {
	case string(first[:n]) != want[:n]:
		return protocol.No
	case n < len(want):
		return protocol.Unsure
	}
	return protocol.Yes
}
