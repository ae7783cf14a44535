package command

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// TestDecodeTap reads what Envoy's tap has written, among logs and captures, in folders, and compressed.
func TestDecodeTap(t *testing.T) {
	fixtures, err := filepath.Abs("../capture/envoytap/testdata")
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	tap := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(fixtures, name))
		require.NoError(t, err)
		return content
	}
	write := func(name string, content []byte) { require.NoError(t, os.WriteFile(name, content, 0o600)) }
	require.NoError(t, os.MkdirAll("taps/more", 0o700))
	write("whole.log", []byte(strings.Join(dumpLines(), "")))
	delimited := tap("listener-streamed-delimited.pb_length_delimited")
	write("other.log", []byte(strings.Join(dumpLinesOf(0x2b, "", "hello", "world\n"), "")))
	write("taps/tap_0.pb_length_delimited", delimited)
	write("taps/more/tap_1.json", tap("listener-buffered-bytes.json"))
	write("taps/tap_2.pb_text", tap("cluster-streamed-text.pb_text"))
	write("http.pb", tap("http-buffered.pb"))
	write("cut.pb", delimited[:len(delimited)-3])
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, err = zip.Write(tap("listener-buffered-binary.pb"))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	write("tap.pb.gz", zipped.Bytes())
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	write("tap.pb.zst", encoder.EncodeAll(tap("listener-streamed-binary.pb"), nil))
	require.NoError(t, encoder.Close())
	var capture bytes.Buffer
	require.Zero(t, Run(nil, &capture, io.Discard, []string{"decode", "--format", "pcapng", "whole.log"}))
	write("dump.pcapng", capture.Bytes())
	const summary = "5 records of 1 connection: 10 bytes downstream, 4 bytes upstream; 0 faults\n"
	for _, row := range []struct {
		name   string
		stdin  string
		args   []string
		code   int
		stderr string
	}{
		{"file", "", []string{"--strict", "taps/tap_0.pb_length_delimited"}, 0, summary},
		{"standard input", string(delimited), []string{"--strict"}, 0, summary},
		{"gzip", "", []string{"--strict", "tap.pb.gz"}, 0, summary},
		{"zstd", "", []string{"--strict", "tap.pb.zst"}, 0, summary},
		{"folder", "", []string{"--strict", "taps"}, 0, "15 records of 3 connections: 30 bytes downstream, 12 bytes upstream; 0 faults\n"},
		{
			"mixed with a log and a capture", "",
			[]string{"--strict", "other.log", "dump.pcapng", "taps", "tap.pb.gz"},
			0, "28 records of 6 connections: 50 bytes downstream, 28 bytes upstream; 0 faults\n",
		},
		{"by port", "", []string{"--port", "18443", "whole.log", "taps"}, 0, "10 records of 2 connections: 20 bytes downstream, 8 bytes upstream; 0 faults\n"},
		{
			"HTTP", "",
			[]string{"http.pb"},
			1, "http.pb:1: from this trace on, 1 are of Envoy's HTTP tap, which holds messages and not a connection's bytes: " +
				"it is not supported; tap the transport socket\n" +
				"no record was found: the input is an Envoy tap that holds no record\n" +
				"0 records of 0 connections: 0 bytes downstream, 0 bytes upstream; 1 fault\n",
		},
		{
			"cut", "",
			[]string{"--strict", "cut.pb"},
			1, "cut.pb:5: cannot be read further: the tap ends within a trace\n" +
				"cut.pb:4: connection CONN: its end is missing: it was still open, or the capture ends early\n" +
				"4 records of 1 connection: 10 bytes downstream, 4 bytes upstream; 2 faults\n",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := Run(strings.NewReader(row.stdin), &out, &errs, append([]string{"decode"}, row.args...))
			stdout, stderr := out.String(), errs.String()
			if i := strings.Index(stderr, "connection "); i >= 0 && strings.Contains(row.stderr, "CONN") {
				id := strings.TrimSuffix(strings.Fields(stderr[i:])[1], ":")
				stderr = strings.ReplaceAll(stderr, id, "CONN")
			}
			require.Equal(t, row.stderr, stderr)
			require.Equal(t, row.code, code)
			require.Equal(t, row.name != "HTTP", stdout != "")
		})
	}
	t.Run("inspect", func(t *testing.T) {
		code, table, stderr := runCommand("", "inspect", "--strict", "taps")
		require.Empty(t, stderr)
		require.Zero(t, code, table)
		code, _, stderr = runCommand("", "inspect", "none")
		require.Equal(t, 1, code)
		require.Equal(t, "l4dump: stat none: no such file or directory\n", stderr)
	})
	t.Run("byte by byte", func(t *testing.T) {
		var errs bytes.Buffer
		require.Zero(t, Run(iotest.OneByteReader(bytes.NewReader(delimited)), io.Discard, &errs, []string{"decode", "--strict"}))
		require.Equal(t, summary, errs.String())
	})
}

// TestDecodeToTap holds that a tap that decode has written gives the same records, with their ledgers, also from a file.
func TestDecodeToTap(t *testing.T) {
	t.Chdir(t.TempDir())
	log := strings.Join(dumpLines(), "")
	code, tap, stderr := runCommand(log, "decode", "--format", "tap")
	require.Zero(t, code)
	require.Equal(t, dumpSummary, stderr)
	code, text, stderr := runCommand(tap, "decode", "--strict")
	require.Zero(t, code)
	require.Equal(t, dumpText, text)
	require.Equal(t, dumpSummary, stderr)

	code, _, _ = runCommand(log, "decode", "--format", "tap", "--out", "dump.tap")
	require.Zero(t, code)
	written, err := os.ReadFile("dump.tap")
	require.NoError(t, err)
	require.Equal(t, tap, string(written))
	code, _, stderr = runCommand(log, "decode", "--format", "tap", "--out", "dump.tap")
	require.Equal(t, 1, code)
	require.Equal(t, "l4dump: open dump.tap: file exists; name another one, or replace it with --force\n", stderr)
}
