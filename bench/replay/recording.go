package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"time"

	"l4dump/record"
)

const (
	logPrefix   = "[2026-11-23 01:23:51.887][25111][info][wasm] [source/extensions/common/wasm/context.cc:1151] wasm log l4dump l4dump l4dump-v1: "
	mostPayload = 1848 // of a record in a line of 4096 bytes
	startTime   = 1795397031887000000

	client2server, server2client = record.Downstream, record.Upstream
)

// recording is a log that is written.
type recording struct {
	log  *bufio.Writer
	made uint64 // connections
	time int64
	line []byte
}

// writeLog writes a log of what write says.
func writeLog(path string, write func(*recording)) (_ string, err error) {
	file, err := os.Create(path)
	if err != nil {
		return "", fmt.Errorf("make a recording: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := &recording{log: bufio.NewWriterSize(file, mebibyte), time: startTime}
	write(r)
	return path, r.log.Flush() // which returns the first error of all writes
}

// connection is one that is recorded.
type connection struct {
	*recording
	header  record.Header
	offsets [2]uint64
}

func (r *recording) open() *connection {
	r.made++
	c := &connection{recording: r}
	c.header.Window, c.header.Port = record.UUID{0x01, 0xa2, 0x06, 0x00, 0x42, 0x50, 0x80, 0x1e, 0xac, 0x34, 'd', 'u', 'm', 'p'}, 8080
	c.header.Conn = record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: r.made}
	h := c.next()
	r.write(record.AppendOpen(r.begin(), h, &record.Open{
		Unit: "connections", Started: h.Time, Source: fmt.Sprintf("10.1.%d.%d:40000", r.made>>8&0xff, r.made&0xff),
		Destination: "10.0.0.1:8080", Next: "tcp_proxy",
	}))
	return c
}

// exchange records a request and its answer.
func (c *connection) exchange(request, answer []byte) {
	c.send(client2server, request)
	c.send(server2client, answer)
}

// send records what a peer sent.
func (c *connection) send(d record.Direction, payload []byte) {
	for len(payload) > 0 {
		n := min(len(payload), mostPayload)
		c.write(record.AppendData(c.begin(), c.next(), d, c.offsets[d], payload[:n]))
		c.offsets[d] += uint64(n)
		payload = payload[n:]
	}
}

// wait lets time pass in the recording.
func (c *connection) wait(d time.Duration) { c.header.Time += int64(d) }

// close records that the client ended the connection.
func (c *connection) close() {
	ledger := func(d record.Direction) record.Ledger { return record.Ledger{Seen: c.offsets[d], Kept: c.offsets[d]} }
	c.write(record.AppendClose(c.begin(), c.next(), &record.Close{
		By: "downstream", Downstream: ledger(record.Downstream), Upstream: ledger(record.Upstream),
	}))
}

// next returns the header of the next record. header.Time is by how much the connection's clock is ahead.
func (c *connection) next() *record.Header {
	c.time += int64(10 * time.Microsecond)
	h := c.header
	h.Time += c.time
	c.header.Seq++
	return &h
}

func (r *recording) begin() []byte { return append(r.line[:0], logPrefix...) }

func (r *recording) write(line []byte) {
	r.line = append(line, '\n')
	_, _ = r.log.Write(r.line) // Flush returns the error
}
