package dumplog_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/record"
)

// benchmarkDump is a log of about 16 MiB in lines of 4096 bytes, from eight connections in turn.
func benchmarkDump(tb testing.TB) []byte {
	recorders := make([]*recorder, 8)
	var dump bytes.Buffer
	line := func(text string) {
		dump.WriteString(envoyPrefix)
		dump.WriteString(text)
		dump.WriteByte('\n')
	}
	for i := range recorders {
		recorders[i] = newRecorder(record.ConnID{VM: 1, Number: uint64(i + 1)})
		line(recorders[i].open())
	}
	for i := range 4096 {
		r := recorders[i%len(recorders)]
		overhead := len(envoyPrefix) + 1 + len(r.peek("")) + 4
		payload := strings.Repeat("payload!", 300)[:(4096-overhead)/2]
		text := r.data(record.Direction(i/8%2), payload)
		require.LessOrEqual(tb, len(envoyPrefix)+len(text)+1, 4096)
		require.Greater(tb, len(envoyPrefix)+len(text)+1, 4080)
		line(text)
	}
	for _, r := range recorders {
		line(r.close())
	}
	return dump.Bytes()
}

// BenchmarkDecode reports the bytes of dump text that each form takes a second. "none" finds, checks and orders
// records only.
func BenchmarkDecode(b *testing.B) {
	dump := benchmarkDump(b)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(b, err)
	defer null.Close()
	for _, row := range []struct {
		name   string
		writer func() (capture.Writer, error)
	}{
		{"none", func() (capture.Writer, error) { return nil, nil }},
		{"json", func() (capture.Writer, error) { return capture.NewJSONWriter(null), nil }},
		{"text", func() (capture.Writer, error) { return capture.NewTextWriter(null, false), nil }},
		{"raw", func() (capture.Writer, error) { return capture.NewRawWriter(filepath.Join(b.TempDir(), "raw"), true) }},
	} {
		b.Run(row.name, func(b *testing.B) {
			w, err := row.writer()
			require.NoError(b, err)
			b.SetBytes(int64(len(dump)))
			b.ReportAllocs()
			sink := capture.Sink(capture.SinkFunc(func(*capture.Connection) capture.Consumer { return nil }))
			if w != nil {
				sink = w
			}
			for b.Loop() {
				var faults failures
				source := dumplog.NewSource(dumplog.Options{}, streamOf(bytes.NewReader(dump)))
				stats, err := capture.Read(b.Context(), sink, capture.Options{Reporter: &faults}, source)
				require.NoError(b, err)
				require.Empty(b, faults)
				require.Equal(b, uint64(4096+16), stats.Records)
			}
			if w != nil {
				require.NoError(b, w.Close())
			}
		})
	}
}
