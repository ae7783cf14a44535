package record

import "unsafe"

// load32 and store64 are little-endian, as every platform that the project builds for. encoding/binary would link
// reflect into the plugin, and Go does not merge single-byte loads for WebAssembly.
func load32(p *byte) uint32     { return *(*uint32)(unsafe.Pointer(p)) }
func load64(p *byte) uint64     { return *(*uint64)(unsafe.Pointer(p)) }
func store64(p *byte, v uint64) { *(*uint64)(unsafe.Pointer(p)) = v }

// appendHex appends payload in lower-case hex digits and returns the extended slice. It is the plugin's hot loop:
// eight bytes a turn in 64-bit words (docs/PERFORMANCE.md has its measurement). Allocation-free where dst has room.
func appendHex(dst, payload []byte) []byte {
	n := len(dst)
	dst = grow(dst, 2*len(payload))
	out := dst[n:]
	for len(payload) >= 8 && len(out) >= 16 {
		store64(&out[0], hexWord(load32(&payload[0])))
		store64(&out[8], hexWord(load32(&payload[4])))
		payload, out = payload[8:], out[16:]
	}
	for i, b := range payload {
		out[2*i] = hexDigits[b>>4]
		out[2*i+1] = hexDigits[b&0xf]
	}
	return dst
}

// hexWord turns four bytes into their eight hex digits, both little-endian: the bytes are spread to 16-bit lanes, each
// lane is split into its nibbles, and a carry out of nibble+6 marks those that need a letter.
func hexWord(v uint32) uint64 {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = x>>4&0x000f000f000f000f | x<<8&0x0f000f000f000f00
	letter := (x + 0x0606060606060606) >> 4 & 0x0101010101010101
	return x + 0x3030303030303030 + letter*('a'-'9'-1)
}

// grow extends dst by n bytes of any value.
func grow(dst []byte, n int) []byte {
	if n <= cap(dst)-len(dst) {
		return dst[:len(dst)+n]
	}
	return append(dst, make([]byte, n)...)
}

// hexValues maps a lower-case hex digit to its value, and everything else to notHex.
var hexValues = func() (values [256]byte) {
	for i := range values {
		values[i] = notHex
	}
	for i := range len(hexDigits) {
		values[hexDigits[i]] = byte(i)
	}
	return values
}()

const notHex = 0xff

// appendUnhex appends the bytes that the lower-case hex digits in text stand for. ok is false where text has an odd
// length or another character.
func appendUnhex(dst, text []byte) (_ []byte, ok bool) {
	if len(text)%2 != 0 {
		return dst, false
	}
	n := len(dst)
	dst = grow(dst, len(text)/2)
	out := dst[n:]
	var bad byte
	for i := range out {
		high, low := hexValues[text[2*i]], hexValues[text[2*i+1]]
		bad |= high | low
		out[i] = high<<4 | low
	}
	return dst, bad&0xf0 == 0
}
