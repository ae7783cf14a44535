package pcapng

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/capturetest"
	"l4dump/internal/capture/dumplog"
	"l4dump/record"
)

// benchmarkDump is a dump of about 16 MiB in lines of about 4096 bytes, from eight connections in turn.
func benchmarkDump() []byte {
	var dump bytes.Buffer
	payload := []byte(strings.Repeat("payload!", 233))
	for i := range uint64(4096) {
		h := record.Header{Window: capturetest.Window, Port: 8080, Conn: record.ConnID{VM: 1, Number: i % 8}, Seq: i / 8, Time: capturetest.StartTime}
		line := record.AppendOpen(nil, &h, &record.Open{Unit: "connections", Source: client4, Destination: server4Text})
		if h.Seq > 0 {
			line = record.AppendData(nil, &h, record.Direction(h.Seq%2), (h.Seq-1)/2*uint64(len(payload)), payload)
		}
		dump.Write(append(line, '\n'))
	}
	return dump.Bytes()
}

// BenchmarkWrite reports the bytes of dump text that become packets each second: all of `l4dump decode` besides the
// files.
func BenchmarkWrite(b *testing.B) {
	dump := benchmarkDump()
	b.SetBytes(int64(len(dump)))
	b.ReportAllocs()
	for b.Loop() {
		w := NewWriter(io.Discard, nil)
		log := dumplog.NewSource(dumplog.Options{}, dumplog.Stream{Name: "dump", Reader: bytes.NewReader(dump)})
		stats, err := capture.Read(b.Context(), w, capture.Options{}, log)
		require.NoError(b, err)
		require.NoError(b, w.Close())
		require.Equal(b, uint64(4096), stats.Records)
	}
}
