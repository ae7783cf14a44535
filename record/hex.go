package record

import "unsafe"

// load32 and load64 are little-endian, as every platform that the project builds for. encoding/binary would link
// reflect into the plugin, and Go does not merge single-byte loads for WebAssembly.
func load32(p *byte) uint32 { return *(*uint32)(unsafe.Pointer(p)) }
func load64(p *byte) uint64 { return *(*uint64)(unsafe.Pointer(p)) }

// HexTurn is how many bytes the hex loop takes in a turn, and what a line's payload is best a multiple of: in
// WebAssembly a turn costs about as much as four bytes.
const HexTurn = 64

// appendHex appends payload in lower-case hex digits and returns the extended slice. It is the plugin's hot loop
// (docs/PERFORMANCE.md has its measurement, and what else was tried). Allocation-free where dst has room.
func appendHex(dst, payload []byte) []byte {
	n := len(dst)
	dst = grow(dst, 2*len(payload))
	out := dst[n:]
	for len(payload) >= HexTurn && len(out) >= 2*HexTurn {
		in := (*[HexTurn / 4]uint32)(unsafe.Pointer(&payload[0]))
		words := (*[HexTurn / 4]uint64)(unsafe.Pointer(&out[0]))
		words[0] = hexWord(in[0])
		words[1] = hexWord(in[1])
		words[2] = hexWord(in[2])
		words[3] = hexWord(in[3])
		words[4] = hexWord(in[4])
		words[5] = hexWord(in[5])
		words[6] = hexWord(in[6])
		words[7] = hexWord(in[7])
		words[8] = hexWord(in[8])
		words[9] = hexWord(in[9])
		words[10] = hexWord(in[10])
		words[11] = hexWord(in[11])
		words[12] = hexWord(in[12])
		words[13] = hexWord(in[13])
		words[14] = hexWord(in[14])
		words[15] = hexWord(in[15])
		payload, out = payload[HexTurn:], out[2*HexTurn:]
	}
	for len(payload) >= 4 && len(out) >= 8 {
		*(*uint64)(unsafe.Pointer(&out[0])) = hexWord(load32(&payload[0]))
		payload, out = payload[4:], out[8:]
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
	const nibbles = 0x0f0f0f0f0f0f0f0f
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x>>4 | x<<8) & nibbles
	letter := (x + 0x0606060606060606) >> 4 & nibbles
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
