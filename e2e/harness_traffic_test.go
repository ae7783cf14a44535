package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// digest stands for a stream of bytes.
type digest struct {
	length uint64
	sum    [sha256.Size]byte
}

func digestOf(b []byte) digest { return digest{length: uint64(len(b)), sum: sha256.Sum256(b)} }

// randomBytes returns n bytes that seed determines.
func randomBytes(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// service is what the proxy leads to.
type service struct {
	listener net.Listener
	wait     sync.WaitGroup
}

// startService serves each connection by handle, which closes nothing, and returns the service. Its connections must
// have ended when the test does.
func startService(t *testing.T, handle func(*net.TCPConn)) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &service{listener: listener}
	s.wait.Go(func() {
		for {
			accepted, err := listener.Accept()
			if err != nil {
				return
			}
			s.wait.Go(func() {
				defer accepted.Close()
				handle(accepted.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.wait.Wait()
	})
	return s
}

func (s *service) address() string { return s.listener.Addr().String() }

// echo sends back what it receives, and ends its stream when the client has.
func echo(c *net.TCPConn) {
	_, _ = io.Copy(c, c)
	_ = c.CloseWrite()
}

// client is a connection through the proxy to an echo service.
type client struct {
	*net.TCPConn
	t *testing.T
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	c, err := connect(address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &client{TCPConn: c, t: t}
}

// connect returns a connection that ends by itself some time after a test would have given up.
func connect(address string) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", address, deadline)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(2 * deadline))
}

// source is the client's address, which its open record holds.
func (c *client) source() string { return endsOf(c) }

// endsOf names a connection by both its ends: a client's port alone may be in use towards two listeners at once.
func endsOf(c net.Conn) string { return ends(c.LocalAddr().String(), c.RemoteAddr().String()) }

func ends(source, destination string) string { return source + ">" + destination }

// exchange sends a payload and waits for its echo.
func (c *client) exchange(payload []byte) {
	c.t.Helper()
	require.NoError(c.t, exchange(c.TCPConn, payload))
}

// exchange sends a payload and waits for its echo. The connection gets more time, as connect has given it.
func exchange(c net.Conn, payload []byte) error {
	if err := c.SetDeadline(time.Now().Add(2 * deadline)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(payload)
		sent <- err
	}()
	received := make([]byte, len(payload))
	_, err := io.ReadFull(c, received)
	if err = errors.Join(err, <-sent); err != nil {
		return err
	}
	if !bytes.Equal(payload, received) {
		return errors.New("the echo differs from what was sent")
	}
	return nil
}

// finish ends the stream, waits for the end of the service's, and closes.
func (c *client) finish() {
	c.t.Helper()
	require.NoError(c.t, c.CloseWrite())
	rest, err := io.ReadAll(c)
	require.NoError(c.t, err)
	require.Empty(c.t, rest, "bytes after the echo")
	require.NoError(c.t, c.Close())
}
