// Package forms is what was tried for the plugin's hot loop, bytes to hex digits. record has the one that was chosen.
package forms

import (
	"encoding/hex"
	"unsafe"
)

// Form writes the digits of payload, whose length is a multiple of 64, to dst, which is twice as long.
type Form struct {
	Name   string
	Encode func(dst, payload []byte)
}

// All returns the forms; the first is the control.
func All() []Form {
	t := newTables()
	return []Form{
		{"encoding/hex", func(dst, payload []byte) { hex.Encode(dst, payload) }},
		{"table of pairs, a byte a turn", t.pairsByByte},
		{"table of pairs, 32 bytes a turn", t.pairs32},
		{"table of fours, 8 bytes a turn", t.fours8},
		{"words, 8 bytes a turn", words8},
		{"words, 32 bytes a turn", words32},
		{"words, 64 bytes a turn (chosen)", words64},
		{"words, 32 bytes a turn, by pointers", wordsByPointers},
		{"words, 32 bytes a turn, no product", wordsNoProduct},
	}
}

const digits = "0123456789abcdef"

// tables hold digits, little-endian: pairs those of a byte, fours those of two (256 KiB).
type tables struct {
	pairs [1 << 8]uint16
	fours []uint32
}

func newTables() *tables {
	t := &tables{fours: make([]uint32, 1<<16)}
	for i := range t.pairs {
		t.pairs[i] = uint16(digits[i>>4]) | uint16(digits[i&0xf])<<8
	}
	for i := range t.fours {
		t.fours[i] = uint32(t.pairs[i&0xff]) | uint32(t.pairs[i>>8])<<16
	}
	return t
}

func (t *tables) pairsByByte(dst, payload []byte) {
	for i, b := range payload {
		*(*uint16)(unsafe.Pointer(&dst[2*i])) = t.pairs[b]
	}
}

func (t *tables) pairs32(dst, payload []byte) {
	p := &t.pairs
	for len(payload) >= 32 && len(dst) >= 64 {
		in, out := (*[32]byte)(payload), (*[32]uint16)(unsafe.Pointer(&dst[0]))
		out[0] = p[in[0]]
		out[1] = p[in[1]]
		out[2] = p[in[2]]
		out[3] = p[in[3]]
		out[4] = p[in[4]]
		out[5] = p[in[5]]
		out[6] = p[in[6]]
		out[7] = p[in[7]]
		out[8] = p[in[8]]
		out[9] = p[in[9]]
		out[10] = p[in[10]]
		out[11] = p[in[11]]
		out[12] = p[in[12]]
		out[13] = p[in[13]]
		out[14] = p[in[14]]
		out[15] = p[in[15]]
		out[16] = p[in[16]]
		out[17] = p[in[17]]
		out[18] = p[in[18]]
		out[19] = p[in[19]]
		out[20] = p[in[20]]
		out[21] = p[in[21]]
		out[22] = p[in[22]]
		out[23] = p[in[23]]
		out[24] = p[in[24]]
		out[25] = p[in[25]]
		out[26] = p[in[26]]
		out[27] = p[in[27]]
		out[28] = p[in[28]]
		out[29] = p[in[29]]
		out[30] = p[in[30]]
		out[31] = p[in[31]]
		payload, dst = payload[32:], dst[64:]
	}
}

func (t *tables) fours8(dst, payload []byte) {
	f := (*[1 << 16]uint32)(t.fours)
	for len(payload) >= 8 && len(dst) >= 16 {
		in, out := (*[4]uint16)(unsafe.Pointer(&payload[0])), (*[4]uint32)(unsafe.Pointer(&dst[0]))
		out[0] = f[in[0]]
		out[1] = f[in[1]]
		out[2] = f[in[2]]
		out[3] = f[in[3]]
		payload, dst = payload[8:], dst[16:]
	}
}

// word returns the digits of four bytes, as record's hexWord.
func word(v uint32) uint64 {
	const nibbles = 0x0f0f0f0f0f0f0f0f
	x := spread(v)
	return x + 0x3030303030303030 + (x+0x0606060606060606)>>4&nibbles*('a'-'9'-1)
}

// wordNoProduct makes 39, from a digit to a letter, of 32 + 8 - 1.
func wordNoProduct(v uint32) uint64 {
	x := spread(v)
	letter := (x + 0x0606060606060606) & 0x1010101010101010
	return x + 0x3030303030303030 + (letter<<1 + letter>>1 - letter>>4)
}

// spread returns the nibbles of four bytes, each in a byte of its own, the high ones first.
func spread(v uint32) uint64 {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	return (x>>4 | x<<8) & 0x0f0f0f0f0f0f0f0f
}

func words8(dst, payload []byte) {
	for len(payload) >= 8 && len(dst) >= 16 {
		in, out := (*[2]uint32)(unsafe.Pointer(&payload[0])), (*[2]uint64)(unsafe.Pointer(&dst[0]))
		out[0] = word(in[0])
		out[1] = word(in[1])
		payload, dst = payload[8:], dst[16:]
	}
}

func words32(dst, payload []byte) {
	for len(payload) >= 32 && len(dst) >= 64 {
		in, out := (*[8]uint32)(unsafe.Pointer(&payload[0])), (*[8]uint64)(unsafe.Pointer(&dst[0]))
		out[0] = word(in[0])
		out[1] = word(in[1])
		out[2] = word(in[2])
		out[3] = word(in[3])
		out[4] = word(in[4])
		out[5] = word(in[5])
		out[6] = word(in[6])
		out[7] = word(in[7])
		payload, dst = payload[32:], dst[64:]
	}
}

func words64(dst, payload []byte) {
	for len(payload) >= 64 && len(dst) >= 128 {
		in, out := (*[16]uint32)(unsafe.Pointer(&payload[0])), (*[16]uint64)(unsafe.Pointer(&dst[0]))
		out[0] = word(in[0])
		out[1] = word(in[1])
		out[2] = word(in[2])
		out[3] = word(in[3])
		out[4] = word(in[4])
		out[5] = word(in[5])
		out[6] = word(in[6])
		out[7] = word(in[7])
		out[8] = word(in[8])
		out[9] = word(in[9])
		out[10] = word(in[10])
		out[11] = word(in[11])
		out[12] = word(in[12])
		out[13] = word(in[13])
		out[14] = word(in[14])
		out[15] = word(in[15])
		payload, dst = payload[64:], dst[128:]
	}
}

func wordsNoProduct(dst, payload []byte) {
	for len(payload) >= 32 && len(dst) >= 64 {
		in, out := (*[8]uint32)(unsafe.Pointer(&payload[0])), (*[8]uint64)(unsafe.Pointer(&dst[0]))
		out[0] = wordNoProduct(in[0])
		out[1] = wordNoProduct(in[1])
		out[2] = wordNoProduct(in[2])
		out[3] = wordNoProduct(in[3])
		out[4] = wordNoProduct(in[4])
		out[5] = wordNoProduct(in[5])
		out[6] = wordNoProduct(in[6])
		out[7] = wordNoProduct(in[7])
		payload, dst = payload[32:], dst[64:]
	}
}

// wordsByPointers has no check of bounds at all.
func wordsByPointers(dst, payload []byte) {
	from, to := unsafe.Pointer(unsafe.SliceData(payload)), unsafe.Pointer(unsafe.SliceData(dst))
	for i := range len(payload) / 32 {
		in, out := unsafe.Add(from, 32*i), unsafe.Add(to, 64*i)
		*(*uint64)(unsafe.Add(out, 0)) = word(*(*uint32)(unsafe.Add(in, 0)))
		*(*uint64)(unsafe.Add(out, 8)) = word(*(*uint32)(unsafe.Add(in, 4)))
		*(*uint64)(unsafe.Add(out, 16)) = word(*(*uint32)(unsafe.Add(in, 8)))
		*(*uint64)(unsafe.Add(out, 24)) = word(*(*uint32)(unsafe.Add(in, 12)))
		*(*uint64)(unsafe.Add(out, 32)) = word(*(*uint32)(unsafe.Add(in, 16)))
		*(*uint64)(unsafe.Add(out, 40)) = word(*(*uint32)(unsafe.Add(in, 20)))
		*(*uint64)(unsafe.Add(out, 48)) = word(*(*uint32)(unsafe.Add(in, 24)))
		*(*uint64)(unsafe.Add(out, 56)) = word(*(*uint32)(unsafe.Add(in, 28)))
	}
}
