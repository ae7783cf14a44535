package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startNginx starts nginx with files of a folder, and returns its address. settings stand in its server block.
func startNginx(t *testing.T, files, settings string) string {
	t.Helper()
	address, dir := unusedAddress(t), t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr crit;
events {}
http {
	types { text/html html; application/json json; }
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s;
		root %[3]s;
		location /included/ { ssi on; ssi_last_modified on; }
		%[4]s
	}
}
`, dir, address, files, settings), 0o600))
	startProgram(t, address, "nginx", "-p", dir, "-c", config)
	return address
}

// nginxFiles writes the files that nginx has: of several sizes, all of one age.
func nginxFiles(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	age := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, content := range map[string][]byte{
		"empty.html": nil, "small.html": []byte("<p>hello</p>\n"), "large.bin": randomBytes(1, 1<<20),
		"page.html": bytes.Repeat([]byte("<p>a line of a page</p>\n"), 500), "data.json": []byte(`{"name": "data", "values": [1, 2, 3]}`),
		"included/page.html": []byte("<p>before</p>\n<!--# include virtual=\"/page.html\" -->\n<p>after</p>\n"),
	} {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o600))
		require.NoError(t, os.Chtimes(path, age, age))
	}
	return folder
}

// nginxConnections is how many connections useNginx makes.
const nginxConnections = 12

// useNginx sends what clients of a web server send: HEAD, ranges, conditions, compressed bodies, bodies in chunks, files
// that are not there; on connections that are kept and on such that are not.
func useNginx(t *testing.T, address string) {
	t.Helper()
	type request struct{ method, path, header, value string }
	var clients sync.WaitGroup
	for c := range nginxConnections {
		clients.Go(func() {
			transport := &http.Transport{MaxConnsPerHost: 1, DisableCompression: true, DisableKeepAlives: c >= nginxConnections/2}
			defer transport.CloseIdleConnections()
			all := []request{
				{"GET", "/small.html", "", ""},
				{"HEAD", "/page.html", "", ""},
				{"GET", "/page.html", "Range", "bytes=100-299"},
				{"GET", "/page.html", "Range", "bytes=0-9,20-29"},
				{"GET", "/page.html", "Range", "bytes=99999999-"},
				{"GET", "/empty.html", "", ""},
				{"GET", "/none.html", "", ""},
				{"GET", "/data.json", "If-Modified-Since", "Fri, 02 Jan 2026 03:04:05 GMT"},
				{"GET", "/data.json", "", ""},
				{"GET", "/included/page.html", "", ""},
				{"GET", "/page.html", "Accept-Encoding", "gzip"},
				{"POST", "/small.html", "", ""},
				{"GET", "/large.bin", "", ""},
			}
			if transport.DisableKeepAlives {
				all = all[2*(c-nginxConnections/2):][:1]
			}
			for _, r := range all {
				if !ask(t, transport, r.method, "http://"+address+r.path, "", r.header, r.value) {
					return
				}
			}
		})
	}
	clients.Wait()
}

// TestReplayNginx plays what clients of nginx sent to others: one that is set up the same answers the same, and of one
// that is not, what it does otherwise is found. Bodies that are compressed or in chunks are what they were.
func TestReplayNginx(t *testing.T) {
	t.Parallel()
	installed(t, "nginx")
	files := nginxFiles(t)
	log := recordTraffic(t, newestEnvoy(t), startNginx(t, files, ""), nginxConnections, func(address string) { useNginx(t, address) })
	baseline := startNginx(t, files, "")
	for range rounds() {
		replay(t, log, "--baseline", baseline, "--target", startNginx(t, files, "")).requireSame(t, nginxConnections)
		replay(t, log, "--target", baseline).requireSame(t, nginxConnections)
	}
	for _, row := range []struct {
		name    string
		setting string
		want    []string
	}{
		{"a header gone", "etag off;", []string{
			"GET /data.json | header:etag | removed field", "GET /empty.html | header:etag | removed field",
			"GET /included/page.html | header:etag | removed field", "GET /large.bin | header:etag | removed field",
			"GET /page.html | header:etag | removed field", "GET /small.html | header:etag | removed field",
			"HEAD /page.html | header:etag | removed field",
		}},
		{"compressed in chunks: the body is the same", "gzip on;", []string{
			"GET /page.html | header:accept-ranges | removed field", "GET /page.html | header:content-encoding | added field",
			"GET /page.html | header:etag | value",
		}},
		{"200 for 404", "error_page 404 =200 /small.html;", []string{
			"GET /none.html |  | no error", "GET /none.html | body | value", "GET /none.html | header:accept-ranges | added field",
			"GET /none.html | header:etag | added field", "GET /none.html | header:last-modified | added field",
			"GET /none.html | status | value",
		}},
		{"404 for 200", "location = /large.bin { return 404; }", []string{
			"GET /large.bin |  | error", "GET /large.bin | body | value", "GET /large.bin | header:accept-ranges | removed field",
			"GET /large.bin | header:content-type | value", "GET /large.bin | header:etag | removed field",
			"GET /large.bin | header:last-modified | removed field", "GET /large.bin | status | value",
		}},
		{"fewer requests in a connection", "keepalive_requests 5;", []string{
			"GET /empty.html |  | no answer", "GET /page.html | header:connection | value",
		}},
		{"the end of the connection for chunks", "chunked_transfer_encoding off;", []string{
			"GET /included/page.html | header:connection | value", "GET /page.html |  | no answer",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			changed := startNginx(t, files, row.setting)
			for range rounds() {
				for _, against := range [][]string{{"--baseline", baseline}, {}} {
					r := replay(t, log, append([]string{"--target", changed}, against...)...)
					require.Equal(t, row.want, r.found(), "%s: %v", against, r.Reasons)
					require.Equal(t, "changed", r.Outcome)
				}
			}
		})
	}
}
