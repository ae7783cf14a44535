package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDecodeChooses chooses among three connections, whose numbers are 1 to 3.
func TestDecodeChooses(t *testing.T) {
	t.Chdir(t.TempDir())
	var log strings.Builder
	for i, said := range []string{"GET /a", "GET /bb", "PUT \x00"} {
		log.WriteString(strings.Join(dumpLinesOf(uint64(i+1), "", said, "answer"), ""))
	}
	require.NoError(t, os.WriteFile("a.log", []byte(log.String()), 0o600))
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for _, row := range []struct {
		name string
		args []string
		code int
		want []string // the numbers of those that are written
	}{
		{"text", []string{"--grep", "GET"}, 0, []string{"1", "2"}},
		{"hex", []string{"--grep", "hex:20 00"}, 0, []string{"3"}},
		{"expression", []string{"--grep", "re:^[A-Z]+ /b{2}$"}, 0, []string{"2"}},
		{"of the other direction", []string{"--grep", "answer"}, 0, []string{"1", "2", "3"}},
		{"nothing", []string{"--grep", "DELETE"}, 1, nil},
		{"last", []string{"--last", "2"}, 0, []string{"2", "3"}},
		{"largest", []string{"--largest", "1"}, 0, []string{"2"}},
		{"last that match", []string{"--grep", "GET", "--last", "1"}, 0, []string{"2"}},
		{"with a connection", []string{"--grep", "GET", "--conn", "9f0c6a1be3d2a417-1"}, 0, []string{"1"}},
		{"with another port", []string{"--grep", "GET", "--port", "1"}, 1, nil},
	} {
		for _, input := range []string{"a.log", "-"} {
			t.Run(row.name+", "+input, func(t *testing.T) {
				args := append([]string{"decode", "--format", "raw", "--out", t.TempDir()}, row.args...)
				var stdout, stderr bytes.Buffer
				require.Equal(t, row.code, Run(strings.NewReader(log.String()), &stdout, &stderr, append(args, input)), stderr.String())
				files, err := filepath.Glob(filepath.Join(args[4], "*.downstream"))
				require.NoError(t, err)
				var got []string
				for _, file := range files {
					got = append(got, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "9f0c6a1be3d2a417-"), ".downstream"))
				}
				require.Equal(t, row.want, got)
				if row.code > 0 {
					require.Equal(t, "no record was found of those that were asked for\n"+noSummary, stderr.String())
				}
				left, err := filepath.Glob(filepath.Join(temporary, "l4dump-*"))
				require.NoError(t, err)
				require.Empty(t, left)
			})
		}
	}
	t.Run("every format", func(t *testing.T) {
		for _, format := range []string{"text", "json", "pcapng"} {
			var stdout, stderr bytes.Buffer
			require.Equal(t, 0, Run(nil, &stdout, &stderr, []string{"decode", "--format", format, "--grep", "bb", "--strict", "a.log"}))
			require.Contains(t, stdout.String(), "9f0c6a1be3d2a417-2")
			require.NotContains(t, stdout.String(), "9f0c6a1be3d2a417-1")
			require.Equal(t, "4 records of 1 connection: 7 bytes downstream, 6 bytes upstream; 0 faults\n", stderr.String())
		}
	})
	t.Run("a conversation with colors", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 0, Run(nil, &stdout, &stderr, []string{"decode", "--conversation", "--color=always", "--grep", "bb", "a.log"}))
		require.Equal(t, "\x1b[1mconnection 9f0c6a1be3d2a417-2 10.0.0.7:40112 -> 10.0.0.9:8080, port 8080, unit connections, "+
			"started 2026-11-23T01:23:51.000000000Z, window 01a20600-4250-801e-ac34-64756d700000\x1b[0m\n"+
			"\x1b[36m> downstream at 0 2026-11-23T01:23:51.000000001Z\x1b[0m\n"+
			"  GET /\x1b[7mbb\x1b[27m\n"+
			"\x1b[33m< upstream at 0 2026-11-23T01:23:51.000000002Z\x1b[0m\n"+
			"  answer\n"+
			"\x1b[1m= closed by upstream 2026-11-23T01:23:51.000000003Z; downstream seen 7, kept 7; upstream seen 6, kept 6\x1b[0m\n"+
			"\x1b[1m= whole\x1b[0m\n\n", stdout.String())
	})
	t.Run("wrong usage", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, Run(nil, &stdout, &stderr, []string{
			"decode", "--follow", "--format=json", "--conversation", "--grep", "hex:0", "--last=1", "--largest=2", "a.log",
		}))
		require.Contains(t, stderr.String(), `l4dump: --conversation belongs to --format text
        --grep is "hex:0"; want hex: with an even number of hex digits
        --last and --largest exclude each other
        --follow has no end at which --grep, --last and --largest could choose
`)
		stderr.Reset()
		require.Equal(t, 2, Run(nil, &stdout, &stderr, []string{"decode", "--last=-1", "--largest=-2", "a.log"}))
		require.Contains(t, stderr.String(), `l4dump: --last is -1; wanted 1 or more, or 0 for all
        --largest is -2; wanted 1 or more, or 0 for all
`)
	})
}
