package mask

// The length of a payment card number in digits (ISO/IEC 7812).
const (
	minCardDigits = 13
	maxCardDigits = 19
)

// maxRunDigits is how many digits of one run are looked at. A longer run is masked from there on: it may hold a number
// still.
const maxRunDigits = 64

// cardState is the run of digits in which the reads of a stream so far have ended. A run is digits with at most one
// space or hyphen between two.
type cardState struct {
	digits    [maxRunDigits]byte // their values
	count     int                // of them
	groups    uint64             // a bit for each digit that begins a group
	separated bool               // the last byte was a space or a hyphen
	overflown bool               // there were more than maxRunDigits
}

// scan appends the runs in read, the next bytes of the stream, that hold a card number, and the run that it ends in,
// which may become one.
func (c *cardState) scan(ranges []span, read []byte) []span {
	start := 0 // where the run begins in this read
	for i, b := range read {
		switch {
		case '0' <= b && b <= '9':
			if c.count == 0 {
				start = i
			}
			c.add(b - '0')
		case c.count > 0 && !c.separated && (b == ' ' || b == '-'):
			c.separated = true
		case c.count > 0:
			if c.holdsCard() {
				ranges = append(ranges, span{start, c.end(i)})
			}
			*c = cardState{}
		}
	}
	if c.count > 0 && start < len(read) {
		ranges = append(ranges, span{start, len(read)})
	}
	return ranges
}

// end returns where a run ends that was followed by a byte at i: not with a separator.
func (c *cardState) end(i int) int {
	if c.separated && i > 0 {
		return i - 1
	}
	return i
}

func (c *cardState) add(digit byte) {
	if c.count == maxRunDigits {
		c.overflown, c.separated = true, false
		return
	}
	if c.count == 0 || c.separated {
		c.groups |= 1 << c.count
	}
	c.digits[c.count] = digit
	c.count++
	c.separated = false
}

// holdsCard reports whether some whole groups of the run are a card number.
func (c *cardState) holdsCard() bool {
	if c.overflown {
		return true
	}
	for first := 0; first < c.count; first++ {
		if c.groups>>first&1 == 0 {
			continue
		}
		for next := first + minCardDigits; next <= min(first+maxCardDigits, c.count); next++ {
			if (next == c.count || c.groups>>next&1 == 1) && luhn(c.digits[first:next]) {
				return true
			}
		}
	}
	return false
}

// luhn reports whether the last digit checks those before it (ISO/IEC 7812-1, annex B).
func luhn(digits []byte) bool {
	sum := 0
	for i, d := range digits {
		n := int(d)
		if (len(digits)-i)%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}
