package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shop is a service whose answers have a number that is drawn anew.
func shop(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func oldShop(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Connection", "close")
	switch {
	case strings.HasPrefix(r.URL.Path, "/orders/"):
		fmt.Fprintf(w, `{"id":%q,"total":17.50,"request":"%08x"}`, r.URL.Path[8:], 0x10000000+rand.Uint32()>>4)
	default:
		http.NotFound(w, r)
	}
}

func newShop(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Connection", "close")
	switch {
	case r.URL.Path == "/orders/3":
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"error":"no such column"}`)
	case strings.HasPrefix(r.URL.Path, "/orders/"):
		fmt.Fprintf(w, `{"id":%q,"total":"17.50","request":"%08x"}`, r.URL.Path[8:], 0x10000000+rand.Uint32()>>4)
	default:
		http.NotFound(w, r)
	}
}

// shopLog is a recording of the old shop.
func shopLog(t *testing.T, orders int) string {
	t.Helper()
	var all [][]string
	for i := range orders {
		body := fmt.Sprintf(`{"id":"%d","total":17.50,"request":"%08x"}`, i, 0x10000000+i)
		all = append(all, dumpLinesOf(uint64(i+1), "", fmt.Sprintf("GET /orders/%d HTTP/1.1\r\nHost: shop\r\n\r\n", i), fmt.Sprintf(
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nDate: Mon, 23 Nov 2026 01:23:51 GMT\r\nContent-Length: %d\r\n\r\n%s", len(body), body)))
	}
	return replayLog(t, all...)
}

// outcome is what a program reads of a report.
type outcome struct {
	Outcome  string
	ExitCode int `json:"exit_code"`
	Turns    struct{ Selected, Equal, Masked, Different int }
	Findings []struct {
		Class, Kind, Path string
		Turns, Seen       int
		Examples          []struct {
			Again          string
			Expected, Came *struct{ Form, Text string }
		}
	}
	Noise []struct{ Path string }
}

func TestCompare(t *testing.T) {
	old, changed := shop(t, oldShop), shop(t, newShop)
	log := shopLog(t, 8)
	code, stdout, stderr := runCommand("", "replay", log, "--baseline", old, "--target", old, "--json")
	var same outcome
	require.NoError(t, json.Unmarshal([]byte(stdout), &same), "%s%s", stdout, stderr)
	require.Equal(t, []any{0, "same", 0}, []any{code, same.Outcome, len(same.Findings)}, stdout)
	require.Equal(t, 8, same.Turns.Masked)
	require.Equal(t, "l4dump: rules learned of what is noise: 1; --noise-out FILE keeps them\n", stderr)

	dir := t.TempDir()
	noise, page, junit := filepath.Join(dir, "noise.yaml"), filepath.Join(dir, "page.html"), filepath.Join(dir, "junit.xml")
	code, stdout, stderr = runCommand("", "replay", log, "--baseline", old, "--target", changed, "--json",
		"--noise-out", noise, "--html", page, "--junit", junit)
	var found outcome
	require.NoError(t, json.Unmarshal([]byte(stdout), &found), "%s%s", stdout, stderr)
	require.Empty(t, stderr)
	require.Equal(t, []any{1, "changed", 1}, []any{code, found.Outcome, found.ExitCode})
	require.Equal(t, 8, found.Turns.Different)
	var told []string
	for _, f := range found.Findings {
		require.Equal(t, 3, f.Seen)
		told = append(told, fmt.Sprintf("%s %s %s %d", f.Class, f.Path, f.Kind, f.Turns))
	}
	require.Contains(t, told, "GET /orders/{} body:$.total type 7")
	require.Contains(t, told, "GET /orders/{}  error 1")
	require.NotContains(t, stdout, "17.50", "no values")
	for _, path := range []string{noise, page, junit} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}

	code, stdout, stderr = runCommand("", "replay", log, "--baseline", old, "--target", old, "--json", "--noise", noise, "--frozen")
	require.Empty(t, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &same))
	require.Equal(t, []any{0, "same"}, []any{code, same.Outcome}, "what was learned is enough: %s", stdout)

	example := found.Findings[0].Examples[0]
	require.Equal(t, "error", found.Findings[0].Kind)
	require.Empty(t, example.Came.Text)
	words := strings.Fields(found.Findings[len(found.Findings)-1].Examples[0].Again)
	require.Equal(t, []string{"l4dump", "replay"}, words[:2])
	code, stdout, _ = runCommand("", words[1:]...)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "recorded 1, played 1 of 1\n")
}

// TestCompareWithTheRecording has nothing to learn from: what is drawn anew is told, until a rule says that it is noise.
func TestCompareWithTheRecording(t *testing.T) {
	old := shop(t, oldShop)
	log := shopLog(t, 2)
	code, stdout, _ := runCommand("", "replay", log, "--target", old, "--confirm", "0")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "CHANGED  GET /orders/{}: body:$.request, value\n         in 2 of 2 turns of 2 connections\n")
	require.Contains(t, stdout, "verdict  changed (exit 1)\n")

	rules := filepath.Join(t.TempDir(), "noise.yaml")
	require.NoError(t, os.WriteFile(rules, []byte("version: 1\nnoise:\n- {path: 'body:$.request', form: hex, reason: drawn}\n- {path: 'body:$.no', reason: none}\n"), 0o600))
	code, stdout, _ = runCommand("", "replay", log, "--target", old, "--noise", rules)
	require.Equal(t, 0, code, stdout)
	require.Contains(t, stdout, "noise    body:$.request in 2 values: drawn\nnoise    body:$.no in no value: none\n")
	require.Contains(t, stdout, "verdict  same (exit 0)\n")
}

func TestCompareReset(t *testing.T) {
	old := shop(t, oldShop)
	log, notes := shopLog(t, 1), filepath.Join(t.TempDir(), "passes")
	code, _, stderr := runCommand("", "replay", log, "--baseline", old, "--target", old, "--reset", "echo $L4DUMP_PASS $L4DUMP_TARGET >>"+notes)
	require.Equal(t, 0, code, stderr)
	passes, err := os.ReadFile(notes)
	require.NoError(t, err)
	require.Equal(t, "learn "+old+"\ncheck "+old+"\ncompare "+old+"\n", string(passes))

	code, _, stderr = runCommand("", "replay", log, "--baseline", old, "--target", old, "--reset", "exit 7")
	require.Equal(t, 1, code)
	require.Equal(t, "l4dump: reset before the pass \"learn\": exit status 7\n", stderr)
}

func TestCompareUsage(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "noise.yaml")
	require.NoError(t, os.WriteFile(rules, []byte("version: 1\nnoise:\n- {form: date}\n"), 0o600))
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing to compare", []string{"--no-compare", "--frozen"}, "--baseline, --twin, --reset, --noise, --noise-out, --frozen, --junit and --html do not go with --no-compare"},
		{"confirm", []string{"--confirm", "-1"}, "--confirm is -1; wanted 0 to 100"},
		{"confirm more", []string{"--confirm", "101"}, "--confirm is 101; wanted 0 to 100"},
		{"margin", []string{"--margin", "NaN"}, "--margin is NaN; wanted 0 to 1000 percent"},
		{"nothing to learn from", []string{"--noise-out", "x"}, "--noise-out wants --baseline to learn from, and no --frozen"},
		{"a twin of nothing", []string{"--twin", "127.0.0.1:1"}, "--twin wants --baseline, and no --frozen"},
		{"a twin elsewhere", []string{"--baseline", "127.0.0.1:1", "--twin", "192.0.2.1:80"}, "--twin: --target 192.0.2.1:80 is not on this machine"},
		{"no noise file", []string{"--noise", "/no/such/file"}, "--noise /no/such/file: open /no/such/file: no such file or directory"},
		{"a faulty noise file", []string{"--noise", rules}, "noise[1]: path: want one"},
		{"a baseline elsewhere", []string{"--baseline", "192.0.2.1:80"}, "--baseline: --target 192.0.2.1:80 is not on this machine"},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := runCommand("", append([]string{"replay", shopLog(t, 1), "--target", "127.0.0.1:1"}, row.args...)...)
			require.Equal(t, 2, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, row.want)
		})
	}
}

// TestCompareAgain has what a finding names to play again go to the same place in the same way.
func TestCompareAgain(t *testing.T) {
	old := shop(t, oldShop)
	log := shopLog(t, 1)
	_, stdout, _ := runCommand("", "replay", log, "--target", old, "--json", "--allow", "10.1.0.0/16,10.2.0.0/16", "--confirm=0",
		"--protocol", "80=http1", "--no-known-noise", "--copies", "2", "--html", filepath.Join(t.TempDir(), "a.html"), "--frozen=false", "--reset", "true; true")
	var found outcome
	require.NoError(t, json.Unmarshal([]byte(stdout), &found))
	require.Equal(t, "l4dump replay "+log+" --allow 10.1.0.0/16 --allow 10.2.0.0/16 --confirm 0 --no-known-noise --protocol 80=http1"+
		" --reset 'true; true' --target "+old+" --conn 9f0c6a1be3d2a417-1 --show-values", found.Findings[0].Examples[0].Again)
}

// TestCompareUnreachable has a target that is not there: it failed, and the report is written nevertheless.
func TestCompareUnreachable(t *testing.T) {
	log := shopLog(t, 8)
	code, stdout, _ := runCommand("", "replay", log, "--target", "127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "verdict  failed (exit 1)\n")
}

// TestCompareDies has a target that is not there any more: the run ends, and the target failed.
func TestCompareDies(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_ = listener.Close()
			request, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				w := httptest.NewRecorder()
				oldShop(w, request)
				_ = w.Result().Write(conn)
			}
			_ = conn.Close()
		}
	}()
	code, stdout, _ := runCommand("", "replay", shopLog(t, 20), "--target", listener.Addr().String(), "--connections", "1",
		"--noise", ruleFile(t, "{path: '*', kinds: [value, length, added, removed], reason: test}"))
	require.Equal(t, 1, code, stdout)
	require.Contains(t, stdout, "verdict  failed (exit 1)\n         the target cannot be reached: 5 failures in a row")
}

func ruleFile(t *testing.T, rule string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "noise.yaml")
	require.NoError(t, os.WriteFile(path, []byte("version: 1\nnoise: ["+rule+"]\n"), 0o600))
	return path
}

// TestCompareUnwritable has a report that cannot be written: nothing is played for it.
func TestCompareUnwritable(t *testing.T) {
	played := false
	old := shop(t, func(w http.ResponseWriter, r *http.Request) { played = true; oldShop(w, r) })
	code, stdout, stderr := runCommand("", "replay", shopLog(t, 1), "--target", old, "--junit", "/no/such/directory/junit.xml")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "/no/such/directory/junit.xml")
	require.False(t, played)
}

// TestCompareKeepsFiles has files that exist: they stay, and nothing is played, unless they may be replaced.
func TestCompareKeepsFiles(t *testing.T) {
	old := shop(t, oldShop)
	log := shopLog(t, 1)
	before, err := os.ReadFile(log)
	require.NoError(t, err)
	for _, flag := range []string{"--html", "--junit", "--noise-out"} {
		code, stdout, stderr := runCommand("", "replay", log, "--baseline", old, "--target", old, flag, log)
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "file exists; name another one, or replace it with --force")
		after, err := os.ReadFile(log)
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
	code, stdout, stderr := runCommand("", "replay", log, "--baseline", old, "--target", old, "--html", log, "--force")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "it is one of the inputs; name another file")
	after, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Equal(t, before, after)
	page := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, os.WriteFile(page, []byte("old"), 0o644))
	code, _, _ = runCommand("", "replay", log, "--baseline", old, "--target", old, "--html", page, "--force")
	require.Equal(t, 0, code)
	info, err := os.Stat(page)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// TestCompareDescribed has protocols of a description: one that is built in, and a user's file. Values of another length
// hold nothing up, and what is noise by the description is none of the differences.
func TestCompareDescribed(t *testing.T) {
	description := filepath.Join(t.TempDir(), "my.yaml")
	require.NoError(t, os.WriteFile(description, []byte("name: mine\nlength: {offset: 0, bytes: 1}\nid: {offset: 1, bytes: 1}\nnoise: [{offset: 2, bytes: 1}]\n"), 0o600))
	for _, row := range []struct {
		name, protocol           string
		request, recorded, comes string
		code                     int
		want                     string
	}{
		{"the same", "memcached", "get k\r\n", "VALUE k 0 1\r\na\r\nEND\r\n", "VALUE k 0 1\r\na\r\nEND\r\n", 0, "verdict  same"},
		{"another value", "memcached", "get k\r\n", "VALUE k 0 1\r\na\r\nEND\r\n", "VALUE k 0 2\r\nbb\r\nEND\r\n", 1, "CHANGED  get: bytes, value\n"},
		{"an error", "memcached", "get k\r\n", "VALUE k 0 1\r\na\r\nEND\r\n", "SERVER_ERROR no memory\r\n", 1, "CHANGED  get: error\n"},
		{"a file's, the same but for noise", description, "\x03\x07\x01a", "\x03\x07\x01b", "\x03\x07\x02b", 0, "verdict  same"},
		{"a file's, another", description, "\x03\x07\x01a", "\x03\x07\x01b", "\x03\x07\x02c", 1, "CHANGED  mine: bytes, value\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			target := serveEach(t, func(conn net.Conn) {
				if _, err := io.ReadFull(conn, make([]byte, len(row.request))); err == nil {
					_, _ = io.WriteString(conn, row.comes)
				}
			})
			code, stdout, stderr := runCommand("", "replay", replayLog(t, dumpLinesOf(1, "", row.request, row.recorded)),
				"--target", target, "--protocol", row.protocol)
			require.Equal(t, row.code, code, "%s%s", stdout, stderr)
			require.Contains(t, stdout, row.want)
			require.Contains(t, stdout, "forced 0\n")
		})
	}
}

func TestQuoteWords(t *testing.T) {
	require.Equal(t, `a.log /x-y_z:1 '' 'a b' 'it'\''s'`, quoteWords([]string{"a.log", "/x-y_z:1", "", "a b", "it's"}))
}
