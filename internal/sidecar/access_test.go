package sidecar

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const token = "0123456789abcdef"

// authority signs certificates for 127.0.0.1.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	path string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a.path, _ = a.write("ca", a.cert, a.key)
	return a
}

// issue returns the paths of a certificate and its key.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	return a.write(name, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, private)
}

func (a *authority) write(name string, template *x509.Certificate, key *ecdsa.PrivateKey) (certPath, keyPath string) {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(a.t, err)
	certPath, keyPath = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	for path, block := range map[string]*pem.Block{
		certPath: {Type: "CERTIFICATE", Bytes: der}, keyPath: {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	}
	return certPath, keyPath
}

func writeToken(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// tlsClient returns a client that trusts a and, where cert is given, shows it.
func tlsClient(t *testing.T, a *authority, cert, key string) *http.Client {
	t.Helper()
	pool, err := readPool(a.path)
	require.NoError(t, err)
	config := &tls.Config{RootCAs: pool}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		require.NoError(t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: deadline}
}

func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	serverCert, serverKey := ours.issue("server")
	clientCert, clientKey := ours.issue("client")
	otherCert, otherKey := theirs.issue("client")
	tokenFile := writeToken(t, token+"\n")
	tests := []struct {
		name      string
		clientCA  bool
		token     bool
		cert, key string
		header    string
		status    int // 0: the handshake fails
		health    int
	}{
		{name: "certificate wanted and shown", clientCA: true, cert: clientCert, key: clientKey, status: 200, health: 200},
		{name: "certificate wanted, none", clientCA: true},
		{name: "certificate wanted, another authority's", clientCA: true, cert: otherCert, key: otherKey},
		{name: "token wanted and sent", token: true, header: "Bearer " + token, status: 200, health: 200},
		{name: "scheme in other letters", token: true, header: "bearer " + token, status: 200, health: 200},
		{name: "token wanted, none", token: true, status: 401, health: 200},
		{name: "token wanted, another", token: true, header: "Bearer " + token + "0", status: 401, health: 200},
		{name: "token wanted, its beginning", token: true, header: "Bearer " + token[:15], status: 401, health: 200},
		{name: "another scheme", token: true, header: "Basic " + token, status: 401, health: 200},
		{
			name: "both wanted, both there", clientCA: true, token: true, cert: clientCert, key: clientKey,
			header: "Bearer " + token, status: 200, health: 200,
		},
		{name: "both wanted, certificate only", clientCA: true, token: true, cert: clientCert, key: clientKey, status: 401, health: 200},
		{name: "both wanted, token only", clientCA: true, token: true, header: "Bearer " + token},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t, func(o *Options) {
				o.Listen = append(o.Listen, Endpoint{"tcp", "127.0.0.1:0", true})
				o.TLSCert, o.TLSKey = serverCert, serverKey
				if tc.clientCA {
					o.ClientCA = ours.path
				}
				if tc.token {
					o.TokenFile = tokenFile
				}
			})
			client := tlsClient(t, ours, tc.cert, tc.key)
			base := "https://" + c.server.Endpoints()[1].Address
			if tc.status == 0 {
				resp, err := client.Get(base + statePath)
				if err == nil {
					_ = resp.Body.Close()
				}
				require.Error(t, err)
				return
			}
			for _, path := range []string{statePath, globalPath, metricsPath, "/nowhere"} {
				r := send(t, client, http.MethodGet, base+path, "", "Authorization", tc.header)
				if path == "/nowhere" && tc.status == 200 {
					require.Equal(t, 404, r.status)
					continue
				}
				require.Equal(t, tc.status, r.status, path)
			}
			require.Equal(t, tc.status, send(t, client, http.MethodPut, base+globalPath, on, "Authorization", tc.header).status)
			require.Equal(t, tc.health, send(t, client, http.MethodGet, base+healthPath, "").status)
			require.Equal(t, tc.health, send(t, client, http.MethodGet, base+readyPath, "").status)
			require.NotContains(t, c.log.String(), token)
		})
	}
}

// On loopback a token protects what changes something; the plugin's polls carry none.
func TestTokenOnLoopback(t *testing.T) {
	c := start(t, func(o *Options) {
		o.Listen = append(o.Listen, Endpoint{"tcp", "127.0.0.1:0", false})
		o.TokenFile = writeToken(t, token)
	})
	tcp := newTestClient(t, c.server.Endpoints()[1])
	base := "http://" + c.server.Endpoints()[1].Address
	for _, change := range [][2]string{
		{http.MethodPut, globalPath}, {http.MethodDelete, globalPath}, {http.MethodPost, portraitPath + "RPC?port=1"},
	} {
		require.Equal(t, ReasonUnauthorized, problem(t, http.StatusUnauthorized, send(t, tcp, change[0], base+change[1], on)))
		r := send(t, tcp, change[0], base+change[1], on, "Authorization", "Bearer "+token)
		require.NotEqual(t, http.StatusUnauthorized, r.status)
		require.NotEqual(t, http.StatusUnauthorized, c.do(change[0], change[1], on).status, "a Unix socket has its mode")
	}
	require.Equal(t, http.StatusOK, send(t, tcp, http.MethodGet, base+statePath, "").status)
}

func TestBrowsersAreRefused(t *testing.T) {
	c := start(t, func(o *Options) { o.Listen = append(o.Listen, Endpoint{"tcp", "127.0.0.1:0", false}) })
	tcp := newTestClient(t, c.server.Endpoints()[1])
	base := "http://" + c.server.Endpoints()[1].Address
	tests := []struct {
		name, header, value, reason string
	}{
		{"address", "Host", "127.0.0.1:9911", ""},
		{"address without a port", "Host", "127.0.0.1", ""},
		{"address of IPv6", "Host", "[::1]:9911", ""},
		{"localhost", "Host", "LocalHost:9911", ""},
		{"the plugin's", "Host", "localhost", ""},
		{"a name that leads here", "Host", "evil.example:9911", ReasonHost},
		{"a name with localhost in it", "Host", "localhost.evil.example", ReasonHost},
		{"a page's origin", "Origin", "http://evil.example", ReasonCrossOrigin},
		{"a page on this machine", "Origin", base, ReasonCrossOrigin},
		{"a sandboxed page", "Origin", "null", ReasonCrossOrigin},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodPut} {
				r := send(t, tcp, method, base+globalPath, on, tc.header, tc.value)
				if tc.reason == "" {
					require.Equal(t, http.StatusOK, r.status, r.body)
					continue
				}
				require.Equal(t, tc.reason, problem(t, http.StatusForbidden, r))
			}
		})
	}
	// Envoy sends its own names to a Unix socket, where no page gets.
	require.Equal(t, http.StatusOK, c.do(http.MethodGet, statePath, "", "Host", "l4dump-sidecar").status)
	require.Contains(t, c.do(http.MethodGet, metricsPath, "").body, `l4dump_sidecar_requests_rejected_total{reason="host"} 4`)
}

func TestReadToken(t *testing.T) {
	tests := []struct{ name, text, want, fault string }{
		{"shortest", token, token, ""},
		{"shorter by 1", token[1:], "", "want at least 16 bytes"},
		{"white space around", "\n " + token + " \n", token, ""},
		{"white space does not count", token[1:] + "\n", "", "want at least 16 bytes"},
		{"longest", strings.Repeat("x", maxTokenBytes), strings.Repeat("x", maxTokenBytes), ""},
		{"longer by 1", strings.Repeat("x", maxTokenBytes+1), "", "want at most"},
		{"a space inside", token + " " + token, "", "want printable ASCII"},
		{"a control", token + "\x00", "", "want printable ASCII"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ReadToken(writeToken(t, tc.text))
			if tc.fault != "" {
				require.ErrorContains(t, err, tc.fault)
				require.NotContains(t, err.Error(), token[1:], "no secret in an error")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestFilesOfAccess(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("server")
	missing := filepath.Join(t.TempDir(), "missing")
	tests := []struct {
		name   string
		change func(o *Options)
		want   string
	}{
		{"no token", func(o *Options) { o.TokenFile = missing }, "read token file"},
		{"no certificate", func(o *Options) { o.TLSCert, o.TLSKey = missing, key }, "read TLS certificate"},
		{"certificate for a key", func(o *Options) { o.TLSCert, o.TLSKey = cert, cert }, "read TLS certificate"},
		{"no CA", func(o *Options) { o.TLSCert, o.TLSKey, o.ClientCA = cert, key, missing }, "read client CA"},
		{"key for a CA", func(o *Options) { o.TLSCert, o.TLSKey, o.ClientCA = cert, key, key }, "want certificates in PEM"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			o := Options{Dir: t.TempDir(), Listen: []Endpoint{{Network: "unix", Address: socketPath(t)}}}
			tc.change(&o)
			_, err := Start(t.Context(), o)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestClient(t *testing.T) {
	a := newAuthority(t)
	serverCert, serverKey := a.issue("server")
	clientCert, clientKey := a.issue("client")
	tokenFile := writeToken(t, token)
	c := start(t, func(o *Options) {
		o.Listen = append(o.Listen, Endpoint{"tcp", "127.0.0.1:0", false}, Endpoint{"tcp", "127.0.0.1:0", true})
		o.TLSCert, o.TLSKey, o.ClientCA, o.TokenFile = serverCert, serverKey, a.path, tokenFile
	})
	endpoints := c.server.Endpoints()
	for _, tc := range []struct {
		name, address string
		options       ClientOptions
	}{
		{"socket", "unix://" + endpoints[0].Address, ClientOptions{}},
		{"loopback", "http://" + endpoints[1].Address + "/", ClientOptions{TokenFile: tokenFile}},
		{"TLS", "https://" + endpoints[2].Address, ClientOptions{TokenFile: tokenFile, CA: a.path, ClientCert: clientCert, Key: clientKey}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, err := NewClient(tc.address, tc.options)
			require.NoError(t, err)
			defer client.Close()
			set, err := client.SetGlobal(t.Context(), []byte(on))
			require.NoError(t, err)
			got, err := client.Global(t.Context())
			require.NoError(t, err)
			require.Equal(t, set, got)
			status, err := client.Status(t.Context())
			require.NoError(t, err)
			require.True(t, status.Recording)
			_, err = client.SetGlobal(t.Context(), []byte(`{"interval":1}`))
			var problem *Problem
			require.ErrorAs(t, err, &problem)
			require.Equal(t, "interval", problem.Faults[0].Path)
			removed, err := client.DeleteGlobal(t.Context())
			require.NoError(t, err)
			require.Nil(t, removed.Strategy)
		})
	}
}

func TestClientAddress(t *testing.T) {
	tokenFile := writeToken(t, token)
	for _, tc := range []struct {
		name, address string
		options       ClientOptions
		want          string
	}{
		{"host alone", "127.0.0.1", ClientOptions{}, "want unix:///PATH, http://HOST:PORT or https://HOST:PORT"},
		{"no port", "http://127.0.0.1", ClientOptions{}, "want HOST:PORT"},
		{"relative path", "unix://s", ClientOptions{}, "want an absolute path"},
		{"token in the clear", "http://10.0.0.1:1", ClientOptions{TokenFile: tokenFile}, "would be sent in the clear"},
		{"certificate alone", "https://10.0.0.1:1", ClientOptions{ClientCert: "x"}, "got one of them"},
		{"no token file", "http://127.0.0.1:1", ClientOptions{TokenFile: "/nowhere"}, "read token file"},
		{"no CA", "https://127.0.0.1:1", ClientOptions{CA: "/nowhere"}, "read CA"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewClient(tc.address, tc.options)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestClientAddressWithoutScheme(t *testing.T) {
	for _, tc := range []struct{ name, address, want string }{
		{"loopback", "127.0.0.1:9911", "http://127.0.0.1:9911"},
		{"another machine, whose sidecar has TLS", "10.0.0.1:9911", "https://10.0.0.1:9911"},
		{"path", "/run/l4dump/sidecar.sock", "unix:///run/l4dump/sidecar.sock"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := NewClient(tc.address, ClientOptions{})
			require.NoError(t, err)
			require.Equal(t, tc.want, c.address)
		})
	}
}

func TestClientOfAnotherService(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	client, err := NewClient("http://"+l.Addr().String(), ClientOptions{})
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Status(t.Context())
	require.EqualError(t, err, "ask sidecar: what answers there is not a sidecar: status 404")
}
