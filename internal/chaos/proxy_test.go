package chaos

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends back what comes, and ends when its client does.
func echo(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return listener.Addr().String()
}

func proxyTo(t *testing.T, target string, plan Plan) *Proxy {
	t.Helper()
	p, err := Start(target, plan)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c.(*net.TCPConn)
}

// exchange sends sent, ends its direction, and reads what comes until the end.
func exchange(c *net.TCPConn, sent []byte) ([]byte, error) {
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	return io.ReadAll(c)
}

func TestProxy(t *testing.T) {
	target := echo(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	const at = 700_000
	flipped := bytes.Clone(sent)
	flipped[at] ^= 1
	for _, row := range []struct {
		name string
		plan Plan
		want []byte
		err  error
	}{
		{"as it is", Server(Alteration{}), sent, nil},
		{"a byte of the server's", Server(Alteration{Kind: Flip, Offset: at, Length: 1}), flipped, nil},
		{"a byte of the client's", func(int) (Alteration, Alteration) {
			return Alteration{Kind: Flip, Offset: at, Length: 1}, Alteration{}
		}, flipped, nil},
		{"other segments", Server(Alteration{Kind: Resegment, Length: 2000, Seed: 1}), sent, nil},
		{"a late byte", Server(Alteration{Kind: Delay, Offset: at, Wait: time.Millisecond}), sent, nil},
		{"an early end", Server(Alteration{Kind: Truncate, Offset: at}), sent[:at], nil},
		{"a reset", Server(Alteration{Kind: Reset, Offset: at}), nil, syscall.ECONNRESET},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := exchange(dial(t, proxyTo(t, target, row.plan)), sent)
			if row.err != nil {
				require.True(t, errors.Is(err, row.err), "%v", err)
				return
			}
			require.NoError(t, err)
			require.True(t, bytes.Equal(row.want, got), "%d bytes of %d", len(got), len(row.want))
		})
	}
}

func TestPlanPerConnection(t *testing.T) {
	p := proxyTo(t, echo(t), func(n int) (Alteration, Alteration) {
		if n%2 == 1 {
			return Alteration{}, Alteration{Kind: Drop, Length: 1}
		}
		return Alteration{}, Alteration{}
	})
	for _, want := range []string{"hello", "ello", "hello", "ello"} {
		got, err := exchange(dial(t, p), []byte("hello"))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

func TestNoTarget(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	c, err := net.Dial("tcp", proxyTo(t, address, Server(Alteration{})).Address())
	if err == nil { // the reset came after the handshake
		defer c.Close()
		_, err = exchange(c.(*net.TCPConn), []byte("hello"))
	}
	require.True(t, errors.Is(err, syscall.ECONNRESET), "%v", err)
}

// TestCloseEndsConnections closes a proxy with a client that neither sends nor ends.
func TestCloseEndsConnections(t *testing.T) {
	p := proxyTo(t, echo(t), Server(Alteration{}))
	c := dial(t, p)
	_, err := c.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	p.Close()
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, syscall.EAGAIN)
}
