package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"l4dump/record"
)

const (
	logPrefix = "[2026-11-23 01:23:51.887][25111][info][wasm] [source/extensions/common/wasm/context.cc:1151] wasm log l4dump l4dump l4dump-v1: "

	openConnections = 256  // at a time
	mostPayload     = 1848 // of a record in a line of 4096 bytes
	shortest        = 256  // bytes of a connection's payload; sizes are spread evenly over their logarithm
	longest         = 16 << 20
	startTime       = 1795397031887000000
)

var window = record.UUID{0x01, 0xa2, 0x06, 0x00, 0x42, 0x50, 0x80, 0x1e, 0xac, 0x34, 'd', 'u', 'm', 'p'}

// connection is one of those that are open.
type connection struct {
	header  record.Header
	offsets [2]uint64
	left    int // bytes of payload that it has still to carry
}

// dump makes a log of many connections in turn, always the same one: messages of a few bytes and lines of 4096 bytes,
// text and random bytes.
type dump struct {
	log      *bufio.Writer
	hex      *bufio.Writer // the same payload as text2pcap reads it; nil: nobody wants it
	random   *rand.Rand
	noise    []byte
	text     []byte
	made     uint64 // connections
	time     int64
	logBytes int64
	payload  int64
	line     []byte
}

// writeDump writes a log of at least size bytes to log, and its payload to hex, if that is not nil. It returns how many
// bytes the log and the payload have.
func writeDump(log, hex io.Writer, size int64) (logBytes, payload int64, err error) {
	//nolint:gosec // the same dump each time
	d := &dump{log: bufio.NewWriterSize(log, 1<<20), random: rand.New(rand.NewPCG(1, 2)), time: startTime}
	if hex != nil {
		d.hex = bufio.NewWriterSize(hex, 1<<20)
	}
	d.noise = make([]byte, 1<<20)
	for i := range d.noise {
		d.noise[i] = byte(d.random.Uint32())
	}
	for len(d.text) < 1<<20 {
		d.text = fmt.Appendf(d.text, "GET /orders/%d HTTP/1.1\r\nHost: shop\r\naccept: application/json\r\nx-request-id: %016x\r\n\r\n",
			d.random.IntN(1<<20), d.random.Uint64())
	}
	conns := make([]*connection, openConnections)
	for i := range conns {
		if conns[i], err = d.open(); err != nil {
			return 0, 0, err
		}
	}
	for d.logBytes < size {
		c := &conns[d.random.IntN(len(conns))]
		if err = d.data(*c); err != nil {
			return 0, 0, err
		}
		if (*c).left <= 0 {
			if err = d.close(*c); err != nil {
				return 0, 0, err
			}
			if *c, err = d.open(); err != nil {
				return 0, 0, err
			}
		}
	}
	for _, c := range conns {
		if err = d.close(c); err != nil {
			return 0, 0, err
		}
	}
	if err = d.log.Flush(); err == nil && d.hex != nil {
		err = d.hex.Flush()
	}
	return d.logBytes, d.payload, err
}

func (d *dump) open() (*connection, error) {
	d.made++
	c := &connection{header: record.Header{Window: window, Port: 8080, Conn: record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: d.made}}}
	c.left = int(shortest * math.Pow(float64(longest)/shortest, d.random.Float64()))
	h := d.next(c)
	client := fmt.Sprintf("10.%d.%d.%d:%d", d.made>>16&0xff, d.made>>8&0xff, d.made&0xff, 1024+d.made%60000)
	return c, d.write(record.AppendOpen(d.begin(), h, &record.Open{
		Unit: "connections", Started: h.Time, Source: client, Destination: "10.0.0.1:8080", Next: "tcp_proxy",
	}))
}

// next returns the header of a connection's next record.
func (d *dump) next(c *connection) *record.Header {
	d.time += 10_000
	h := c.header
	h.Time = d.time
	c.header.Seq++
	return &h
}

func (d *dump) data(c *connection) error {
	n := mostPayload
	if d.random.IntN(4) == 0 {
		n = 1 + d.random.IntN(400)
	}
	from := d.noise
	if d.random.IntN(2) == 0 {
		from = d.text
	}
	from = from[d.random.IntN(len(from)-n):][:n]
	direction := record.Direction(d.random.IntN(2))
	h := d.next(c)
	line := record.AppendData(d.begin(), h, direction, c.offsets[direction], from)
	c.offsets[direction] += uint64(n)
	c.left -= n
	d.payload += int64(n)
	if err := d.dump(direction, from); err != nil {
		return err
	}
	return d.write(line)
}

// dump writes a packet as text2pcap reads it, with I or O for its direction:
//
//	I
//	000000 47 45 54 20 2f
func (d *dump) dump(direction record.Direction, payload []byte) error {
	if d.hex == nil {
		return nil
	}
	const digits = "0123456789abcdef"
	b := append(d.hex.AvailableBuffer(), "IO"[direction], '\n')
	for i, c := range payload {
		if i%16 == 0 {
			b = fmt.Appendf(b, "%06x", i)
		}
		b = append(b, ' ', digits[c>>4], digits[c&0xf])
		if i%16 == 15 {
			b = append(b, '\n')
		}
	}
	if len(payload)%16 > 0 {
		b = append(b, '\n')
	}
	_, err := d.hex.Write(b)
	return err
}

func (d *dump) close(c *connection) error {
	ledger := func(d record.Direction) record.Ledger { return record.Ledger{Seen: c.offsets[d], Kept: c.offsets[d]} }
	return d.write(record.AppendClose(d.begin(), d.next(c), &record.Close{
		By: "downstream", Downstream: ledger(record.Downstream), Upstream: ledger(record.Upstream),
	}))
}

func (d *dump) begin() []byte { return append(d.line[:0], logPrefix...) }

func (d *dump) write(line []byte) error {
	d.line = append(line, '\n')
	d.logBytes += int64(len(d.line))
	_, err := d.log.Write(d.line)
	return err
}
