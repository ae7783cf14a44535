package dumplog

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"l4dump/record"
)

func gzipped(tb testing.TB, text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.String()
}

func zstandard(tb testing.TB, text string) string {
	w, err := zstd.NewWriter(nil)
	require.NoError(tb, err)
	return string(w.EncodeAll([]byte(text), nil))
}

func xzipped(tb testing.TB, text string) string {
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	require.NoError(tb, err)
	_, err = io.WriteString(w, text)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.String()
}

// bzipped is "hello\n", by bzip2.
func bzipped(tb testing.TB) string {
	b, err := base64.StdEncoding.DecodeString("QlpoOTFBWSZTWcHAgOIAAAFBAAAQAkSgADDNAMNGKZcXckU4UJDBwIDi")
	require.NoError(tb, err)
	return string(b)
}

func TestReader(t *testing.T) {
	const a, b = "first\n", "second\n"
	for _, row := range []struct {
		name       string
		input      string
		want       string
		compressed bool
	}{
		{"nothing", "", "", false},
		{"a byte", "x", "x", false},
		{"the beginning of a magic number", "\x1f", "\x1f", false},
		{"plain", a + b, a + b, false},
		{"gzip", gzipped(t, a), a, true},
		{"gzip, nothing in it", gzipped(t, ""), "", true},
		{"gzip, two members", gzipped(t, a) + gzipped(t, b), a + b, true},
		{"gzip, then plain", gzipped(t, a) + b, a + b, true},
		{"gzip, then zstd", gzipped(t, a) + zstandard(t, b), a + b, true},
		{"gzip, then xz", gzipped(t, a) + xzipped(t, b), a + b, true},
		{"gzip, then zeros", gzipped(t, a) + "\x00\x00", a + "\x00\x00", true},
		{"zstd", zstandard(t, a), a, true},
		{"zstd, two frames", zstandard(t, a) + zstandard(t, b), a + b, true},
		{"xz", xzipped(t, a), a, true},
		{"xz, two streams", xzipped(t, a) + xzipped(t, b), a + b, true},
		{"bzip2", bzipped(t), "hello\n", true},
		{"bzip2, two streams", bzipped(t) + bzipped(t), "hello\nhello\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.compressed, NewReader(strings.NewReader(row.input)).Compressed())
			got, err := io.ReadAll(NewReader(iotest.OneByteReader(strings.NewReader(row.input))))
			require.NoError(t, err)
			require.Equal(t, row.want, string(got))
		})
	}
}

// TestReaderCut reads compressed data up to where it is cut.
func TestReaderCut(t *testing.T) {
	var lines strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&lines, "line %d %x\n", i, i*i*7919)
	}
	text := lines.String()
	for _, row := range []struct {
		name  string
		input string
		least int
	}{
		{"gzip", gzipped(t, text), len(text) / 4},
		{"zstd", zstandard(t, text), len(text) / 4},
		{"xz", xzipped(t, text), len(text) / 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := io.ReadAll(NewReader(strings.NewReader(row.input[:len(row.input)/2])))
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.EqualError(t, err, row.name+" data ends early")
			require.Greater(t, len(got), row.least)
			require.True(t, strings.HasPrefix(text, string(got)))

			_, err = io.ReadAll(NewReader(strings.NewReader(row.input[:7])))
			require.EqualError(t, err, row.name+" data ends early")
		})
	}
	t.Run("damaged", func(t *testing.T) {
		input := []byte(gzipped(t, text))
		input[len(input)-5] ^= 1 // of the checksum
		got, err := io.ReadAll(NewReader(bytes.NewReader(input)))
		require.EqualError(t, err, "gzip data is damaged: gzip: invalid checksum")
		require.Equal(t, text, string(got))
	})
	t.Run("input fails", func(t *testing.T) {
		broken := errors.New("broken pipe")
		_, err := io.ReadAll(NewReader(io.MultiReader(strings.NewReader("text"), iotest.ErrReader(broken))))
		require.ErrorIs(t, err, broken)
	})
}

func reversed(lines []string) []string {
	all := slices.Clone(lines)
	slices.Reverse(all)
	return all
}

func TestIsNewestFirst(t *testing.T) {
	a, b := conversation(connA), conversation(connB)
	var mixed []string
	for i := range a {
		mixed = append(mixed, a[i], b[i])
	}
	batch := func(lines []string) string { return `["` + strings.Join(lines, `","`) + `"]` }
	for _, row := range []struct {
		name  string
		input string
		want  bool
	}{
		{"nothing", "", false},
		{"no record", "hello\nworld\n", false},
		{"a record", a[1], false},
		{"in order", logOf(mixed), false},
		{"newest first", logOf(reversed(mixed)), true},
		{"newest first, compressed", gzipped(t, logOf(reversed(mixed))), true},
		{"newest first, some out of order", logOf(append(append([]string(nil), mixed[0], mixed[1]), reversed(mixed[2:])...)), true},
		{"one line, in order", batch(mixed), false},
		{"one line, newest first", batch(reversed(mixed)), true},
		{"batches in order, newest first in each", batch(reversed(mixed[:6])) + "\n" + batch(reversed(mixed[6:])), false},
		{"batches newest first, in order in each", batch(mixed[6:]) + "\n" + batch(mixed[:6]), true},
		{"one record of each connection", logOf([]string{b[3], a[1]}), true},
		{"one record of each connection, in order", logOf([]string{a[1], b[3]}), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := IsNewestFirst(t.Context(), strings.NewReader(row.input))
			require.NoError(t, err)
			require.Equal(t, row.want, got)
		})
	}
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := IsNewestFirst(ctx, strings.NewReader("text"))
		require.ErrorIs(t, err, context.Canceled)
	})
}

// TestCopyBackward reads logs from their end, and finds each record at the place that reading forward gives it.
func TestCopyBackward(t *testing.T) {
	lines := conversation(connA)
	var long []string
	h := record.Header{Window: window, Port: 8080, Conn: connB}
	for h.Seq = range 1200 {
		long = append(long, string(record.AppendData(nil, &h, record.Upstream, 1000*h.Seq, bytes.Repeat([]byte("x"), 1000))))
	}
	for _, row := range []struct {
		name  string
		input string
	}{
		{"nothing", ""},
		{"a line break", "\n"},
		{"two line breaks", "\n\n"},
		{"a line", lines[0]},
		{"a line with its break", lines[0] + "\n"},
		{"lines", logOf(lines)},
		{"lines, the last without its break", strings.Join(lines, "\n")},
		{"lines between blocks", logOf(long)},
		{"parts", logOf([]string{
			criLine("stderr", "F", lines[1]), criLine("stderr", "F", lines[0][100:]), criLine("stderr", "P", lines[0][:100]),
		})},
		{"one long line", `["` + strings.Join(long, `","`) + `"]`},
		{"one long line without quotes", strings.Join(long, " ")},
		{"long lines between others", lines[0] + "\n" + `["` + strings.Join(long, `","`) + "\"]\n" + lines[1] + "\n" +
			strings.Repeat("x", 3<<20) + lines[2] + "\n" + lines[3] + "\n"},
		{"UTF-16", unicode16(logOf(lines), false, true)},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got found
			s := NewScanner(&got)
			require.NoError(t, CopyBackward(t.Context(), s, strings.NewReader(row.input), int64(len(row.input)), "log"))
			require.NoError(t, s.Finish())
			if row.name == "parts" {
				require.Equal(t, []string{"log:3:41", "log:1:41"}, got.places)
				return
			}
			want := scan(t, row.input, 1<<20)
			require.ElementsMatch(t, want.records, got.records)
			require.ElementsMatch(t, want.places, got.places)
			require.Equal(t, want.faults, got.faults)
			if !strings.Contains(row.name, "long") {
				require.Equal(t, reversed(want.records), got.records)
			}
		})
	}
}

func TestSpill(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	file, size, err := Spill(t.Context(), strings.NewReader("text"))
	require.NoError(t, err)
	require.Equal(t, int64(4), size)
	info, err := file.Stat()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, file.Close())

	broken := errors.New("broken")
	file, size, err = Spill(t.Context(), io.MultiReader(strings.NewReader("text"), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	require.Equal(t, int64(4), size, "what came before can be read")
	require.NoError(t, file.Close())
}
