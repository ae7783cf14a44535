package record

import (
	"math/bits"
	"unsafe"
)

const (
	prime1 = 0x9e3779b185ebca87
	prime2 = 0xc2b2ae3d27d4eb4f
	prime3 = 0x165667b19e3779f9
	prime4 = 0x85ebca77c2b2ae63
	prime5 = 0x27d4eb2f165667c5
)

// xxh64 is XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) of b. The ready-made Go packages link reflect,
// which every pod would pay for; the test holds this one to theirs.
func xxh64(b []byte, seed uint64) uint64 {
	length := uint64(len(b))
	var h uint64
	if len(b) >= 32 {
		v1, v2, v3, v4 := seed+prime1, seed, seed, seed
		v1 += prime2
		v2 += prime2
		v4 -= prime1
		for len(b) >= 64 { // two stripes per turn, for the same reason as in appendHex
			w := (*[8]uint64)(unsafe.Pointer(&b[0]))
			v1 = round(v1, w[0])
			v2 = round(v2, w[1])
			v3 = round(v3, w[2])
			v4 = round(v4, w[3])
			v1 = round(v1, w[4])
			v2 = round(v2, w[5])
			v3 = round(v3, w[6])
			v4 = round(v4, w[7])
			b = b[64:]
		}
		for len(b) >= 32 {
			v1 = round(v1, load64(&b[0]))
			v2 = round(v2, load64(&b[8]))
			v3 = round(v3, load64(&b[16]))
			v4 = round(v4, load64(&b[24]))
			b = b[32:]
		}
		h = bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
		h = merge(h, v1)
		h = merge(h, v2)
		h = merge(h, v3)
		h = merge(h, v4)
	} else {
		h = seed + prime5
	}
	h += length
	for len(b) >= 8 {
		h = bits.RotateLeft64(h^round(0, load64(&b[0])), 27)*prime1 + prime4
		b = b[8:]
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(load32(&b[0]))*prime1, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

func round(acc, input uint64) uint64 {
	return bits.RotateLeft64(acc+input*prime2, 31) * prime1
}

func merge(h, v uint64) uint64 {
	return (h^round(0, v))*prime1 + prime4
}

// load32 and load64 are little-endian, as every platform that the project builds for. encoding/binary would link
// reflect into the plugin, and Go does not merge single-byte loads for WebAssembly.
func load32(p *byte) uint32 { return *(*uint32)(unsafe.Pointer(p)) }
func load64(p *byte) uint64 { return *(*uint64)(unsafe.Pointer(p)) }
