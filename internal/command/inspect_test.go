package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/inspect"
)

const inspectText = `4 records of 1 connection: 5 B downstream, 6 B upstream
2026-11-23 01:23:51.000 to 01:23:51.000 UTC, 0s

completeness  connections         bytes
whole                   1  100 %   11 B

the sample covers
100 % of the bytes that passed on these connections: 11 B of 11 B
100 % of the connections that the recorders numbered: 1 of 1; those between windows, not selected or not admitted have no number
70.0 % of the time or more: the first 21s of each 30 s, in 1 of 1 windows

protocol  connections  whole  downstream  upstream
unknown             1      1         5 B       6 B

port  connections  whole  downstream  upstream
8080            1      1         5 B       6 B

client    connections  whole  downstream  upstream
10.0.0.7            1      1         5 B       6 B

largest              protocol  client          port  bytes  lasted  completeness
9f0c6a1be3d2a417-2a  unknown   10.0.0.7:40112  8080   11 B      0s  whole
`

func TestInspect(t *testing.T) {
	t.Chdir(t.TempDir())
	lines := dumpLines()
	whole := strings.Join(lines, "")
	lossy := lines[0] + lines[2] + lines[3]
	require.NoError(t, os.WriteFile("first.log", []byte(lines[0]+lines[1]), 0o600))
	require.NoError(t, os.WriteFile("second.log", []byte(lines[2]+lines[3]), 0o600))
	require.NoError(t, os.WriteFile("cut.log.gz", []byte("\x1f\x8b\x08\x00"), 0o600))
	require.NoError(t, os.Mkdir("logs", 0o700))
	require.NoError(t, os.WriteFile("logs/whole.log", []byte(whole), 0o600))
	const hint = "Run 'l4dump inspect --help' for the usage.\n"
	const nothing = "0 records of 0 connections: 0 B downstream, 0 B upstream\n"
	for _, row := range []struct {
		name   string
		stdin  string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"standard input", whole, nil, 0, inspectText, ""},
		{"standard input by name", whole, []string{"-"}, 0, inspectText, ""},
		{"two files", "", []string{"first.log", "second.log"}, 0, inspectText, ""},
		{"a folder", "", []string{"logs"}, 0, inspectText, ""},
		{"strict", whole, []string{"--strict"}, 0, inspectText, ""},
		{"a port, of which nothing is there", whole, []string{"--port", "1"}, 1, nothing, "no record was found of those that were asked for\n"},
		{"empty", "", nil, 1, nothing, "no record was found: the input is empty\n"},
		{
			"an input that cannot be read", "",
			[]string{"cut.log.gz"},
			1,
			nothing + "\nfaults                          the first\ndamaged or unreadable input  1  cut.log.gz: cannot be read further: gzip data ends early\nl4dump decode prints each one\n",
			"no record was found\n",
		},
		{"no such file", "", []string{"none.log"}, 1, "", "l4dump: stat none.log: no such file or directory\n"},
		{"--top 0", "", []string{"--top", "0"}, 2, "", "l4dump: --top is 0; wanted 1 to 1000\n" + hint},
		{"--top 1001", "", []string{"--top", "1001"}, 2, "", "l4dump: --top is 1001; wanted 1 to 1000\n" + hint},
		{"--force alone", "", []string{"--force"}, 2, "", "l4dump: --force belongs to --html\n" + hint},
		{"a page", whole, []string{"--html", "page.html"}, 0, inspectText, ""},
		{
			"a page that is there", whole,
			[]string{"--html", "page.html"},
			1, "", "l4dump: open page.html: file exists; name another one, or replace it with --force\n",
		},
		{"a page, replaced", whole, []string{"--html", "page.html", "--force"}, 0, inspectText, ""},
		{"a page in no folder", whole, []string{"--html", "none/page.html"}, 1, "", "l4dump: open none/page.html: no such file or directory\n"},
		{
			"several faults", "",
			[]string{"--color", "red", "--port", "65536"},
			2, "", "l4dump: --color is \"red\"; wanted auto, always or never\n        --port is \"65536\"; wanted 0 to 65535\n" + hint,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Run(strings.NewReader(row.stdin), &stdout, &stderr, append([]string{"inspect"}, row.args...))
			require.Equal(t, row.stderr, stderr.String())
			require.Equal(t, row.stdout, stdout.String())
			require.Equal(t, row.code, code)
		})
	}

	page, err := os.ReadFile("page.html")
	require.NoError(t, err)
	require.Contains(t, string(page), dumpConn)
	require.Contains(t, string(page), "<title>standard input · l4dump</title>")

	for _, row := range []struct {
		name  string
		stdin string
		args  []string
		code  int
		want  uint64 // connections that are whole
	}{
		{"whole", whole, nil, 0, 1},
		{"a record is missing", lossy, nil, 0, 0},
		{"a record is missing, strict", lossy, []string{"--strict"}, 1, 0},
	} {
		t.Run("JSON/"+row.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Run(strings.NewReader(row.stdin), &stdout, &stderr, append([]string{"inspect", "--json"}, row.args...))
			require.Empty(t, stderr.String())
			require.Equal(t, row.code, code)
			var report inspect.Report
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &report))
			require.Equal(t, []any{uint64(1), row.want}, []any{report.Connections, report.States[0].Connections})
		})
	}
}

// TestInspectPageIsPrivate holds that nobody else may read a page, whatever stood in its place.
func TestInspectPageIsPrivate(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("old.html", nil, 0o644))
	for _, name := range []string{"old.html", "new.html"} {
		require.Zero(t, Run(strings.NewReader(dumpLines()[0]), io.Discard, io.Discard, []string{"inspect", "--force", "--html", name}))
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

// TestInspectPageOfNoInput holds that no part of a page stays if an input cannot be read.
func TestInspectPageOfNoInput(t *testing.T) {
	t.Chdir(t.TempDir())
	var stderr bytes.Buffer
	require.Equal(t, 1, Run(failingInput{}, io.Discard, &stderr, []string{"inspect", "--html", "page.html"}))
	require.Equal(t, "l4dump: read stdin: no input\n", stderr.String())
	require.NoFileExists(t, "page.html")
}

type failingInput struct{}

func (failingInput) Read([]byte) (int, error) { return 0, errors.New("no input") }

func TestTitleOf(t *testing.T) {
	require.Equal(t, "a, b, c", titleOf([]string{"a", "b", "c"}))
	require.Equal(t, "a, b, c and 1 more", titleOf([]string{"a", "b", "c", "d"}))
}

func TestInspectColors(t *testing.T) {
	whole := strings.Join(dumpLines(), "")
	var stdout, stderr bytes.Buffer
	require.Zero(t, Run(strings.NewReader(whole), &stdout, &stderr, []string{"inspect", "--color", "always"}))
	require.Contains(t, stdout.String(), "\x1b[32mwhole ")
}

func TestInspectOutputFails(t *testing.T) {
	var stderr bytes.Buffer
	require.Equal(t, 1, Run(strings.NewReader(dumpLines()[1]), failingOutput{}, &stderr, []string{"inspect"}))
	require.Contains(t, stderr.String(), "l4dump: write report: ")
}
