package sidecar

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	envoyTimeout  = 5 * time.Second
	statusTimeout = time.Second // of what a person waits for
	maxStatsBytes = 1 << 20
	maxCounters   = 1024
	dialTimeout   = 2 * time.Second
)

// envoyAdmin asks Envoy's admin interface.
type envoyAdmin struct {
	base     string
	client   *http.Client
	maxBytes int64 // of a configuration dump
}

// newEnvoyAdmin returns the admin interface at address, "http://HOST:PORT" or "unix:///PATH". Any host but a loopback
// address is refused unless remote is true: the interface has no protection of its own.
func newEnvoyAdmin(address string, remote bool, maxBytes int64) (*envoyAdmin, error) {
	transport := &http.Transport{
		MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
	}
	a := &envoyAdmin{maxBytes: maxBytes, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("parse Envoy's admin address: %w", err)
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		transport.DialContext = dialUnix(u.Path)
		a.base = "http://localhost"
	case u.Scheme == "http" && u.Host != "" && (u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.User == nil:
		if !remote && !isLoopbackHost(u.Hostname()) {
			return nil, fmt.Errorf("use Envoy's admin address %q: want a loopback address or a Unix socket, "+
				"or --envoy-admin-remote", address)
		}
		a.base = "http://" + u.Host
	default:
		return nil, fmt.Errorf("parse Envoy's admin address: want http://HOST:PORT or unix:///PATH, got %q", address)
	}
	return a, nil
}

// dialUnix returns a dialer that goes to the socket at path, whatever the address.
func dialUnix(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
	}
}

// isLoopbackHost reports whether host, without a port, cannot be another machine.
func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (a *envoyAdmin) close() { a.client.CloseIdleConnections() }

// configDump returns the answer to /config_dump.
func (a *envoyAdmin) configDump(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, envoyTimeout)
	defer cancel()
	return a.get(ctx, "/config_dump", a.maxBytes)
}

// counters returns the plugin's metrics, whose names begin with l4dump_ after a prefix of Envoy's.
func (a *envoyAdmin) counters(ctx context.Context) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	text, err := a.get(ctx, "/stats?filter=l4dump_", maxStatsBytes)
	if err != nil {
		return nil, err
	}
	return parseCounters(string(text)), nil
}

// parseCounters reads lines of "name: number". Other lines, as those of histograms, are passed over.
func parseCounters(text string) map[string]uint64 {
	counters := make(map[string]uint64)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseUint(value, 10, 64)
		if ok && err == nil && len(counters) < maxCounters {
			counters[name] = n
		}
	}
	return counters
}

func (a *envoyAdmin) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy: %w", err)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask Envoy for %s: want status 200, got %d", path, resp.StatusCode)
	}
	var body bytes.Buffer
	if resp.ContentLength > 0 && resp.ContentLength <= limit {
		body.Grow(int(resp.ContentLength) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, limit+1)); err != nil {
		return nil, fmt.Errorf("read Envoy's answer to %s: %w", path, err)
	}
	if int64(body.Len()) > limit {
		return nil, fmt.Errorf("read Envoy's answer to %s: want at most %d bytes", path, limit)
	}
	return body.Bytes(), nil
}
