package command

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"l4dump/record"
)

const (
	dumpConn   = "9f0c6a1be3d2a417-2a"
	dumpWindow = "01a20600-4250-801e-ac34-64756d700000"
)

// dumpLines is the log of one connection: open, data, data, close.
func dumpLines() []string { return dumpLinesOf(0x2a, "", "hello", "world\n") }

// dumpLinesOf is such a log of a connection with a number, a filter after the plugin, what the client sent, and what the service did.
func dumpLinesOf(number uint64, next, client, service string) []string {
	const prefix = "[2026-11-23 01:23:51.887][25111][info][wasm] " +
		"[source/extensions/common/wasm/context.cc:1151] wasm log l4dump l4dump l4dump-v1: "
	h := record.Header{
		Window: record.UUID{0x01, 0xa2, 0x06, 0x00, 0x42, 0x50, 0x80, 0x1e, 0xac, 0x34, 0x64, 0x75, 0x6d, 0x70, 0x00, 0},
		Port:   8080,
		Conn:   record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: number},
		Time:   1795397031000000000,
	}
	var lines []string
	add := func(line []byte) {
		lines = append(lines, prefix+string(line)+"\n")
		h.Seq++
		h.Time++
	}
	add(record.AppendOpen(nil, &h, &record.Open{
		Unit: "connections", Started: h.Time, Source: "10.0.0.7:40112", Destination: "10.0.0.9:8080", Next: next,
	}))
	add(record.AppendData(nil, &h, record.Downstream, 0, []byte(client)))
	add(record.AppendData(nil, &h, record.Upstream, 0, []byte(service)))
	all := func(text string) record.Ledger {
		return record.Ledger{Seen: uint64(len(text)), Kept: uint64(len(text))}
	}
	add(record.AppendClose(nil, &h, &record.Close{By: "upstream", Downstream: all(client), Upstream: all(service)}))
	return lines
}

const (
	dumpText = `2026-11-23T01:23:51.000000000Z 9f0c6a1be3d2a417-2a #0 open 10.0.0.7:40112 -> 10.0.0.9:8080, port 8080, unit connections, started 2026-11-23T01:23:51.000000000Z, window 01a20600-4250-801e-ac34-64756d700000
` + dumpTextData + `2026-11-23T01:23:51.000000003Z 9f0c6a1be3d2a417-2a #3 close by upstream; downstream seen 5, kept 5; upstream seen 6, kept 6
`
	dumpTextData = `2026-11-23T01:23:51.000000001Z 9f0c6a1be3d2a417-2a #1 downstream at 0, 5 bytes
00000000  68 65 6c 6c 6f                                    |hello|
2026-11-23T01:23:51.000000002Z 9f0c6a1be3d2a417-2a #2 upstream at 0, 6 bytes
00000000  77 6f 72 6c 64 0a                                 |world.|
`
	dumpJSON = `{"kind":"open","window":"01a20600-4250-801e-ac34-64756d700000","port":8080,"conn":"9f0c6a1be3d2a417-2a","seq":0,"time":"2026-11-23T01:23:51.000000000Z","unit":"connections","started":"2026-11-23T01:23:51.000000000Z","source":"10.0.0.7:40112","destination":"10.0.0.9:8080","mtls":false}
{"kind":"data","window":"01a20600-4250-801e-ac34-64756d700000","port":8080,"conn":"9f0c6a1be3d2a417-2a","seq":1,"direction":"downstream","offset":0,"time":"2026-11-23T01:23:51.000000001Z","length":5,"data":"aGVsbG8="}
{"kind":"data","window":"01a20600-4250-801e-ac34-64756d700000","port":8080,"conn":"9f0c6a1be3d2a417-2a","seq":2,"direction":"upstream","offset":0,"time":"2026-11-23T01:23:51.000000002Z","length":6,"data":"d29ybGQK"}
{"kind":"close","window":"01a20600-4250-801e-ac34-64756d700000","port":8080,"conn":"9f0c6a1be3d2a417-2a","seq":3,"time":"2026-11-23T01:23:51.000000003Z","by":"upstream","downstream":{"seen":5,"kept":5,"dropped":{}},"upstream":{"seen":6,"kept":6,"dropped":{}}}
`
	noSummary   = "0 records of 0 connections: 0 bytes downstream, 0 bytes upstream; 0 faults\n"
	dumpSummary = "4 records of 1 connection: 5 bytes downstream, 6 bytes upstream; 0 faults\n"
)

func TestDecode(t *testing.T) {
	t.Chdir(t.TempDir())
	lines := dumpLines()
	whole := strings.Join(lines, "")
	write := func(name, text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	write("whole.log", whole)
	write("lossy.log", lines[0]+lines[2]+lines[3])
	write("first.log", lines[0]+lines[1])
	write("second.log", lines[2]+lines[3])
	write("empty.log", "")
	var compressed bytes.Buffer
	zip := gzip.NewWriter(&compressed)
	_, err := zip.Write([]byte(whole))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	write("whole.log.gz", compressed.String())
	write("cut.log.gz", compressed.String()[:20])
	newest := slices.Clone(lines)
	slices.Reverse(newest)
	write("newest.log", strings.Join(newest, ""))
	write("0.log", lines[2][100:]+lines[3])
	write("0.log.20261123-012345", lines[0]+lines[1]+lines[2][:100])
	write("layotto.log", "["+dumpWindow+"][8080]68 69\n")
	require.NoError(t, os.MkdirAll("logs/pod/container", 0o700))
	require.NoError(t, os.Mkdir("empty", 0o700))
	write("logs/pod/container/1.log", lines[2]+lines[3])
	write("linked", lines[0]+lines[1])
	require.NoError(t, os.Symlink("../linked", "logs/0.log"))
	require.NoError(t, os.Mkdir("used", 0o700))
	write("used/file", "")

	const hint = "Run 'l4dump decode --help' for the usage.\n"
	lossyFaults := "lossy.log:2:128: connection 9f0c6a1be3d2a417-2a: record 1 is missing\n" +
		"lossy.log:3:128: connection 9f0c6a1be3d2a417-2a: the lost records held 5 bytes of downstream\n" +
		"3 records of 1 connection: 0 bytes downstream, 6 bytes upstream; 2 faults\n"
	lossyText := strings.Replace(dumpText, dumpTextData[:strings.Index(dumpTextData, "|hello|")+8], "", 1)
	for _, row := range []struct {
		name   string
		stdin  string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"standard input", whole, nil, 0, dumpText, dumpSummary},
		{"standard input by name", whole, []string{"-"}, 0, dumpText, dumpSummary},
		{"file", "", []string{"whole.log"}, 0, dumpText, dumpSummary},
		{"two files", "", []string{"first.log", "second.log"}, 0, dumpText, dumpSummary},
		{"two files in the wrong order", "", []string{"second.log", "first.log"}, 0, dumpText, dumpSummary},
		{"file and standard input", lines[2] + lines[3], []string{"first.log", "-"}, 0, dumpText, dumpSummary},
		{"strict", "", []string{"--strict", "whole.log"}, 0, dumpText, dumpSummary},
		{"JSON", whole, []string{"--format", "json"}, 0, dumpJSON, dumpSummary},
		{
			"color", lines[1],
			[]string{"--color", "always"},
			0,
			"\x1b[36m2026-11-23T01:23:51.000000001Z 9f0c6a1be3d2a417-2a #1 downstream at 0, 5 bytes\x1b[0m\n" +
				"00000000  68 65 6c 6c 6f                                    |hello|\n",
			"stdin:1:128: connection 9f0c6a1be3d2a417-2a: the log begins at its record 1: what came before is missing\n" +
				"stdin:1:128: connection 9f0c6a1be3d2a417-2a: no close record: it was still open, or the log ends early\n" +
				"1 record of 1 connection: 5 bytes downstream, 0 bytes upstream; 2 faults\n",
		},
		{"follow standard input", whole, []string{"--follow"}, 0, dumpText, dumpSummary},
		{
			"follow, still open", lines[0],
			[]string{"-f", "--strict", "-"},
			0, dumpText[:strings.Index(dumpText, "\n")+1],
			"1 record of 1 connection: 0 bytes downstream, 0 bytes upstream; 0 faults\n",
		},
		{"empty", "", []string{"empty.log"}, 1, "", "no record was found: the input is empty\n0 records of 0 connections: 0 bytes downstream, 0 bytes upstream; 0 faults\n"},
		{"empty, strict", "", []string{"--strict", "empty.log"}, 1, "", "no record was found: the input is empty\n0 records of 0 connections: 0 bytes downstream, 0 bytes upstream; 0 faults\n"},
		{"loss", "", []string{"lossy.log"}, 0, lossyText, lossyFaults},
		{"loss, strict", "", []string{"--strict", "lossy.log"}, 1, lossyText, lossyFaults},
		{
			"loss in another connection, strict", "",
			[]string{"--strict", "--conn", "9f0c6a1be3d2a417-2b", "lossy.log"},
			1, "",
			"no record was found of those that were asked for\n0 records of 0 connections: 0 bytes downstream, 0 bytes upstream; 0 faults\n",
		},
		{
			"none that was asked for", whole,
			[]string{"--port", "1"},
			1, "", "no record was found of those that were asked for\n" + noSummary,
		},
		{
			"a part of a record only", lines[1][:len(lines[1])-10] + "\n", nil, 1, "",
			"stdin:1:128: damaged: record is cut short\nno record was found: each one in the input is damaged\n" +
				strings.Replace(noSummary, "0 faults", "1 fault", 1),
		},
		{
			"a document with an example", "[01a20a35-6080-8e10-ac34-64756d700000][10000] L4D1 data conn=2dd5b5dded5698b0-1 seq=1 … sum=…\n", nil, 1, "",
			"stdin:1:1: damaged: record is malformed\nno record was found: each one in the input is damaged\n" +
				strings.Replace(noSummary, "0 faults", "1 fault", 1),
		},
		{"compressed", "", []string{"--strict", "whole.log.gz"}, 0, dumpText, dumpSummary},
		{"compressed, cut", "", []string{"cut.log.gz"}, 1, "", "cut.log.gz: cannot be read further: gzip data ends early\nno record was found\n" +
			strings.Replace(noSummary, "0 faults", "1 fault", 1)},
		{"compressed, cut, and another file", "", []string{"cut.log.gz", "whole.log"}, 1, dumpText, "cut.log.gz: cannot be read further: gzip data ends early\n" +
			strings.Replace(dumpSummary, "0 faults", "1 fault", 1)},
		{"compressed standard input", compressed.String(), nil, 0, dumpText, dumpSummary},
		{"newest first", "", []string{"--strict", "newest.log"}, 0, dumpText, dumpSummary},
		{"rotated, in the shell's order", "", []string{"--strict", "0.log", "0.log.20261123-012345"}, 0, dumpText, dumpSummary},
		{
			"a configuration", "static_resources: {}\n", nil, 1, "",
			"no record was found: the input looks like a configuration; l4dump check reads those, l4dump decode reads the log of a proxy\n" + noSummary,
		},
		{
			"damaged only", strings.Replace(lines[1], "length=5", "length=6", 1), nil, 1, "",
			"stdin:1:128: damaged: record is malformed\nno record was found: each one in the input is damaged\n" +
				strings.Replace(noSummary, "0 faults", "1 fault", 1),
		},
		{
			"selected by connection, port and window", whole,
			[]string{"--conn", "9f0c6a1be3d2a417-2b", "--conn", dumpConn, "--port", "1,8080", "--window", dumpWindow},
			0, dumpText, dumpSummary,
		},
		{
			"Layotto", "",
			[]string{"layotto.log"},
			0,
			"layotto window 01a20600-4250-801e-ac34-64756d700000 port 8080, 2 bytes\n" +
				"00000000  68 69                                             |hi|\n",
			"lines in Layotto's format: 1; they name no connection, direction or order, so that no connection can be put together from them\n" +
				"0 records of 0 connections: 0 bytes downstream, 0 bytes upstream; 0 faults\n",
		},
		{
			"Layotto as JSON", "",
			[]string{"--format=json", "layotto.log"},
			0, "",
			"lines in Layotto's format: 1; they name no connection, direction or order, so that no connection can be put together from them\n" +
				"0 records of 0 connections: 0 bytes downstream, 0 bytes upstream; 0 faults\n",
		},
		{"raw", "", []string{"--format", "raw", "--out", "raw", "whole.log"}, 0, "", dumpSummary},
		{
			"raw again", "",
			[]string{"--format", "raw", "--out", "raw", "whole.log"},
			1, "",
			"l4dump: prepare raw: directory is not empty; name another one, or replace an earlier run's files with --force\n",
		},
		{"raw again with force", "", []string{"--format", "raw", "--out", "raw", "--force", "whole.log"}, 0, "", dumpSummary},
		{
			"raw over other files", "",
			[]string{"--format", "raw", "--out", "used", "whole.log"},
			1, "",
			"l4dump: prepare used: directory is not empty; name another one, or replace an earlier run's files with --force\n",
		},
		{"pcapng", "", []string{"--format", "pcapng", "--out", "dump.pcapng", "whole.log"}, 0, "", dumpSummary},
		{"pcapng read back", "", []string{"--strict", "dump.pcapng"}, 0, dumpText, dumpSummary},
		{
			"pcapng without packets", "\n\r\r\n", nil, 1, "",
			"stdin: cannot be read further: the capture ends within a block\n" +
				"no record was found: the input is a packet capture that holds no record\n" +
				strings.Replace(noSummary, "0 faults", "1 fault", 1),
		},
		{
			"pcapng again", "",
			[]string{"--format", "pcapng", "--out", "dump.pcapng", "whole.log"},
			1, "",
			"l4dump: open dump.pcapng: file exists; name another one, or replace it with --force\n",
		},
		{"pcapng again with force", "", []string{"--format", "pcapng", "--out", "dump.pcapng", "--force", "whole.log"}, 0, "", dumpSummary},
		{"pcapng, no such directory", "", []string{"--format", "pcapng", "--out", "no/dump.pcapng", "whole.log"}, 1, "", "l4dump: open no/dump.pcapng: no such file or directory\n"},
		{"missing file", "", []string{"whole.log", "missing.log"}, 1, "", "l4dump: stat missing.log: no such file or directory\n"},
		{"missing file, followed", "", []string{"-f", "missing.log"}, 1, "", "l4dump: stat missing.log: no such file or directory\n"},
		{"folder", "", []string{"logs"}, 0, dumpText, dumpSummary},
		{"folder without a file", "", []string{"whole.log", "empty"}, 1, "", "l4dump: read empty: want files in the folder, there is none\n"},
		{"follow a folder", "", []string{"--follow", "logs"}, 1, "", "l4dump: read logs: --follow wants a file, it is a folder\n"},
		{"unknown flag", "", []string{"--nope"}, 2, "", "l4dump: unknown flag: --nope\n" + hint},
		{"raw without a directory", "", []string{"--format", "raw"}, 2, "", "l4dump: --format raw needs --out DIR\n" + hint},
		{"directory without raw", "", []string{"--out", "raw"}, 2, "", "l4dump: --out belongs to --format raw, pcapng, tap or parquet\n" + hint},
		{"force without raw", "", []string{"--force"}, 2, "", "l4dump: --force belongs to --format raw, pcapng, tap or parquet\n" + hint},
		{"follow two files", "", []string{"-f", "a", "b"}, 2, "", "l4dump: --follow takes one FILE, not 2\n" + hint},
		{
			"every fault of the flags", "",
			[]string{"--format", "xml", "--color", "red", "--conn", "1", "--port", "65536", "--port", "x", "--window", "w"},
			2, "",
			`l4dump: --format is "xml"; wanted text, json, raw, pcapng, tap or parquet
        --color is "red"; wanted auto, always or never
        --conn is "1"; wanted an identifier like 9f0c6a1be3d2a417-2a
        --port is "65536"; wanted 0 to 65535
        --port is "x"; wanted 0 to 65535
        --window is "w"; wanted an identifier like 01a20600-4250-801e-ac34-64756d700000
` + hint,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Run(strings.NewReader(row.stdin), &stdout, &stderr, append([]string{"decode"}, row.args...))
			require.Equal(t, row.stderr, stderr.String())
			require.Equal(t, row.stdout, stdout.String())
			require.Equal(t, row.code, code)
		})
	}

	raw := map[string]string{}
	require.NoError(t, filepath.WalkDir("raw", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		raw[entry.Name()] = string(b)
		return err
	}))
	require.Equal(t, map[string]string{dumpConn + ".downstream": "hello", dumpConn + ".upstream": "world\n"}, raw)
}

// TestDecodeSummary holds what is said of connections whose bytes are not what they seem.
func TestDecodeSummary(t *testing.T) {
	const hello = "\x16\x03\x01\x02\x00\x01"
	const inexact = " before an HTTP connection manager; of pipelined requests, bytes stand more than once\n"
	for _, row := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"plain", dumpLinesOf(1, "tcp_proxy", "hello", "world"), ""},
		{"TLS", dumpLinesOf(1, "tcp_proxy", hello, "world"), "TLS, not decrypted: 1 connection\n"},
		{"still open", dumpLinesOf(1, "tcp_proxy", hello, "world")[:2], "TLS, not decrypted: 1 connection\n"},
		{"HTTP connection manager", dumpLinesOf(1, "http_connection_manager", "hello", "world"), "not exact: 1 connection" + inexact},
		{
			"both", dumpLinesOf(1, "http_connection_manager", hello, "world"),
			"TLS, not decrypted: 1 connection\nnot exact: 1 connection" + inexact,
		},
		{"masked", maskedLines(), "not exact: 1 connection with masked bytes\n"},
		{"another filter", dumpLinesOf(1, "other", "hello", "world"), ""},
		{"two", append(dumpLinesOf(1, "", hello, "world"), dumpLinesOf(2, "", hello, "world")...), "TLS, not decrypted: 2 connections\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Equal(t, 0, Run(strings.NewReader(strings.Join(row.lines, "")), &stdout, &stderr, []string{"decode", "-f", "-"}))
			last := strings.LastIndex(strings.TrimSuffix(stderr.String(), "\n"), "\n") + 1
			require.Equal(t, row.want, stderr.String()[:last])
		})
	}
}

// maskedLines are those of dumpLinesOf with a masked byte.
func maskedLines() []string {
	lines := dumpLinesOf(1, "tcp_proxy", "hello", "world")
	r, _, _ := record.Parse([]byte(lines[1][strings.Index(lines[1], "[01a20600"):]), nil)
	r.Payload[0] = '*'
	lines[1] = string(record.AppendMasked(nil, &r.Header, r.Direction, r.Offset, r.Payload, 1)) + "\n"
	return lines
}

func TestDecodeCompletion(t *testing.T) {
	for _, row := range []struct {
		flag string
		want string
	}{
		{"--format", "text\njson\nraw\npcapng\ntap\nparquet\n:4\n"},
		{"--color", "auto\nalways\nnever\n:4\n"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 0, Run(nil, &stdout, &stderr, []string{"__complete", "decode", row.flag, ""}))
		require.Equal(t, row.want, stdout.String())
	}
}

func TestDecodeOutputFails(t *testing.T) {
	var stderr bytes.Buffer
	code := Run(strings.NewReader(dumpLines()[1]), failingOutput{}, &stderr, []string{"decode"})
	require.Equal(t, 1, code)
	require.Equal(t, "l4dump: write records: disk full\n", stderr.String()[strings.Index(stderr.String(), "l4dump: "):])
}

type failingOutput struct{}

func (failingOutput) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestDecodeFollow follows a file through its rotation until it is interrupted.
func TestDecodeFollow(t *testing.T) {
	// The signal must not end the test where it comes late or early.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)

	path := filepath.Join(t.TempDir(), "envoy.log")
	lines := dumpLines()
	require.NoError(t, os.WriteFile(path, []byte(lines[0]), 0o600))
	var stdout, stderr watched
	code := make(chan int)
	go func() {
		code <- Run(strings.NewReader(""), &stdout, &stderr, []string{"decode", "--follow", "--strict", path})
	}()
	stdout.waitFor(t, dumpText[:strings.Index(dumpText, "\n")+1])

	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(lines[1])
	require.NoError(t, err)
	require.NoError(t, file.Close())
	stdout.waitFor(t, dumpText[:strings.Index(dumpText, "|hello|")+8])

	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, os.WriteFile(path, []byte(lines[2]+lines[3]), 0o600))
	stdout.waitFor(t, dumpText)

	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	require.Equal(t, 0, <-code)
	stderr.waitFor(t, dumpSummary)
}

// TestDecodeInterrupted ends a decoding whose input continues.
func TestDecodeInterrupted(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)

	r, w := io.Pipe()
	defer w.Close()
	var stdout, stderr watched
	code := make(chan int)
	go func() { code <- Run(r, &stdout, &stderr, []string{"decode"}) }()
	_, err := io.WriteString(w, strings.Join(dumpLines(), ""))
	require.NoError(t, err)
	stdout.waitFor(t, dumpText)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	require.Equal(t, 1, <-code)
	stderr.waitFor(t, dumpSummary+"l4dump: interrupted before the end of the log\n")
}

// watched is a buffer that another goroutine writes to.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// waitFor waits until exactly want was written.
func (w *watched) waitFor(t *testing.T, want string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.Equal(c, want, w.String()) }, 10*time.Second, 5*time.Millisecond)
}
