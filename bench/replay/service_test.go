package main

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestService holds that nobody is answered before all have asked, and that each answer is whole.
func TestService(t *testing.T) {
	body := newBlocks(1)
	s, err := newService(t.Context(), 2, body)
	require.NoError(t, err)
	t.Cleanup(s.stop) // after the clients have left
	dial := func() net.Conn {
		c, err := net.Dial("tcp", s.address())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
		return c
	}
	var want []byte
	body.each(func(block []byte) bool { want = append(want, block...); return true })
	want = fmt.Appendf(nil, "%s%s", body.head(), want)
	first, second := dial(), dial()
	ask := func(c net.Conn) {
		_, err := c.Write(getRequest)
		require.NoError(t, err)
	}
	ask(first)
	require.Eventually(t, func() bool { return s.missing.Load() == 1 }, 10*time.Second, time.Millisecond)
	select {
	case <-s.all:
		t.Fatal("answered before all have asked")
	default:
	}
	ask(second)
	ask(first)
	for _, c := range []net.Conn{second, first, first} {
		got := make([]byte, len(want))
		_, err := io.ReadFull(c, got)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
