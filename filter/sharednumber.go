package filter

import "l4dump/internal/abi"

// sharedNumber is a number in shared data. Its methods are allocation-free.
type sharedNumber struct {
	key   string
	bytes [8]byte // scratch: what the proxy is given
}

// newSharedNumber returns the number of key, which is 0 if it is new. Only from a VM's start or a plugin's.
func newSharedNumber(key string) *sharedNumber {
	seed(key, make([]byte, 8))
	return &sharedNumber{key: key}
}

// sharedBytes is a value in shared data. Its methods are allocation-free.
type sharedBytes struct{ key string }

// Load implements strategy.SharedBytes.
func (s *sharedBytes) Load() (value []byte, version uint32) {
	value, version, _ = abi.SharedData(s.key)
	return value, version
}

// Store implements strategy.SharedBytes.
func (s *sharedBytes) Store(value []byte, version uint32) bool {
	return abi.SetSharedData(s.key, value, version) == nil
}

// seed gives key a value if it has none. Without a value there is no version, and a proxy lets everyone succeed who
// stores without one: of two VMs that come at once neither would learn of the other. A proxy starts its first VM before
// the others, so that what is seeded at the start is seeded once.
func seed(key string, value []byte) {
	if _, _, err := abi.SharedData(key); err != nil {
		_ = abi.SetSharedData(key, value, 0)
	}
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
