package sidecar

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func dialSidecar(t *testing.T, c *sidecar) net.Conn {
	t.Helper()
	e := c.server.Endpoints()[0]
	conn, err := net.Dial(e.Network, e.Address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(deadline)))
	return conn
}

// The sidecar hangs up on who is slow, whatever part is late; the deadline of the test is much later.
func TestSlowClients(t *testing.T) {
	const patience = 50 * time.Millisecond
	tests := []struct {
		name, sent string
		change     func(l *limits)
	}{
		{"half a head", "GET /v1/state HTTP/1.1\r\nHost: loc", func(l *limits) { l.headerTimeout = patience }},
		{
			"half a body", "PUT /v1/strategy/global HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
			func(l *limits) { l.readTimeout = patience },
		},
		{"nothing more", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", func(l *limits) { l.idleTimeout = patience }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t, func(o *Options) {
				o.limits.headerTimeout, o.limits.readTimeout, o.limits.idleTimeout = time.Hour, time.Hour, time.Hour
				tc.change(&o.limits)
			})
			conn := dialSidecar(t, c)
			_, err := io.WriteString(conn, tc.sent)
			require.NoError(t, err)
			_, err = io.ReadAll(conn) // to its end
			require.NoError(t, err, "it must hang up")
			require.Equal(t, http.StatusOK, c.do(http.MethodGet, statePath, "").status)
		})
	}
}

// A drip of bytes does not keep a request alive.
func TestSlowloris(t *testing.T) {
	c := start(t, func(o *Options) { o.limits.headerTimeout = 50 * time.Millisecond })
	conn := dialSidecar(t, c)
	_, err := io.WriteString(conn, "GET /v1/state HTTP/1.1\r\n")
	require.NoError(t, err)
	for err == nil {
		_, err = io.WriteString(conn, "X: y\r\n")
		time.Sleep(time.Millisecond) // the drip; not what decides
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it hung up before the test's deadline")
}

func TestHeaderLimit(t *testing.T) {
	c := start(t, nil)
	require.Equal(t, http.StatusOK, c.do(http.MethodGet, healthPath, "", "X", strings.Repeat("x", 30<<10)).status)

	// It hangs up while more comes, so that the client may not get to read the 431.
	conn := dialSidecar(t, c)
	_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if !errors.Is(err, syscall.ECONNRESET) {
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 431 Request Header Fields Too Large\r\n", line)
	}
}

// slowPost begins a portrait and returns its connection; the body is to come.
func slowPost(t *testing.T, c *sidecar) net.Conn {
	t.Helper()
	conn := dialSidecar(t, c)
	_, err := io.WriteString(conn, "POST /v1/portraits/RPC?port=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
	require.NoError(t, err)
	return conn
}

func TestConcurrencyLimits(t *testing.T) {
	c := start(t, func(o *Options) { o.limits.portraits, o.limits.strategies, o.limits.requests = 2, 2, 4 })
	c.setGlobal(on)
	slow := []net.Conn{slowPost(t, c), slowPost(t, c)}
	eventually(t, func() bool { return len(c.server.portraitSlots) == 2 })
	r := c.do(http.MethodPost, portraitPath+"RPC?port=1", "{}")
	require.Equal(t, ReasonBusy, problem(t, http.StatusServiceUnavailable, r))
	require.Equal(t, "1", r.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, c.do(http.MethodGet, statePath, "").status, "polls have their own places")

	c.setGlobal(on) // so have strategies

	// Two more requests that wait for their bodies take the last places of all.
	for range 2 {
		conn := dialSidecar(t, c)
		_, err := io.WriteString(conn, "PUT /v1/strategy/global HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
		require.NoError(t, err)
		slow = append(slow, conn)
	}
	eventually(t, func() bool { return len(c.server.slots) == 4 })
	require.Equal(t, ReasonBusy, problem(t, http.StatusServiceUnavailable, c.do(http.MethodGet, statePath, "")))

	statuses := make(map[string]int)
	for _, conn := range slow {
		_, err := io.WriteString(conn, "{}")
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		statuses[strings.TrimSpace(line)]++
	}
	require.Equal(t, map[string]int{"HTTP/1.1 201 Created": 1, "HTTP/1.1 409 Conflict": 1, "HTTP/1.1 200 OK": 2}, statuses)
	eventually(t, func() bool { return len(c.server.slots) == 0 && len(c.server.portraitSlots) == 0 })
}

func TestConnectionLimit(t *testing.T) {
	c := start(t, func(o *Options) { o.limits.connections = 2 })
	ask := func(conn net.Conn) {
		_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
	}
	answered := func(conn net.Conn) {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	first, second, third := dialSidecar(t, c), dialSidecar(t, c), dialSidecar(t, c)
	ask(first)
	answered(first)
	ask(second)
	answered(second)
	ask(third)
	require.NoError(t, third.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := third.Read(make([]byte, 1))
	require.ErrorContains(t, err, "timeout", "it waits for a place")
	require.NoError(t, first.Close())
	require.NoError(t, third.SetReadDeadline(time.Now().Add(deadline)))
	answered(third)
}

func TestClose(t *testing.T) {
	c := start(t, func(o *Options) { o.limits.shutdown = time.Hour })
	c.setGlobal(on)
	conn := slowPost(t, c)
	eventually(t, func() bool { return len(c.server.portraitSlots) == 1 })
	c.server.cancel()
	// The request that is under way is answered.
	_, err := io.WriteString(conn, "{}")
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 201 Created\r\n", line)
	require.NoError(t, c.server.Wait())
	require.NoError(t, c.server.Close(), "twice is fine")
	require.NoFileExists(t, c.server.Endpoints()[0].Address)
}

// A request that never ends does not keep the sidecar from ending.
func TestCloseWithRequestsThatHang(t *testing.T) {
	c := start(t, func(o *Options) { o.limits.shutdown = time.Millisecond })
	c.setGlobal(on)
	slowPost(t, c)
	eventually(t, func() bool { return len(c.server.portraitSlots) == 1 })
	require.NoError(t, c.server.Close())
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path := socketPath(t)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Dir: t.TempDir(), Listen: []Endpoint{{Network: "unix", Address: path}}})
	}()
	client := newTestClient(t, Endpoint{Network: "unix", Address: path})
	eventually(t, func() bool {
		resp, err := client.Get("http://localhost" + healthPath)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	cancel()
	require.NoError(t, <-ended)
}

func TestListenerThatFails(t *testing.T) {
	o := Options{Dir: t.TempDir(), Listen: []Endpoint{{Network: "unix", Address: socketPath(t)}}}
	server, err := Start(t.Context(), o)
	require.NoError(t, err)
	// Somebody closes the listener below the server.
	require.NoError(t, server.closers[len(server.closers)-1]())
	require.ErrorContains(t, server.Wait(), fmt.Sprintf("serve unix://%s", o.Listen[0].Address))
}
