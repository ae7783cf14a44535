package pcapng

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// The flags of a TCP segment.
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

const (
	ipv4Bytes = 20
	ipv6Bytes = 40
	tcpBytes  = 20
	// maxSegmentBytes of payload fit into an IPv4 packet, whose length has 16 bits.
	maxSegmentBytes = 1<<16 - 1 - ipv4Bytes - tcpBytes
	protocolTCP     = 6
)

// synOptions say that segments and windows are as large as TCP has them: a segment of maxSegmentBytes, and windows that
// count 2^14 bytes, so that what a recording holds never looks like more than the peer wanted.
const synOptions = "\x02\x04\xff\xd7" + "\x01\x03\x03\x0e"

// segment is one TCP segment in an IP packet.
type segment struct {
	from, to netip.AddrPort // of one family
	seq, ack uint32
	flags    uint8
	payload  []byte // at most maxSegmentBytes
}

// appendTo appends the packet with its checksums.
func (s *segment) appendTo(dst []byte) []byte {
	options := ""
	if s.flags&flagSYN != 0 {
		options = synOptions
	}
	length := tcpBytes + len(options) + len(s.payload)
	dst, pseudo := s.appendIP(dst, length)

	start := len(dst)
	be := binary.BigEndian
	dst = be.AppendUint16(dst, s.from.Port())
	dst = be.AppendUint16(dst, s.to.Port())
	dst = be.AppendUint32(dst, s.seq)
	dst = be.AppendUint32(dst, s.ack)
	dst = append(dst, byte((tcpBytes+len(options))/4<<4), s.flags, 0xff, 0xff, 0, 0, 0, 0)
	dst = append(dst, options...)
	dst = append(dst, s.payload...)
	le.PutUint16(dst[start+16:], ^fold(sum(pseudo, dst[start:])))
	return dst
}

// appendIP appends the IP header and returns the sum of the pseudo header with it.
func (s *segment) appendIP(dst []byte, length int) ([]byte, uint64) {
	start := len(dst)
	be := binary.BigEndian
	pseudo := uint64(bits.ReverseBytes16(protocolTCP)) + uint64(bits.ReverseBytes16(uint16(length)))
	if s.from.Addr().Is4() {
		dst = append(dst, 0x45, 0)
		dst = be.AppendUint16(dst, uint16(ipv4Bytes+length))
		dst = append(dst, 0, 0, 0x40, 0, 64, protocolTCP, 0, 0)
		from, to := s.from.Addr().As4(), s.to.Addr().As4()
		dst = append(append(dst, from[:]...), to[:]...)
		le.PutUint16(dst[start+10:], ^fold(sum(0, dst[start:])))
		return dst, sum(pseudo, dst[start+12:])
	}
	dst = append(dst, 0x60, 0, 0, 0)
	dst = be.AppendUint16(dst, uint16(length))
	dst = append(dst, protocolTCP, 64)
	from, to := s.from.Addr().As16(), s.to.Addr().As16()
	dst = append(append(dst, from[:]...), to[:]...)
	return dst, sum(pseudo, dst[start+8:])
}

// sum adds b to a sum of 16-bit words in one's complement (RFC 1071), eight bytes at a time. The words are little
// endian, so that what fold returns is stored little endian.
func sum(sum uint64, b []byte) uint64 {
	var carry uint64
	for len(b) >= 32 {
		sum, carry = bits.Add64(sum, le.Uint64(b), 0)
		sum, carry = bits.Add64(sum, le.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, le.Uint64(b[24:]), carry)
		sum, carry = bits.Add64(sum, 0, carry)
		sum += carry
		b = b[32:]
	}
	for len(b) >= 2 {
		sum, carry = bits.Add64(sum, uint64(le.Uint16(b)), 0)
		sum += carry
		b = b[2:]
	}
	if len(b) == 1 {
		sum, carry = bits.Add64(sum, uint64(b[0]), 0)
		sum += carry
	}
	return sum
}

// fold returns the 16 bits of a sum.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}
