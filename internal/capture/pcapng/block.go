// Package pcapng writes a recording as a packet capture that Wireshark reads (draft-ietf-opsawg-pcapng), and reads one
// back.
//
// Each connection becomes a TCP connection with a handshake, sequence numbers and acknowledgments that no wire has seen.
// What TCP cannot carry stands in a custom option of each packet: the record of the event that the packet begins, without
// its payload, or a mark that the packet continues one or only acknowledges.
package pcapng

import "encoding/binary"

// The types of blocks.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6
)

// The codes of options.
const (
	optEnd          = 0
	optComment      = 1
	optApplication  = 4    // of a section: what wrote it
	optTimeUnit     = 9    // of an interface
	optTimeOffset   = 14   // of an interface
	optCustomString = 2988 // UTF-8, after the number of an enterprise; programs that copy a packet copy it
)

const (
	byteOrderMagic = 0x1a2b3c4d
	linkTypeRaw    = 101 // a packet begins with its IPv4 or IPv6 header
	// enterprise is the number that RFC 5612 has for documentation: l4dump has none of its own. What its text begins
	// with tells l4dump's options from those of others.
	enterprise = 32473
)

// ownPrefix begins the text of l4dump's option.
const ownPrefix = "l4dump "

// ownFiller follows it in a packet that begins no event.
const ownFiller = "+"

// maxOptionBytes is the longest value that an option has.
const maxOptionBytes = 1<<16 - 4

var le = binary.LittleEndian

// beginBlock appends a block's head, whose length endBlock sets.
func beginBlock(dst []byte, kind uint32) []byte {
	return le.AppendUint32(le.AppendUint32(dst, kind), 0)
}

// endBlock ends the block that begins at start.
func endBlock(dst []byte, start int) []byte {
	length := uint32(len(dst) - start + 4)
	le.PutUint32(dst[start+4:], length)
	return le.AppendUint32(dst, length)
}

// appendOption appends an option whose value is that of one or two strings.
func appendOption(dst []byte, code uint16, value ...string) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, v := range value {
		dst = append(dst, v[:min(len(v), maxOptionBytes-(len(dst)-start-4))]...)
	}
	return endOption(dst, start, code)
}

// endOption sets the head of the option that begins at start, and pads it.
func endOption(dst []byte, start int, code uint16) []byte {
	le.PutUint16(dst[start:], code)
	le.PutUint16(dst[start+2:], uint16(len(dst)-start-4))
	return pad(dst)
}

// pad appends zeros up to the next multiple of four bytes; each block begins at one.
func pad(dst []byte) []byte {
	const zeros = "\x00\x00\x00"
	return append(dst, zeros[:-len(dst)&3]...)
}

func appendOptionsEnd(dst []byte) []byte { return append(dst, optEnd, 0, 0, 0) }

// appendHead appends what begins a file: a section, and its one interface, with times in nanoseconds.
func appendHead(dst []byte) []byte {
	start := len(dst)
	dst = beginBlock(dst, blockSection)
	dst = le.AppendUint32(dst, byteOrderMagic)
	dst = le.AppendUint16(dst, 1) // version 1.0
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint64(dst, 1<<64-1) // the section's length is not known
	dst = appendOption(dst, optApplication, "l4dump")
	dst = endBlock(appendOptionsEnd(dst), start)

	start = len(dst)
	dst = beginBlock(dst, blockInterface)
	dst = le.AppendUint16(dst, linkTypeRaw)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint32(dst, 0) // packets of any length
	dst = appendOption(dst, optTimeUnit, "\x09")
	return endBlock(appendOptionsEnd(dst), start)
}
