package strategy

import (
	"l4dump/internal/scan"
)

func (p reader) criteria(c *Criteria) scan.Value {
	return p.Object([]scan.Member{
		scan.Key("ports", p.ports(&c.Ports)),
		scan.Key("sources", p.prefixes(&c.Sources)),
		scan.Key("destinations", p.prefixes(&c.Destinations)),
		scan.Key("directions", texts(p, &c.Directions, `"inbound" or "outbound"`, func(text string) (string, bool) {
			return text, text == "inbound" || text == "outbound"
		})),
		scan.Key("sni", p.patterns(&c.SNI)),
		scan.Key("peers", p.patterns(&c.Peers)),
		scan.Key("first_bytes", texts(p, &c.FirstBytes, "1 to "+itoa(MaxFirstBytes)+" bytes in hex digits", unhex)),
	}, func(path string) {
		if c.empty() {
			p.Fault(path, "want at least one key: ports, sources, destinations, directions, sni, peers or first_bytes")
		}
	})
}

func (p reader) ports(to *[]uint16) scan.Value {
	return p.list(`a list of ports`, func(path string) {
		port := int64(0)
		p.Integer(&port, 1, 1<<16-1, "")(path)
		*to = append(*to, uint16(port))
	}, func() int { return len(*to) })
}

func (p reader) prefixes(to *[]Prefix) scan.Value {
	return texts(p, to, `an IP address or a block such as "10.0.0.0/8"`, parsePrefix)
}

func (p reader) patterns(to *[]Pattern) scan.Value {
	return texts(p, to, `a text of 1 to `+itoa(MaxPatternBytes)+` bytes, with at most one "*", first or last`,
		func(text string) (Pattern, bool) { return Pattern(text), Pattern(text).valid() })
}

// texts reads a list of strings, each of which parse accepts.
func texts[T any](p reader, to *[]T, want string, parse func(text string) (T, bool)) scan.Value {
	return p.list("a list, each of "+want, func(path string) {
		p.Text(want, func(text string) bool {
			value, ok := parse(text)
			*to = append(*to, value)
			return ok
		})(path)
	}, func() int { return len(*to) })
}

// list reads a list of 1 to MaxCriteria elements.
func (p reader) list(want string, element scan.Value, length func() int) scan.Value {
	return p.List(want, element, func(path string) {
		if n := length(); n < 1 || n > MaxCriteria {
			p.Fault(path, "want 1 to "+itoa(MaxCriteria)+" elements, got "+itoa(int64(n)))
		}
	})
}

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
