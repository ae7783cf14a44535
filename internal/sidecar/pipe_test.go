package sidecar

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pipeListener is a listener in memory, so that a bubble of testing/synctest holds both ends of its connections.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// DialContext returns the client's end of a new connection.
func (l *pipeListener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// startPiped starts a sidecar in a bubble, on the bubble's clock. It has two listeners: a socket, and TCP on loopback.
func startPiped(t *testing.T, change func(o *Options)) (c *sidecar, pipes []*pipeListener) {
	t.Helper()
	c = &sidecar{t: t, dir: t.TempDir(), meter: &meter{}, log: &logBuffer{}}
	o := Options{
		Dir: c.dir, Listen: []Endpoint{{Network: "unix", Address: "/s"}, {Network: "tcp", Address: "127.0.0.1:1"}},
		Usage: c.meter, Now: time.Now, Logger: slog.New(slog.NewTextHandler(c.log, nil)),
		listen: func(_ context.Context, e Endpoint) (net.Listener, Endpoint, error) {
			l := newPipeListener()
			pipes = append(pipes, l)
			return l, e, nil
		},
	}
	if change != nil {
		change(&o)
	}
	server, err := Start(context.Background(), o)
	require.NoError(t, err)
	c.server = server
	transport := &http.Transport{DialContext: pipes[0].DialContext}
	c.client = &http.Client{Transport: &checkedTransport{t: t, next: transport, router: apiRouter(t)}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
	})
	return c, pipes
}

// dial opens a connection that the test's end closes.
func (l *pipeListener) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := l.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends text, which begins a request or is one.
func ask(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

const (
	getState = "GET /v1/state HTTP/1.1\r\nHost: localhost\r\n\r\n"
	forceOff = "PUT /v1/strategy/global HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22\r\n\r\n" + `{"switch":"FORCE_OFF"}`
)

// answered reads an answer and returns its status, and whether it says that the connection ends with it.
func answered(t *testing.T, conn net.Conn) (status int, closes bool) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, resp.Close
}

// hungUp returns when the other end has closed the connection, and how long that took.
func hungUp(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	_, err := io.Copy(io.Discard, conn)
	require.NoError(t, err)
	return time.Since(start)
}
