package pcapng

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// Magics are the first bytes of packet captures: pcapng, and pcap in both byte orders with micro- and nanoseconds.
var Magics = []string{"\n\r\r\n", "\xd4\xc3\xb2\xa1", "\xa1\xb2\xc3\xd4", "\x4d\x3c\xb2\xa1", "\xa1\xb2\x3c\x4d"}

// packet is one captured packet, valid until the next one is read.
type packet struct {
	number   int64 // from 1, as Wireshark counts
	time     int64 // nanoseconds since the Unix epoch
	linkType uint32
	data     []byte
	own      []byte // what l4dump's option says, without its prefix; nil: the packet has none
}

const (
	// maxBlockBytes bounds a block's memory; Wireshark has the same bound.
	maxBlockBytes = 16 << 20
	// maxInterfaces bounds the interfaces of a section.
	maxInterfaces = 1 << 16

	blockSimplePacket   = 3
	blockObsoletePacket = 2
)

// The errors of a capture that cannot be read further.
var (
	errCut       = errors.New("the capture ends within a block")
	errBlock     = errors.New("a block's lengths contradict each other")
	errByteOrder = errors.New("a section has no byte order")
	errInterface = errors.New("a packet is of an interface that is not described")
	errLarge     = errors.New("a block is longer than 16 MiB")
)

// packetReader reads the packets of a capture.
type packetReader interface {
	// next reads a packet. io.EOF means that the capture ended after a whole block.
	next(p *packet) error
}

// newPacketReader returns the packetReader of what begins with one of Magics.
func newPacketReader(r io.Reader) (packetReader, error) {
	in := &input{r: bufio.NewReaderSize(r, 64<<10)}
	magic, err := in.r.Peek(4)
	if err != nil {
		return nil, in.failed(err)
	}
	if string(magic) == Magics[0] {
		return &blockFile{input: in}, nil
	}
	return newPlainFile(in, string(magic))
}

// input reads blocks of bytes whose length is not to be trusted.
type input struct {
	r   *bufio.Reader
	buf bytes.Buffer
}

// take returns the next n bytes, valid until the next call. Memory grows with what is there, not with n.
func (in *input) take(n int) ([]byte, error) {
	in.buf.Reset()
	if _, err := io.CopyN(&in.buf, in.r, int64(n)); err != nil {
		if in.buf.Len() == 0 && errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, in.failed(err)
	}
	return in.buf.Bytes(), nil
}

// failed makes errCut of an end that comes too early.
func (in *input) failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// timeUnit is what an interface counts time in: 10^-exponent seconds, or 2^-exponent.
type timeUnit struct {
	exponent uint8
	binary   bool
	offset   int64 // seconds
}

// nanoseconds returns the time that n units after the epoch are.
func (u timeUnit) nanoseconds(n uint64) int64 {
	const second = 1_000_000_000
	ns := uint64(0)
	switch {
	case u.binary && u.exponent < 64:
		hi, lo := bits.Mul64(n, second)
		ns = lo>>u.exponent | hi<<(64-u.exponent)
	case u.binary:
	default:
		ns = n
		for e := u.exponent; e < 9; e++ {
			ns *= 10
		}
		for e := u.exponent; e > 9; e-- {
			ns /= 10
		}
	}
	return int64(ns) + u.offset*second
}

// plainFile is a pcap file.
type plainFile struct {
	*input
	order    binary.ByteOrder
	unit     timeUnit // of what follows the seconds
	linkType uint32
	number   int64
}

func newPlainFile(in *input, magic string) (*plainFile, error) {
	f := &plainFile{input: in, order: binary.LittleEndian, unit: timeUnit{exponent: 6}}
	if magic[0] == 0xa1 {
		f.order = binary.BigEndian
	}
	if magic[1] == 0x3c || magic[2] == 0x3c {
		f.unit.exponent = 9
	}
	head, err := in.take(24)
	if err != nil {
		return nil, in.failed(err)
	}
	f.linkType = f.order.Uint32(head[20:]) & 0xffff // above it is the length of a frame check sequence
	return f, nil
}

func (f *plainFile) next(p *packet) error {
	head, err := f.take(16)
	if err != nil {
		return err
	}
	f.number++
	seconds, units, length := f.order.Uint32(head), f.order.Uint32(head[4:]), f.order.Uint32(head[8:])
	if length > maxBlockBytes {
		return errLarge
	}
	*p = packet{
		number: f.number, time: int64(seconds)*1_000_000_000 + f.unit.nanoseconds(uint64(units)), linkType: f.linkType,
	}
	if p.data, err = f.take(int(length)); err != nil && length > 0 {
		return f.failed(err)
	}
	return nil
}

// blockFile is a pcapng file.
type blockFile struct {
	*input
	order      binary.ByteOrder
	interfaces []iface
	number     int64
}

type iface struct {
	linkType uint32
	snapLen  uint32
	unit     timeUnit
}

func (f *blockFile) next(p *packet) error {
	for {
		kind, body, err := f.block()
		if err != nil {
			return err
		}
		switch kind {
		case blockInterface:
			if err := f.describe(body); err != nil {
				return err
			}
		case blockPacket, blockObsoletePacket, blockSimplePacket:
			f.number++
			return f.packet(p, kind, body)
		}
	}
}

// block returns the next block's type and body, valid until the next call.
func (f *blockFile) block() (kind uint32, body []byte, err error) {
	head, err := f.r.Peek(12)
	if err != nil {
		if len(head) == 0 && errors.Is(err, io.EOF) {
			return 0, nil, io.EOF
		}
		return 0, nil, f.failed(err)
	}
	if string(head[:4]) == Magics[0] {
		switch {
		case binary.LittleEndian.Uint32(head[8:]) == byteOrderMagic:
			f.order = binary.LittleEndian
		case binary.BigEndian.Uint32(head[8:]) == byteOrderMagic:
			f.order = binary.BigEndian
		default:
			return 0, nil, errByteOrder
		}
		f.interfaces = f.interfaces[:0]
	}
	kind = f.order.Uint32(head)
	length := f.order.Uint32(head[4:])
	switch {
	case length < 12 || length%4 != 0:
		return 0, nil, errBlock
	case length > maxBlockBytes:
		return 0, nil, errLarge
	}
	b, err := f.take(int(length))
	if err != nil {
		return 0, nil, f.failed(err)
	}
	if f.order.Uint32(b[length-4:]) != length {
		return 0, nil, errBlock
	}
	return kind, b[8 : length-4], nil
}

// describe takes an interface.
func (f *blockFile) describe(body []byte) error {
	if len(body) < 8 || len(f.interfaces) == maxInterfaces {
		return errBlock
	}
	i := iface{linkType: uint32(f.order.Uint16(body)), snapLen: f.order.Uint32(body[4:]), unit: timeUnit{exponent: 6}}
	f.options(body[8:], func(code uint16, value []byte) {
		switch {
		case code == optTimeUnit && len(value) >= 1:
			i.unit.exponent, i.unit.binary = value[0]&0x7f, value[0]&0x80 != 0
		case code == optTimeOffset && len(value) >= 8:
			i.unit.offset = int64(f.order.Uint64(value))
		}
	})
	f.interfaces = append(f.interfaces, i)
	return nil
}

func (f *blockFile) packet(p *packet, kind uint32, body []byte) error {
	*p = packet{number: f.number}
	if kind == blockSimplePacket {
		if len(body) < 4 || len(f.interfaces) == 0 {
			return errInterface
		}
		i := &f.interfaces[0]
		length := f.order.Uint32(body)
		if i.snapLen > 0 {
			length = min(length, i.snapLen)
		}
		p.linkType = i.linkType
		p.data = body[4:][:min(int(length), len(body)-4)]
		return nil
	}
	if len(body) < 20 {
		return errBlock
	}
	index := f.order.Uint32(body)
	if kind == blockObsoletePacket {
		index = uint32(f.order.Uint16(body))
	}
	if index >= uint32(len(f.interfaces)) {
		return errInterface
	}
	i := &f.interfaces[index]
	p.linkType = i.linkType
	p.time = i.unit.nanoseconds(uint64(f.order.Uint32(body[4:]))<<32 | uint64(f.order.Uint32(body[8:])))
	length := int(f.order.Uint32(body[12:]))
	padded := (length + 3) &^ 3
	if padded > len(body)-20 {
		return errBlock
	}
	p.data = body[20:][:length]
	f.options(body[20+padded:], func(code uint16, value []byte) {
		if code == optCustomString && len(value) >= 4 && f.order.Uint32(value) == enterprise {
			if own, ok := bytes.CutPrefix(value[4:], []byte(ownPrefix)); ok {
				p.own = own
			}
		}
	})
	return nil
}

// options calls take with each option of a block. What is damaged ends them.
func (f *blockFile) options(b []byte, take func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, length := f.order.Uint16(b), int(f.order.Uint16(b[2:]))
		padded := 4 + (length+3)&^3
		if code == optEnd || padded > len(b) {
			return
		}
		take(code, b[4:][:length])
		b = b[padded:]
	}
}

// Fault is what is wrong with a capture.
type Fault struct {
	Place fmt.Stringer
	Err   error
}

// String returns the fault as one line for a person, with its place.
func (f Fault) String() string { return f.Place.String() + ": " + f.Err.Error() }
