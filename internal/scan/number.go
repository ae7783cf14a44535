package scan

import (
	"math"
	"math/bits"
)

// Uint reads digits of base 10 or 16, at least one, of a number up to most. Package strconv would do it, and its errors
// would be 2 % of the plugin: their texts quote what they are about.
func Uint(text string, base, most uint64) (n uint64, ok bool) {
	for _, c := range []byte(text) {
		digit := base
		switch {
		case '0' <= c && c <= '9':
			digit = uint64(c - '0')
		case 'a' <= c && c <= 'f':
			digit = uint64(c-'a') + 10
		case 'A' <= c && c <= 'F':
			digit = uint64(c-'A') + 10
		}
		if digit >= base || digit > most || n > (most-digit)/base {
			return 0, false
		}
		n = n*base + digit
	}
	return n, text != ""
}

// decimal is a JSON number: the digits, of which the first and the last are no zeros, times a power of ten.
type decimal struct {
	negative bool
	digits   []byte // none is 0
	exponent int64
}

// farExponent is beyond the length of every document, and so beyond each number that is read.
const farExponent = 1 << 32

func decimalOf(number string) (d decimal) {
	fraction := false
	for i := range len(number) {
		switch c := number[i]; c {
		case '-':
			d.negative = true
		case '.':
			fraction = true
		case 'e', 'E':
			d.exponent += exponentOf(number[i+1:])
			return d.trimmed()
		default:
			if fraction {
				d.exponent--
			}
			if c != '0' || len(d.digits) > 0 {
				d.digits = append(d.digits, c)
			}
		}
	}
	return d.trimmed()
}

func exponentOf(text string) int64 {
	sign := int64(1)
	switch text[0] {
	case '-':
		sign = -1
		fallthrough
	case '+':
		text = text[1:]
	}
	n, ok := Uint(text, 10, farExponent)
	if !ok {
		n = farExponent
	}
	return sign * int64(n)
}

func (d decimal) trimmed() decimal {
	for n := len(d.digits); n > 0 && d.digits[n-1] == '0'; n-- {
		d.digits = d.digits[:n-1]
		d.exponent++
	}
	return d
}

// whole returns the number, exactly. ok is false if it has a fraction or exceeds 64 bits.
func (d decimal) whole() (_ int64, ok bool) {
	const most = len("9223372036854775808")
	if len(d.digits) == 0 {
		return 0, true
	}
	if d.exponent < 0 || d.exponent > int64(most) {
		return 0, false
	}
	digits := d.digits
	for range d.exponent {
		digits = append(digits, '0')
	}
	limit := uint64(math.MaxInt64)
	if d.negative {
		limit++
	}
	n, ok := Uint(string(digits), 10, limit)
	if d.negative {
		n = -n
	}
	return int64(n), ok
}

// float returns the number, rounded as strconv.ParseFloat does. Digits after the 19th do not count. With a power of ten
// above 27 or below -27, what is as good as between two numbers may be rounded to the other. ok is false if it is too large.
func (d decimal) float() (_ float64, ok bool) {
	const (
		mostDigits = 19  // of a number of 64 bits
		far        = 400 // powers of ten, beyond every number
		mostFives  = 27  // powers of five of a number of 64 bits
	)
	m, binary := uint64(0), 0 // the number is m times a power of five, and binary powers of two
	for i, c := range d.digits {
		if i == mostDigits {
			d.exponent += int64(len(d.digits) - i)
			break
		}
		m = m*10 + uint64(c-'0')
	}
	exponent := int(min(max(d.exponent, -far), far))
	if m == 0 {
		exponent = 0
	}
	binary = exponent
	for exponent != 0 {
		// Both factors have 64 bits, the first of them set; the last one of the result stands for all that do not fit.
		count := min(max(exponent, -exponent), mostFives)
		fives := uint64(1)
		for range count {
			fives *= 5
		}
		zeros := bits.LeadingZeros64(fives)
		fives <<= zeros
		binary -= bits.LeadingZeros64(m)
		m <<= bits.LeadingZeros64(m)
		var rest uint64
		if exponent < 0 {
			m, rest = bits.Div64(m>>1, m<<63, fives)
			binary += zeros - 63
			exponent += count
		} else {
			m, rest = bits.Mul64(m, fives)
			binary += 64 - zeros
			exponent -= count
		}
		if rest != 0 {
			m |= 1
		}
	}
	n := math.Ldexp(float64(m), binary)
	if d.negative {
		n = -n
	}
	return n, !math.IsInf(n, 0)
}
