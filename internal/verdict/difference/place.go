package difference

import (
	"strconv"
	"strings"
)

// place is where a value stands in a message: its general path, the path with indices, and with all keys too.
type place struct{ path, at, exact string }

// part is the place of a field of a message.
func part(name string) place { return place{name, name, name} }

// difference returns one of a kind at the place.
func (p place) difference(kind Kind) Difference {
	d := Difference{Kind: kind}
	p.set(&d)
	return d
}

// set says where a difference is.
func (p place) set(d *Difference) {
	d.Path, d.At = p.path, p.at
	if p.exact != p.at {
		d.Exact = p.exact
	}
}

// inside is the place to which keys and indices are added: the first time "$", for the value itself, is needed.
func (p place) inside() place {
	if strings.Contains(p.path, ":$") {
		return p
	}
	return p.step(":$", ":$", ":$")
}

func (p place) step(path, at, exact string) place {
	return place{p.path + path, p.at + at, p.exact + exact}
}

// item is the place of a list's item.
func (p place) item(index int) place {
	i := "[" + strconv.Itoa(index) + "]"
	return p.inside().step("[*]", i, i)
}

// member is the place of a map's value.
func (p place) member(key string) place {
	exact := "." + key
	if !plain(key) {
		exact = "[" + strconv.Quote(key) + "]"
	}
	general := exact
	if !isName(key) {
		general = anyKey
	}
	return p.inside().step(general, general, exact)
}

// anyKey stands for a key that is no name.
const anyKey = ".{}"

// isName says whether a key is a word that a programmer chose. Any other may be a value, as a user's number or address: it
// would tell what is recorded, and make a place of each value.
func isName(key string) bool {
	if key != "" && (key[0] == '@' || key[0] == '$') {
		key = key[1:]
	}
	if !plain(key) || len(key) > maxName {
		return false
	}
	digits, row, hex := 0, 0, 0
	for i := range len(key) {
		switch c := key[i]; {
		case '0' <= c && c <= '9':
			digits++
			hex++
			if row++; row > maxDigits {
				return false
			}
		case 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' || c == '-':
			row = 0
			hex++
		default:
			row = 0
		}
	}
	return digits == 0 || 2*digits <= len(key) && (hex < len(key) || hex < minHex)
}

// The bounds of a name: its length, the digits in a row, and how long one is that could be hexadecimal.
const (
	maxName   = 40
	maxDigits = 3
	minHex    = 8
)

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
