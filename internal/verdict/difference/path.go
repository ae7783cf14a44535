package difference

import (
	"strconv"
	"strings"
)

// place is where a value stands in a message: its general path and its exact one.
type place struct{ path, at string }

// part is the place of a field of a message.
func part(name string) place { return place{name, name} }

// inside is the place to which keys and indices are added: the first time "$", for the value itself, is needed.
func (p place) inside() place {
	if strings.Contains(p.path, ":$") {
		return p
	}
	return place{p.path + ":$", p.at + ":$"}
}

// item is the place of a list's item.
func (p place) item(index int) place {
	p = p.inside()
	return place{p.path + "[*]", p.at + "[" + strconv.Itoa(index) + "]"}
}

// member is the place of a map's value.
func (p place) member(key string) place {
	p = p.inside()
	step := "." + key
	if !plain(key) {
		step = "[" + strconv.Quote(key) + "]"
	}
	return place{p.path + step, p.at + step}
}

// plain reports whether key is one that needs no quotes in a path.
func plain(key string) bool {
	for i := range len(key) {
		c := key[i]
		switch {
		case c == '_' || c == '-' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return key != "" && len(key) <= maxPlainKey
}

// maxPlainKey bounds a key without quotes, in bytes.
const maxPlainKey = 64
