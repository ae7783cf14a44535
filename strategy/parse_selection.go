package strategy

import (
	"l4dump/internal/fault"
	"l4dump/internal/mask"
	"l4dump/internal/scan"
)

func (p reader) criteria(c *Criteria) scan.Value {
	return p.Object([]scan.Member{
		scan.Key("ports", p.ports(&c.Ports)),
		scan.Key("sources", p.prefixes(&c.Sources)),
		scan.Key("destinations", p.prefixes(&c.Destinations)),
		scan.Key("directions", p.texts(&c.Directions, `"inbound" or "outbound"`, isDirection)),
		scan.Key("sni", p.patterns(&c.SNI)),
		scan.Key("peers", p.patterns(&c.Peers)),
		scan.Key("first_bytes", p.texts(&c.FirstBytes, wantHex, unhex)),
	}, func(path string) {
		if c.empty() {
			p.Fault(path, "want at least one key: ports, sources, destinations, directions, sni, peers or first_bytes")
		}
	})
}

func (p reader) mask(c *mask.Config) scan.Value {
	return p.Object([]scan.Member{
		scan.Key("patterns", p.texts(&c.Patterns, "1 to "+itoa(mask.MaxPatternBytes)+" bytes of text", isMaskPattern)),
		scan.Key("hex_patterns", p.texts(&c.Patterns, wantHex, unhex)),
		scan.Key("http_headers", p.Bool(&c.HTTPHeaders)),
		scan.Key("card_numbers", p.Bool(&c.CardNumbers)),
		scan.Key("lengths_only", p.Bool(&c.LengthsOnly)),
	}, func(path string) {
		if n := len(c.Patterns); n > mask.MaxPatterns {
			p.Fault(fault.Join(path, "patterns"), "want at most "+itoa(mask.MaxPatterns)+" together with hex_patterns, got "+itoa(int64(n)))
		}
	})
}

func isMaskPattern(text string) (string, bool) {
	return text, text != "" && len(text) <= mask.MaxPatternBytes
}

func (p reader) patterns(to *[]string) scan.Value {
	return p.texts(to, "a text of 1 to "+itoa(MaxPatternBytes)+` bytes, with at most one "*", first or last`, isPattern)
}

func isDirection(text string) (string, bool) { return text, text == "inbound" || text == "outbound" }

func isPattern(text string) (string, bool) { return text, validPattern(text) }

func (p reader) ports(to *[]uint16) scan.Value {
	return p.list("a list of ports", func(path string) {
		port := int64(0)
		p.Integer(&port, 1, 1<<16-1, "")(path)
		*to = append(*to, uint16(port))
	})
}

func (p reader) prefixes(to *[]Prefix) scan.Value {
	const want = `an IP address or a block such as "10.0.0.0/8"`
	return p.list("a list, each of "+want, p.Text(want, func(text string) bool {
		prefix, ok := parsePrefix(text)
		*to = append(*to, prefix)
		return ok
	}))
}

// texts reads a list of strings, which parse accepts and turns into what they stand for.
func (p reader) texts(to *[]string, want string, parse func(text string) (string, bool)) scan.Value {
	return p.list("a list, each of "+want, p.Text(want, func(text string) bool {
		text, ok := parse(text)
		*to = append(*to, text)
		return ok
	}))
}

// list reads a list of 1 to MaxCriteria elements.
//
//go:noinline
func (p reader) list(want string, element scan.Value) scan.Value {
	return func(path string) {
		n := int64(0)
		p.List(want, func(path string) { n++; element(path) }, func(path string) {
			if n < 1 || n > MaxCriteria {
				p.Fault(path, "want 1 to "+itoa(MaxCriteria)+" elements, got "+itoa(n))
			}
		})(path)
	}
}

const wantHex = "1 to 64 bytes in hex digits" // up to MaxFirstBytes

// unhex returns the bytes that pairs of hex digits stand for.
func unhex(text string) (string, bool) {
	if text == "" || len(text)%2 != 0 || len(text) > 2*MaxFirstBytes {
		return "", false
	}
	b := make([]byte, len(text)/2)
	for i := range text {
		c := text[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return "", false
		}
		b[i/2] = b[i/2]<<4 | c
	}
	return string(b), true
}
