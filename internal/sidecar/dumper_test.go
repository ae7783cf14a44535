package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// envoyConfig is what a fakeEnvoy dumps: one listener, with a secret and with what changes in each dump.
func envoyConfig(dump int, listener string) string {
	return fmt.Sprintf(`{
 "configs": [
  {"@type": %q, "bootstrap": {"node": {"id": "n"}}, "last_updated": "%d"},
  {"@type": "listeners", "version_info": "%d", "dynamic_listeners": [{"name": %q, "password": "hush"}]}
 ]
}`, bootstrapType, dump, dump, listener)
}

// fakeEnvoy is Envoy's admin interface.
type fakeEnvoy struct {
	mu       sync.Mutex
	dumps    int
	listener string
	answer   http.HandlerFunc // in the place of a dump
	address  string
}

func (f *fakeEnvoy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.answer != nil:
		f.answer(w, r)
	case r.URL.Path == "/config_dump":
		f.dumps++
		fmt.Fprint(w, envoyConfig(f.dumps, f.listener))
	case r.URL.Path == "/stats" && r.URL.RawQuery == "filter=l4dump_":
		fmt.Fprint(w, "wasmcustom.l4dump_bytes_kept_total: 12\nhistogram: P0(1,2)\nbad: -1\nwasmcustom.l4dump_window_open: 0\n")
	default:
		http.NotFound(w, r)
	}
}

func (f *fakeEnvoy) set(listener string, answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listener, f.answer = listener, answer
}

func startEnvoy(t *testing.T) *fakeEnvoy {
	t.Helper()
	f := &fakeEnvoy{listener: "tcp"}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.address = server.URL
	return f
}

// portrait posts one in window n after epoch and returns the window's identifier.
func (c *sidecar) portrait(n int) string {
	c.t.Helper()
	at := epoch.Add(time.Duration(n) * 30 * time.Second)
	c.clock.set(at)
	c.meter.set(10, 20, at)
	return into[Portrait](c.t, http.StatusCreated, c.do(http.MethodPost, portraitPath+"RPC?port=1", "{}")).Window
}

// configLine is what is written of a listener's configuration; dump is its number.
func configLine(dump int, listener string) string {
	return fmt.Sprintf(`{"configs":[{"@type":%q,"bootstrap":{"node":{"id":"n"}},"last_updated":"%d"},`+
		`{"@type":"listeners","version_info":"%d","dynamic_listeners":[{"name":%q,"password":"[redacted]"}]}]}`,
		bootstrapType, dump, dump, listener)
}

func (c *sidecar) waitForFile(name, want string) {
	c.t.Helper()
	eventually(c.t, func() bool { return len(c.read(name)) >= len(want) })
	require.Equal(c.t, want, c.read(name))
}

func TestConfigDumps(t *testing.T) {
	envoy := startEnvoy(t)
	c := start(t, func(o *Options) { o.EnvoyAdmin = envoy.address })
	c.setGlobal(on)
	// At the start, the bootstrap once.
	bootstrap := fmt.Sprintf(`{"@type":%q,"bootstrap":{"node":{"id":"n"}},"last_updated":"1"}`+"\n", bootstrapType)
	c.waitForFile(staticFile, bootstrap)

	want := fmt.Sprintf("[%s]%s\n", c.portrait(0), configLine(2, "tcp"))
	c.waitForFile(memDumpFile, want)
	want += fmt.Sprintf("[%s]no_change\n", c.portrait(1))
	c.waitForFile(memDumpFile, want)
	envoy.set("other", nil)
	want += fmt.Sprintf("[%s]%s\n", c.portrait(2), configLine(4, "other"))
	c.waitForFile(memDumpFile, want)
	want += fmt.Sprintf("[%s]no_change\n", c.portrait(3))
	c.waitForFile(memDumpFile, want)

	// An empty file gets the whole.
	require.NoError(t, os.Truncate(c.dir+"/"+memDumpFile, 0))
	c.waitForFile(memDumpFile, fmt.Sprintf("[%s]%s\n", c.portrait(4), configLine(6, "other")))
	require.Equal(t, bootstrap, c.read(staticFile))
	require.Contains(t, c.do(http.MethodGet, metricsPath, "").body, "\nl4dump_sidecar_config_dumps_total{result=\"changed\"} 3\n")
}

func TestConfigDumpBeginsEachFile(t *testing.T) {
	envoy := startEnvoy(t)
	c := start(t, func(o *Options) {
		o.EnvoyAdmin, o.MaxConfigBytes, o.MaxPortraitBytes = envoy.address, 400, 10
		o.Rotation = Rotation{MaxFileBytes: 528, MaxTotalBytes: 10000}
	})
	c.setGlobal(on)
	c.waitForFile(staticFile, fmt.Sprintf(`{"@type":%q,"bootstrap":{"node":{"id":"n"}},"last_updated":"1"}`+"\n", bootstrapType))
	for n := range 10 {
		window := c.portrait(n)
		eventually(t, func() bool {
			_, line, written := strings.Cut(c.read(memDumpFile), window)
			return written && strings.Contains(line, "\n")
		})
		first, _, _ := strings.Cut(c.read(memDumpFile), "\n")
		require.Contains(t, first, `{"configs"`)
	}
	require.NotEqual(t, 10, strings.Count(c.read(memDumpFile), "\n"), "there was a rotation")
}

// A file that comes of age while a line is written does not begin with no_change.
func TestConfigDumpAsTheFileComesOfAge(t *testing.T) {
	admin := &envoyAdmin{base: "http://envoy", maxBytes: 1 << 20, client: &http.Client{Transport: roundTrip(
		func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(envoyConfig(1, "tcp")))}, nil
		})}}
	for late := range 4 {
		t.Run(strconv.Itoa(late), func(t *testing.T) {
			dir := t.TempDir()
			files := newFiles(t, dir, Rotation{MaxFileBytes: 1 << 20, MaxAge: time.Hour, MaxTotalBytes: 1 << 30}, func() time.Time { return epoch })
			d := &dumper{admin: admin, files: files}
			_, err := d.dump(t.Context(), "0")
			require.NoError(t, err)
			looks := 0
			files.now = func() time.Time {
				if looks++; looks > late {
					return epoch.Add(time.Hour)
				}
				return epoch.Add(time.Hour - 1)
			}
			_, err = d.dump(t.Context(), "1")
			require.NoError(t, err)
			for name, text := range contents(t, dir) {
				require.Contains(t, text[:strings.IndexByte(text, '\n')], `{"configs"`, name)
			}
		})
	}
}

// A file that somebody takes away between the look at it and the write does not begin with no_change either.
func TestConfigDumpOfAFileThatIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	files := newFiles(t, dir, Rotation{MaxFileBytes: 1 << 20, MaxAge: time.Hour, MaxTotalBytes: 1 << 30}, time.Now)
	line := func(first bool) [][]byte {
		if first {
			return [][]byte{[]byte("whole")}
		}
		require.NoError(t, os.Remove(filepath.Join(dir, memDumpFile)))
		return [][]byte{[]byte(noChange)}
	}
	require.NoError(t, files.appendLine(memDumpFile, line))
	require.NoError(t, files.appendLine(memDumpFile, line))
	require.Equal(t, map[string]string{memDumpFile: "whole\n"}, contents(t, dir))
}

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Envoy is asked less and less often: each time it writes all of its configuration.
func TestBootstrapBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var asked []time.Duration
		admin := &envoyAdmin{base: "http://envoy", client: &http.Client{Transport: roundTrip(
			func(*http.Request) (*http.Response, error) {
				asked = append(asked, time.Since(start))
				return nil, errors.New("refused")
			})}}
		log := slog.New(slog.DiscardHandler)
		d := &dumper{
			admin: admin, retry: 5 * time.Second, metrics: newMetrics(&Server{}), bootstrapFailing: &incident{log: log},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Second)
		defer cancel()
		d.run(ctx)
		require.Equal(t, []time.Duration{
			0, 5 * time.Second, 15 * time.Second, 35 * time.Second, 75 * time.Second, 155 * time.Second, 315 * time.Second,
			635 * time.Second, 955 * time.Second,
		}, asked)
	})
}

func TestConfigDumpFailures(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "want status 200, got 500"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/config_dump?x", http.StatusFound) }, "want status 200, got 302"},
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "upstream connect error") }, "parse configuration"},
		{"empty", func(http.ResponseWriter, *http.Request) {}, "parse configuration"},
		{"huge", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100_001)) }, "want at most 100000 bytes"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, "unexpected EOF"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			envoy := startEnvoy(t)
			envoy.set("tcp", tc.answer)
			c := start(t, func(o *Options) { o.EnvoyAdmin, o.MaxConfigBytes = envoy.address, 100_000 })
			eventually(t, func() bool { return strings.Contains(c.log.String(), tc.want) }, c.log)
			c.setGlobal(on)
			c.portrait(0) // is taken all the same
			require.Empty(t, c.read(memDumpFile))
			count := func(text string) int { return strings.Count(c.log.String(), text) }
			require.Equal(t, 1, count("cannot dump Envoy's bootstrap"), "once, not each time")
			eventually(t, func() bool { return count("cannot dump Envoy's configuration") == 1 })

			envoy.set("tcp", nil)
			eventually(t, func() bool { return c.read(staticFile) != "" })
			window := c.portrait(1)
			eventually(t, func() bool { return strings.Contains(c.read(memDumpFile), "["+window+`]{"configs"`) })
			eventually(t, func() bool { return count("is dumped again") == 1 })
			require.Equal(t, 1, count("cannot dump Envoy's configuration"))
		})
	}
}

// Envoy may start after the sidecar, and may be on a Unix socket.
func TestEnvoyThatStartsLater(t *testing.T) {
	path := socketPath(t)
	c := start(t, func(o *Options) { o.EnvoyAdmin = "unix://" + path })
	eventually(t, func() bool { return strings.Contains(c.log.String(), "cannot dump") })
	status := into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, ""))
	require.Contains(t, status.Envoy.Error, "ask Envoy")

	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := &http.Server{Handler: &fakeEnvoy{listener: "tcp"}}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	eventually(t, func() bool { return c.read(staticFile) != "" })
	status = into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, ""))
	require.Equal(t, &EnvoyStatus{Counters: map[string]uint64{
		"wasmcustom.l4dump_bytes_kept_total": 12, "wasmcustom.l4dump_window_open": 0,
	}}, status.Envoy)
}

// An Envoy that hangs delays no portrait, and not the end either.
func TestEnvoyThatHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	c := start(t, func(o *Options) { o.EnvoyAdmin = server.URL })
	c.setGlobal(on)
	for n := range dumpQueue + 2 {
		c.portrait(n)
	}
	require.Contains(t, c.do(http.MethodGet, metricsPath, "").body, `config_dumps_total{result="dropped"}`)
	require.NoError(t, c.server.Close())
}

func TestEnvoyAdminAddress(t *testing.T) {
	tests := []struct {
		name, address string
		remote        bool
		want          string
	}{
		{"loopback", "http://127.0.0.1:9901", false, ""},
		{"loopback of IPv6", "http://[::1]:9901", false, ""},
		{"localhost", "http://localhost:9901/", false, ""},
		{"unix", "unix:///run/envoy.sock", false, ""},
		{"another machine", "http://10.0.0.1:9901", false, "want a loopback address"},
		{"another machine, allowed", "http://10.0.0.1:9901", true, ""},
		{"a name", "http://localhost.example:9901", false, "want a loopback address"},
		{"TLS", "https://127.0.0.1:9901", false, "want http://HOST:PORT or unix:///PATH"},
		{"path", "http://127.0.0.1:9901/quitquitquit", false, "want http://HOST:PORT or unix:///PATH"},
		{"query", "http://127.0.0.1:9901?a", false, "want http://HOST:PORT or unix:///PATH"},
		{"user", "http://a:b@127.0.0.1:9901", false, "want http://HOST:PORT or unix:///PATH"},
		{"no scheme", "127.0.0.1:9901", false, "parse Envoy's admin address"},
		{"relative socket", "unix://envoy.sock", false, "want http://HOST:PORT or unix:///PATH"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := newEnvoyAdmin(tc.address, tc.remote, 1)
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}
