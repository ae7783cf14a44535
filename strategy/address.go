package strategy

import (
	"math"
	"strings"

	"l4dump/internal/scan"
)

// Address is an IP address: 16 bytes, an IPv4 address mapped to IPv6 (RFC 4291, section 2.5.5.2). Package net/netip is
// not for the plugin: it links package unique, and with it sync.
type Address [16]byte

// Prefix is a block of addresses.
type Prefix struct {
	Address Address
	Bits    int // of 128
}

// Contains reports whether the address is in the block.
func (p Prefix) Contains(a Address) bool {
	whole, rest := p.Bits/8, p.Bits%8
	if string(a[:whole]) != string(p.Address[:whole]) {
		return false
	}
	return rest == 0 || (a[whole]^p.Address[whole])>>(8-rest) == 0
}

const mappedBits = 96 // that stand before an IPv4 address

// parsePrefix reads an address, or a block in CIDR notation (RFC 4632, section 3.1). Bits after the prefix must be 0.
func parsePrefix(text string) (p Prefix, ok bool) {
	address, length, given := strings.Cut(text, "/")
	p.Address, ok = parseAddress(address)
	if !ok {
		return Prefix{}, false
	}
	p.Bits = 128
	if given {
		most, before := uint64(128), 0
		if !isIPv6(address) {
			most, before = 32, mappedBits
		}
		n, ok := scan.Uint(length, 10, most)
		if !ok || len(length) > 1 && length[0] == '0' {
			return Prefix{}, false
		}
		p.Bits = int(n) + before
	}
	for bit := p.Bits; bit < 128; bit++ {
		if p.Address[bit/8]>>(7-bit%8)&1 != 0 {
			return Prefix{}, false
		}
	}
	return p, true
}

func isIPv6(text string) bool { return strings.IndexByte(text, ':') >= 0 }

// parseAddress reads an IPv4 or IPv6 address (RFC 4291, section 2.2), without a zone.
func parseAddress(text string) (a Address, ok bool) {
	if !isIPv6(text) {
		a[10], a[11] = 0xff, 0xff
		return a, parseIPv4(a[12:], text)
	}
	head, tail, compressed := strings.Cut(text, "::")
	n, ok := parseGroups(a[:], head)
	if !ok || compressed && strings.IndexByte(head, '.') >= 0 { // an IPv4 address ends one
		return Address{}, false
	}
	if !compressed {
		return a, n == len(a)
	}
	var end Address
	m, ok := parseGroups(end[:], tail)
	if !ok || n+m > len(a)-2 { // "::" stands for one group or more
		return Address{}, false
	}
	copy(a[len(a)-m:], end[:m])
	return a, true
}

// parseGroups reads groups of an IPv6 address, the last of which may be an IPv4 address, and returns their bytes.
func parseGroups(to []byte, text string) (n int, ok bool) {
	if text == "" {
		return 0, true
	}
	for more := true; more; {
		var group string
		group, text, more = strings.Cut(text, ":")
		if !more && strings.IndexByte(group, '.') >= 0 {
			if len(to)-n < 4 || !parseIPv4(to[n:n+4], group) {
				return 0, false
			}
			return n + 4, true
		}
		value, ok := scan.Uint(group, 16, math.MaxUint16)
		if !ok || len(group) > 4 || len(to)-n < 2 {
			return 0, false
		}
		to[n], to[n+1] = byte(value>>8), byte(value)
		n += 2
	}
	return n, true
}

func parseIPv4(to []byte, text string) bool {
	for i := range 4 {
		var part string
		var more bool
		part, text, more = strings.Cut(text, ".")
		value, ok := scan.Uint(part, 10, math.MaxUint8)
		if !ok || more != (i < 3) || len(part) > 1 && part[0] == '0' { // some read a leading zero as octal
			return false
		}
		to[i] = byte(value)
	}
	return true
}

// ParseEndpoint reads "1.2.3.4:80" or "[::1]:80", as the proxy writes addresses. ok is false for others, as those of Unix
// sockets.
func ParseEndpoint(text string) (a Address, port uint16, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return Address{}, 0, false
	}
	host, digits := text[:i], text[i+1:]
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	} else if isIPv6(host) {
		return Address{}, 0, false
	}
	n, ok := scan.Uint(digits, 10, math.MaxUint16)
	if !ok {
		return Address{}, 0, false
	}
	a, ok = parseAddress(host)
	return a, uint16(n), ok
}
