package record

// HexTurn is how many bytes the hex loop takes in a turn, and what a line's payload is best a multiple of: in
// WebAssembly a turn costs about as much as four bytes.
const HexTurn = 64

// hexPairs has the two lower-case digits of each byte. It is made at start, which takes a few microseconds in each VM:
// as a literal it would be as large, and a page of digits that nobody can check.
var hexPairs = func() (pairs [256][2]byte) {
	for i := range pairs {
		pairs[i] = [2]byte{hexDigits[i>>4], hexDigits[i&0xf]}
	}
	return pairs
}()

// appendHex appends payload in lower-case hex digits and returns the extended slice. It is the plugin's hot loop: Go
// neither unrolls it nor merges stores of single bytes for WebAssembly, but copies a pair at once, and needs no check of
// bounds inside an array (docs/PERFORMANCE.md has its measurement). Allocation-free if dst has room.
func appendHex(dst, payload []byte) []byte {
	n := len(dst)
	dst = grow(dst, 2*len(payload))
	text := dst[n:]
	for len(payload) >= HexTurn && len(text) >= 2*HexTurn {
		in, out := (*[HexTurn]byte)(payload), (*[2 * HexTurn]byte)(text)
		hex4((*[8]byte)(out[0:]), (*[4]byte)(in[0:]))
		hex4((*[8]byte)(out[8:]), (*[4]byte)(in[4:]))
		hex4((*[8]byte)(out[16:]), (*[4]byte)(in[8:]))
		hex4((*[8]byte)(out[24:]), (*[4]byte)(in[12:]))
		hex4((*[8]byte)(out[32:]), (*[4]byte)(in[16:]))
		hex4((*[8]byte)(out[40:]), (*[4]byte)(in[20:]))
		hex4((*[8]byte)(out[48:]), (*[4]byte)(in[24:]))
		hex4((*[8]byte)(out[56:]), (*[4]byte)(in[28:]))
		hex4((*[8]byte)(out[64:]), (*[4]byte)(in[32:]))
		hex4((*[8]byte)(out[72:]), (*[4]byte)(in[36:]))
		hex4((*[8]byte)(out[80:]), (*[4]byte)(in[40:]))
		hex4((*[8]byte)(out[88:]), (*[4]byte)(in[44:]))
		hex4((*[8]byte)(out[96:]), (*[4]byte)(in[48:]))
		hex4((*[8]byte)(out[104:]), (*[4]byte)(in[52:]))
		hex4((*[8]byte)(out[112:]), (*[4]byte)(in[56:]))
		hex4((*[8]byte)(out[120:]), (*[4]byte)(in[60:]))
		payload, text = payload[HexTurn:], text[2*HexTurn:]
	}
	for len(payload) >= 4 && len(text) >= 8 {
		hex4((*[8]byte)(text), (*[4]byte)(payload))
		payload, text = payload[4:], text[8:]
	}
	for i, b := range payload {
		*(*[2]byte)(text[2*i:]) = hexPairs[b]
	}
	return dst
}

// hex4 writes the digits of four bytes. It is small enough to be inlined.
func hex4(out *[8]byte, in *[4]byte) {
	*(*[2]byte)(out[0:]) = hexPairs[in[0]]
	*(*[2]byte)(out[2:]) = hexPairs[in[1]]
	*(*[2]byte)(out[4:]) = hexPairs[in[2]]
	*(*[2]byte)(out[6:]) = hexPairs[in[3]]
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
