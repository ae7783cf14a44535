package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
	"l4dump/strategy"
)

// dump is what was recorded, as the log holds it.
type dump struct {
	conns    map[record.ConnID]*conn
	bySource map[string]*conn
	closes   int
	records  int
	longest  int // bytes of the longest log line with a record
}

// conn is one recorded connection.
type conn struct {
	id      record.ConnID
	port    uint16
	open    *record.Open
	records uint64
	windows map[record.UUID]bool
	streams [2]stream // by record.Direction
	closed  *record.Close
}

// stream is what was recorded of one direction.
type stream struct {
	chunks []chunk
	ends   []uint64 // offsets of its end records
}

// chunk is the payload of a data record.
type chunk struct {
	offset uint64
	data   []byte
}

// of returns the connection of a client, by its ends.
func (d *dump) of(t *testing.T, client string) *conn {
	t.Helper()
	require.Contains(t, d.bySource, client, "no record of the client's connection")
	return d.bySource[client]
}

// vms returns how many VMs have written records.
func (d *dump) vms() int {
	vms := map[uint64]bool{}
	for id := range d.conns {
		vms[id.VM] = true
	}
	return len(vms)
}

// kept returns the bytes in data records.
func (s *stream) kept() (n uint64) {
	for _, c := range s.chunks {
		n += uint64(len(c.data))
	}
	return n
}

// bytes returns the recorded bytes if they are one piece, which begins at offset.
func (s *stream) bytes(t *testing.T, offset uint64) []byte {
	t.Helper()
	all := make([]byte, 0, s.kept())
	for _, c := range s.chunks {
		require.Equal(t, offset+uint64(len(all)), c.offset, "bytes are missing before a data record")
		all = append(all, c.data...)
	}
	return all
}

// digest returns the recorded bytes' digest if they are one piece from byte 0.
func (s *stream) digest(t *testing.T) digest {
	t.Helper()
	h := sha256.New()
	var length uint64
	for _, c := range s.chunks {
		require.Equal(t, length, c.offset, "bytes are missing before a data record")
		length += uint64(len(c.data))
		h.Write(c.data)
	}
	return digest{length: length, sum: [sha256.Size]byte(h.Sum(nil))}
}

// reader reads a log that is still written.
type reader struct {
	log  *os.File
	text *bufio.Reader
	part []byte // of a line that is not yet whole
	dump *dump
}

func newReader(t *testing.T, name string) *reader {
	t.Helper()
	log, err := os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return &reader{
		log: log, text: bufio.NewReaderSize(log, 1<<20),
		dump: &dump{conns: map[record.ConnID]*conn{}, bySource: map[string]*conn{}},
	}
}

// read takes the lines that were written since the last time. Records must be whole, checked by their sums, and in the
// order of their numbers.
func (r *reader) read(t *testing.T) {
	t.Helper()
	for {
		line, err := r.text.ReadBytes('\n')
		r.part = append(r.part, line...)
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		require.NoError(t, r.dump.add(r.part))
		r.part = r.part[:0]
	}
}

func (d *dump) add(line []byte) error {
	for from := 0; ; {
		start, damaged := record.Find(line, from)
		switch {
		case start < 0:
			return nil
		case damaged:
			return fmt.Errorf("read a damaged record: %s", line)
		}
		r, n, err := record.Parse(line[start:], nil)
		if err != nil {
			return fmt.Errorf("parse a record: %w: %s", err, line)
		}
		if err := d.take(&r); err != nil {
			return fmt.Errorf("%w: %s", err, line)
		}
		d.longest = max(d.longest, len(bytes.TrimRight(line, "\n")))
		from = start + n
	}
}

func (d *dump) take(r *record.Record) error {
	d.records++
	c, ok := d.conns[r.Conn]
	if !ok {
		c = &conn{id: r.Conn, port: r.Port, windows: map[record.UUID]bool{}}
		d.conns[r.Conn] = c
	}
	switch {
	case r.Seq != c.records:
		return fmt.Errorf("record %d of a connection follows %d others", r.Seq, c.records)
	case (r.Kind == record.KindOpen) != (r.Seq == 0):
		return fmt.Errorf("%s record has number %d", r.Kind, r.Seq)
	case c.closed != nil:
		return fmt.Errorf("%s record after the close record", r.Kind)
	case r.Port != c.port:
		return fmt.Errorf("port changes from %d to %d", c.port, r.Port)
	}
	c.records++
	c.windows[r.Window] = true
	switch r.Kind {
	case record.KindOpen:
		c.open = r.Open
		source := ends(r.Open.Source, r.Open.Destination)
		if other, ok := d.bySource[source]; ok && other.closed == nil {
			return fmt.Errorf("two connections at once between %s", source)
		}
		d.bySource[source] = c
	case record.KindData:
		s := &c.streams[r.Direction]
		s.chunks = append(s.chunks, chunk{offset: r.Offset, data: r.Payload})
	case record.KindEnd:
		s := &c.streams[r.Direction]
		s.ends = append(s.ends, r.Offset)
	case record.KindClose:
		c.closed = r.Close
		d.closes++
	}
	return nil
}

// requireWhole requires that a connection was recorded from its first byte to its end, both directions.
func requireWhole(t *testing.T, c *conn, want talk) {
	t.Helper()
	require.Equal(t, want.sent, c.streams[record.Downstream].digest(t), "what the client sent")
	require.Equal(t, want.received, c.streams[record.Upstream].digest(t), "what the service sent")
	require.Equal(t, []uint64{want.sent.length}, c.streams[record.Downstream].ends)
	require.Equal(t, []uint64{want.received.length}, c.streams[record.Upstream].ends)
	require.NotNil(t, c.closed)
	require.Equal(t, record.Ledger{Seen: want.sent.length, Kept: want.sent.length}, c.closed.Downstream)
	require.Equal(t, record.Ledger{Seen: want.received.length, Kept: want.received.length}, c.closed.Upstream)
}

// decode runs the decode command on a log, which must succeed, and returns what it says.
func decode(t *testing.T, log string, args ...string) string {
	t.Helper()
	text, err := exec.Command(commandLine(t), append(append([]string{"decode"}, args...), log)...).CombinedOutput()
	require.NoError(t, err, "%s", text)
	return string(text)
}

// requireDecoded requires that the decode command finds all connections in a log, by their identifiers, without a fault.
func requireDecoded(t *testing.T, log string, want map[string]talk) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "streams")
	decode(t, log, "--format", "raw", "--out", dir, "--strict")
	read := func(name string) digest {
		stream, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			return digestOf(nil) // a direction without bytes has no file
		}
		require.NoError(t, err)
		return digestOf(stream)
	}
	for id, talk := range want {
		require.Equal(t, talk.sent, read(id+".downstream"))
		require.Equal(t, talk.received, read(id+".upstream"))
	}
}

// ledger returns the ledger of seen bytes of which all but kept were dropped for one reason.
func ledger(seen, kept uint64, reason strategy.Reason) record.Ledger {
	l := record.Ledger{Seen: seen, Kept: kept}
	if seen > kept {
		l.Dropped = []record.Drop{{Reason: reason.String(), Bytes: seen - kept}}
	}
	return l
}

// joined returns the recorded bytes as pieces of a size that the recorded bytes do not cross, each with its offset.
func (s *stream) joined(size uint64) (pieces []chunk) {
	for _, c := range s.chunks {
		if last := len(pieces) - 1; last >= 0 && c.offset%size != 0 && c.offset == pieces[last].offset+uint64(len(pieces[last].data)) {
			pieces[last].data = append(pieces[last].data, c.data...)
			continue
		}
		pieces = append(pieces, chunk{c.offset, bytes.Clone(c.data)})
	}
	return pieces
}
