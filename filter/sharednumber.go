package filter

import "l4dump/internal/abi"

// sharedNumber is a number in shared data. Its methods are allocation-free.
type sharedNumber struct {
	key   string
	bytes [8]byte // scratch: what the proxy is given
}

// Load implements strategy.SharedNumber.
func (s *sharedNumber) Load() (n int64, version uint32) {
	value, version, err := abi.SharedData(s.key)
	if err != nil {
		return 0, 0
	}
	return int64(uint64Of(value)), version
}

// Store implements strategy.SharedNumber.
func (s *sharedNumber) Store(n int64, version uint32) bool {
	putUint64(&s.bytes, uint64(n))
	return abi.SetSharedData(s.key, s.bytes[:], version) == nil
}

// putUint64 writes n as eight bytes, little-endian.
func putUint64(b *[8]byte, n uint64) {
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
}

// uint64Of reads eight bytes, little-endian; 0 if there are fewer or more.
func uint64Of(b []byte) (n uint64) {
	if len(b) != 8 {
		return 0
	}
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n
}
