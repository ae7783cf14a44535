package sidecar

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseEndpoint(t *testing.T) {
	longest := "/" + strings.Repeat("x", maxSocketPath-1)
	tests := []struct {
		name, text string
		want       Endpoint
		fault      string
	}{
		{"loopback", "127.0.0.1:9911", Endpoint{"tcp", "127.0.0.1:9911", false}, ""},
		{"all of 127/8 is", "127.8.9.10:1", Endpoint{"tcp", "127.8.9.10:1", false}, ""},
		{"loopback of IPv6", "[::1]:9911", Endpoint{"tcp", "[::1]:9911", false}, ""},
		{"localhost", "tcp://localhost:0", Endpoint{"tcp", "localhost:0", false}, ""},
		{"loopback with TLS", "tls://127.0.0.1:1", Endpoint{"tcp", "127.0.0.1:1", true}, ""},
		{"all addresses", ":9911", Endpoint{"tcp", ":9911", true}, ""},
		{"another address", "tcp://10.0.0.1:9911", Endpoint{"tcp", "10.0.0.1:9911", true}, ""},
		{"unspecified", "0.0.0.0:9911", Endpoint{"tcp", "0.0.0.0:9911", true}, ""},
		{"a name", "localhost.example:1", Endpoint{"tcp", "localhost.example:1", true}, ""},
		{"socket", "unix:///run/s", Endpoint{"unix", "/run/s", false}, ""},
		{"longest path", "unix://" + longest, Endpoint{"unix", longest, false}, ""},
		{"path longer by 1", "unix://" + longest + "x", Endpoint{}, "want a path of at most 107 bytes, got 108"},
		{"relative path", "unix://run/s", Endpoint{}, "want an absolute path"},
		{"no path", "unix://", Endpoint{}, "want an absolute path"},
		{"path with a zero", "unix:///a\x00b", Endpoint{}, "want an absolute path"},
		{"no port", "127.0.0.1", Endpoint{}, "want HOST:PORT"},
		{"port under", "127.0.0.1:-1", Endpoint{}, "want a port"},
		{"port over", "127.0.0.1:65536", Endpoint{}, "want a port"},
		{"any port elsewhere", "0.0.0.0:0", Endpoint{}, "want a port from 1"},
		{"scheme", "http://127.0.0.1:1", Endpoint{}, "want HOST:PORT, tls://HOST:PORT or unix:///PATH"},
		{"empty", "", Endpoint{}, "want HOST:PORT"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseEndpoint(tc.text)
			if tc.fault != "" {
				require.ErrorContains(t, err, tc.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			again, err := ParseEndpoint(got.String())
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

func TestParseOwner(t *testing.T) {
	got, err := ParseOwner("0:1337")
	require.NoError(t, err)
	require.Equal(t, Owner{UID: 0, GID: 1337}, got)
	for _, text := range []string{"", "0", "0:", ":0", "-1:0", "root:root", "0:0:0", "2147483648:0"} {
		_, err := ParseOwner(text)
		require.ErrorContains(t, err, "want UID:GID", text)
	}
}

func TestSocketModeAndOwner(t *testing.T) {
	path := socketPath(t)
	listen := func(mode fs.FileMode, owner *Owner) (net.Listener, os.FileInfo) {
		l, err := listenUnix(t.Context(), path, mode, owner)
		require.NoError(t, err)
		info, err := os.Lstat(path)
		require.NoError(t, err)
		return l, info
	}
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666} {
		l, info := listen(mode, nil)
		require.Equal(t, mode|fs.ModeSocket, info.Mode())
		require.NoError(t, l.Close())
	}
	owner := Owner{UID: os.Getuid(), GID: os.Getgid()}
	if os.Getuid() == 0 {
		owner = Owner{UID: 1234, GID: 1337} // only root gives files away
	}
	l, info := listen(0o660, &owner)
	stat := info.Sys().(*syscall.Stat_t)
	require.Equal(t, owner, Owner{UID: int(stat.Uid), GID: int(stat.Gid)})
	require.Equal(t, 0o660|fs.ModeSocket, info.Mode())
	require.NoError(t, l.Close())
	require.NoFileExists(t, path)
}

func TestSocketInUse(t *testing.T) {
	path := socketPath(t)
	l, err := listenUnix(t.Context(), path, 0o600, nil)
	require.NoError(t, err)
	_, err = listenUnix(t.Context(), path, 0o600, nil)
	require.ErrorContains(t, err, "another process listens there")
	require.FileExists(t, path)

	// Nobody answers on what a killed process left.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	l, err = listenUnix(t.Context(), path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, l.Close())

	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	_, err = listenUnix(t.Context(), path, 0o600, nil)
	require.ErrorContains(t, err, "is no socket")
	require.FileExists(t, path)
}

func TestFolderInUse(t *testing.T) {
	c := start(t, nil)
	_, err := Start(t.Context(), Options{Dir: c.dir, Listen: []Endpoint{{Network: "unix", Address: socketPath(t)}}})
	require.ErrorContains(t, err, "another sidecar uses it")
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	path := socketPath(t)
	_, err = Start(t.Context(), Options{Dir: t.TempDir(), Listen: []Endpoint{
		{Network: "unix", Address: path}, {Network: "tcp", Address: l.Addr().String()},
	}})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.NoFileExists(t, path, "what was open is closed")
}

func TestSeveralListeners(t *testing.T) {
	c := start(t, func(o *Options) {
		o.Listen = append(o.Listen, Endpoint{Network: "tcp", Address: "127.0.0.1:0"}, Endpoint{Network: "tcp", Address: "localhost:0"})
	})
	c.setGlobal(on)
	for _, e := range c.server.Endpoints()[1:] {
		client := newTestClient(t, e)
		r := send(t, client, "GET", "http://"+e.Address+globalPath, "")
		require.Contains(t, r.body, `"revision":1`)
	}
}

func TestOptionsValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(o *Options)
		want   []string // one line each
	}{
		{"defaults", func(*Options) {}, nil},
		{"no folder", func(o *Options) { o.Dir = "" }, []string{"dir: want a folder"}},
		{
			"another address without TLS", func(o *Options) { o.Listen = []Endpoint{{"tcp", "0.0.0.0:1", false}} },
			[]string{"listen: tcp://0.0.0.0:1 is not a loopback address, want TLS there"},
		},
		{
			"another address without a certificate", func(o *Options) {
				o.Listen, o.TokenFile = []Endpoint{{"tcp", "0.0.0.0:1", true}}, "t"
			},
			[]string{"listen: tls://0.0.0.0:1 needs TLS, want tls-cert and tls-key, and client-ca or token-file"},
		},
		{
			"open to everybody", func(o *Options) {
				o.Listen, o.TLSCert, o.TLSKey = []Endpoint{{"tcp", "0.0.0.0:1", true}}, "c", "k"
			},
			[]string{"listen: tls://0.0.0.0:1 is open to everybody, want client-ca or token-file"},
		},
		{
			"with client certificates", func(o *Options) {
				o.Listen, o.TLSCert, o.TLSKey, o.ClientCA = []Endpoint{{"tcp", "0.0.0.0:1", true}}, "c", "k", "a"
			}, nil,
		},
		{
			"with a token", func(o *Options) {
				o.Listen, o.TLSCert, o.TLSKey, o.TokenFile = []Endpoint{{"tcp", "0.0.0.0:1", true}}, "c", "k", "t"
			}, nil,
		},
		{"certificate alone", func(o *Options) { o.TLSCert = "c" }, []string{"tls-cert, tls-key: want both or none"}},
		{"key alone", func(o *Options) { o.TLSKey = "c" }, []string{"tls-cert, tls-key: want both or none"}},
		{"client CA alone", func(o *Options) { o.ClientCA = "c" }, []string{"client-ca: want tls-cert and tls-key too"}},
		{"mode", func(o *Options) { o.SocketMode = 0o777 }, nil},
		{"mode over", func(o *Options) { o.SocketMode = 0o1000 }, []string{"socket-mode: want permission bits only, up to 0777, got 01000"}},
		{"envoy", func(o *Options) { o.EnvoyAdmin = "http://10.0.0.1:1" }, []string{`envoy-admin: use Envoy's admin address "http://10.0.0.1:1": want a loopback address or a Unix socket, or --envoy-admin-remote`}},
		{
			"files just large enough", func(o *Options) {
				o.MaxConfigBytes, o.MaxPortraitBytes = 1000, 10
				o.Rotation = Rotation{MaxFileBytes: 1128, MaxTotalBytes: 4512}
			}, nil,
		},
		{
			"files too small, all of it named", func(o *Options) {
				o.MaxConfigBytes, o.MaxPortraitBytes = 1000, 1
				o.Rotation = Rotation{MaxFileBytes: 1127, MaxTotalBytes: 4507, MaxAge: -1}
				o.UsageStaleAfter = -1
			},
			[]string{
				"stale-after: want at least 1ms, got -1ns",
				"rotate-age: want at least 1ms, got -1ns",
				"max-portrait-bytes: want at least 2, got 1",
				"rotate-bytes: want at least 1128, the longest line, got 1127",
				"total-bytes: want at least 4508, four files, got 4507",
			},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			o := Options{Dir: filepath.Join(t.TempDir(), "new")}
			tc.change(&o)
			err := o.Validate()
			if tc.want == nil {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, strings.Join(tc.want, "\n"))
			_, startErr := Start(t.Context(), o)
			require.Equal(t, err, startErr)
			_, statErr := os.Stat(o.Dir)
			require.Error(t, statErr, "nothing was made")
		})
	}
}

func TestListenOnWhatIsNotLoopback(t *testing.T) {
	// A name can lead anywhere: what was bound is what counts.
	_, _, err := Endpoint{Network: "tcp", Address: "0.0.0.0:0"}.listen(t.Context(), 0, nil)
	require.ErrorContains(t, err, "is no loopback address")
}
