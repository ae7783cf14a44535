package protocol

// Interner keeps the strings that come again, up to a number of them. The zero value is ready. It is not for concurrent
// use.
type Interner struct{ known map[string]string }

// maxInterned bounds Interner in strings.
const maxInterned = 64

// Intern returns b as a string, and the same one each time as long as it is among the first that came. Allocation-free
// for these.
func (i *Interner) Intern(b []byte) string {
	if s, ok := i.known[string(b)]; ok {
		return s
	}
	s := string(b)
	if i.known == nil {
		i.known = map[string]string{}
	}
	if len(i.known) < maxInterned {
		i.known[s] = s
	}
	return s
}
