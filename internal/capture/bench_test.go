package capture

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
		writer func() (Writer, error)
	}{
		{"none", func() (Writer, error) { return nil, nil }},
		{"json", func() (Writer, error) { return NewJSONWriter(null), nil }},
		{"text", func() (Writer, error) { return NewTextWriter(null, false), nil }},
		{"raw", func() (Writer, error) { return NewRawWriter(filepath.Join(b.TempDir(), "raw"), true) }},
	} {
		b.Run(row.name, func(b *testing.B) {
			w, err := row.writer()
			require.NoError(b, err)
			b.SetBytes(int64(len(dump)))
			b.ReportAllocs()
			sink := Sink(SinkFunc(func(*Connection) Consumer { return nil }))
			if w != nil {
				sink = w
			}
			for b.Loop() {
				var faults failures
				d := NewDecoder(sink, LogOptions{Options: Options{Reporter: &faults}})
				require.NoError(b, d.Run(context.Background(), bytes.NewReader(dump), "log"))
				require.NoError(b, d.Finish())
				require.Empty(b, faults)
				require.Equal(b, uint64(4096+16), d.Stats().Records)
			}
			if w != nil {
				require.NoError(b, w.Close())
			}
		})
	}
}
