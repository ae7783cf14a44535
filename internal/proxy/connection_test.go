package proxy

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The callbacks, their order and the types of the closes are those of Envoy 1.40.0 for the same plugin and the same moves.
func TestConnectionEnds(t *testing.T) {
	const done = "delete 2"
	read := func(conn net.Conn, n int) bool {
		_, err := io.ReadFull(conn, make([]byte, n))
		return err == nil
	}
	reset := func(conn *net.TCPConn) {
		_ = conn.SetLinger(0)
		conn.Close()
	}
	begin := []string{"context_create 2 1", "new_connection 2", "downstream_data 2 5 0"}
	end := []string{"done 2", "log 2", done}
	tests := []struct {
		name   string
		server func(conn *net.TCPConn)
		client func(t *testing.T, conn *net.TCPConn)
		want   []string
	}{
		{
			"client first, server at its end", echo,
			func(t *testing.T, conn *net.TCPConn) {
				roundTrip(t, conn, "hello")
				require.NoError(t, conn.CloseWrite())
				requireEnd(t, conn)
			},
			[]string{"upstream_data 2 5 0", "downstream_data 2 0 1", "upstream_data 2 0 1", "upstream_close 2 0", "downstream_close 2 1"},
		},
		{
			"client first, server still sends",
			func(conn *net.TCPConn) {
				_, _ = io.Copy(io.Discard, conn)
				_, _ = conn.Write([]byte("bye"))
			},
			func(t *testing.T, conn *net.TCPConn) {
				_, err := conn.Write([]byte("hello"))
				require.NoError(t, err)
				require.NoError(t, conn.CloseWrite())
				got, err := io.ReadAll(conn)
				require.NoError(t, err)
				require.Equal(t, "bye", string(got))
			},
			[]string{"downstream_data 2 0 1", "upstream_data 2 3 0", "upstream_data 2 0 1", "upstream_close 2 0", "downstream_close 2 1"},
		},
		{
			"server first, client at its end",
			func(conn *net.TCPConn) {
				if read(conn, 5) {
					_, _ = conn.Write([]byte("bye"))
				}
			},
			func(t *testing.T, conn *net.TCPConn) {
				_, err := conn.Write([]byte("hello"))
				require.NoError(t, err)
				got, err := io.ReadAll(conn)
				require.NoError(t, err)
				require.Equal(t, "bye", string(got))
				require.NoError(t, conn.Close())
			},
			[]string{"upstream_data 2 3 0", "upstream_data 2 0 1", "upstream_close 2 0", "downstream_data 2 0 1", "downstream_close 2 2"},
		},
		{
			"server first, client still sends",
			func(conn *net.TCPConn) {
				if read(conn, 5) {
					_ = conn.CloseWrite()
					_, _ = io.Copy(io.Discard, conn)
				}
			},
			func(t *testing.T, conn *net.TCPConn) {
				_, err := conn.Write([]byte("hello"))
				require.NoError(t, err)
				requireEnd(t, conn)
				_, err = conn.Write([]byte("more"))
				require.NoError(t, err)
				require.NoError(t, conn.CloseWrite())
			},
			[]string{"upstream_data 2 0 1", "upstream_close 2 0", "downstream_data 2 4 0", "downstream_data 2 0 1", "downstream_close 2 2"},
		},
		{
			"client resets", echo,
			func(t *testing.T, conn *net.TCPConn) {
				roundTrip(t, conn, "hello")
				reset(conn)
			},
			[]string{"upstream_data 2 5 0", "downstream_close 2 2"},
		},
		{
			"server resets",
			func(conn *net.TCPConn) {
				if read(conn, 5) {
					reset(conn)
				}
			},
			func(t *testing.T, conn *net.TCPConn) {
				_, err := conn.Write([]byte("hello"))
				require.NoError(t, err)
				_, err = conn.Read(make([]byte, 1))
				require.ErrorIs(t, err, syscall.ECONNRESET)
			},
			[]string{"downstream_close 2 1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newTestFile(serve(t, test.server), typed(wasm("", nil))).start(t, nil)
			test.client(t, s.dial(t))
			s.log.waitFor(t, done)
			want := append(append(append([]string{}, begin...), test.want...), end...)
			require.Equal(t, want, s.log.callbacks())
		})
	}
}

func TestUpstreamRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	file := newTestFile(address, typed(wasm("", nil)))
	file.tcp["max_connect_attempts"] = 3
	s := file.start(t, nil)
	requireEnd(t, s.dial(t))
	s.log.waitFor(t, "delete 2")
	require.Equal(t, []string{"context_create 2 1", "new_connection 2", "downstream_close 2 1", "done 2", "log 2", "delete 2"}, s.log.callbacks())
	_, stats := s.get(t, "/stats?filter=cluster.service.upstream_cx_connect")
	require.Equal(t, "cluster.service.upstream_cx_connect_attempts_exceeded: 1\n"+
		"cluster.service.upstream_cx_connect_fail: 3\ncluster.service.upstream_cx_connect_timeout: 0\n", stats)
}

func TestFiltersFrameTheConnection(t *testing.T) {
	second := wasm("", object{"name": "second", "vm_config": object{
		"vm_id": "other", "code": object{"local": object{"filename": fixture.probe}},
	}})
	s := newTestFile(serve(t, echo), typed(wasm("", nil)), typed(second)).start(t, nil)
	conn := s.dial(t)
	roundTrip(t, conn, "x")
	require.NoError(t, conn.CloseWrite())
	requireEnd(t, conn)
	s.log.waitFor(t, "wasm log second root other: delete 2")
	require.Regexp(t, `(?s)probe root vm: downstream_data 2 1 0\n.*second root other: downstream_data 2 1 0\n.*`+
		`second root other: upstream_data 2 1 0\n.*probe root vm: upstream_data 2 1 0\n`, s.log.String())
}

func TestNoFilter(t *testing.T) {
	s := newTestFile(serve(t, echo)).start(t, nil)
	conn := s.dial(t)
	roundTrip(t, conn, "hello")
	require.NoError(t, conn.CloseWrite())
	requireEnd(t, conn)
}

func TestPluginFails(t *testing.T) {
	tests := []struct {
		name       string
		config     object
		live, next bool // whether connections continue
	}{
		{"fail closed", object{}, false, false},
		{"fail open", object{"failure_policy": "FAIL_OPEN"}, false, true},
		{"fail open, live too", object{"fail_open": true}, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newTestFile(serve(t, echo), typed(wasm("", test.config))).start(t, nil)
			victim := s.dial(t)
			if test.live {
				roundTrip(t, victim, "!panic ouch")
				roundTrip(t, victim, "more")
			} else {
				_, err := io.WriteString(victim, "!panic ouch")
				require.NoError(t, err)
				requireEnd(t, victim)
			}
			next := s.dial(t)
			if test.next {
				roundTrip(t, next, "hello")
			} else {
				requireEnd(t, next)
			}
			_, stats := s.get(t, "/stats?filter=wasm_vm")
			require.Equal(t, "wasm.wasm_vm_count: 2\nwasm.wasm_vm_failed: 1\n", stats)
		})
	}
}

func TestIdleTimeout(t *testing.T) {
	file := newTestFile(serve(t, echo), typed(wasm("", nil)))
	file.tcp["idle_timeout"] = "0.05s"
	s := file.start(t, nil)
	conn := s.dial(t)
	roundTrip(t, conn, "hello")
	requireEnd(t, conn)
	s.log.waitFor(t, "downstream_close 2 1")
	_, stats := s.get(t, "/stats?filter=idle_timeout")
	require.Equal(t, "tcp.tcp.idle_timeout: 1\n", stats)
}

func TestIdleConnectionsHoldNoBuffer(t *testing.T) {
	s := newTestFile(serve(t, echo), typed(wasm("quiet", nil))).start(t, nil)
	for range 20 {
		roundTrip(t, s.dial(t), "hello")
	}
	require.Equal(t, 20, s.Connections())
	require.Eventually(t, func() bool { return s.listeners[0].buffers.inUse.Load() == 0 }, patience, testPoll)
}

// A buffer of the size of the limit is all that is ever read at once.
func TestBufferLimit(t *testing.T) {
	file := newTestFile(serve(t, echo), typed(wasm("", nil)))
	file.listener["per_connection_buffer_limit_bytes"] = 4
	s := file.start(t, nil)
	roundTrip(t, s.dial(t), "12345")
	require.Contains(t, s.log.callbacks(), "downstream_data 2 4 0")
	require.Contains(t, s.log.callbacks(), "downstream_data 2 1 0")
}

// A reader that does not read must stop the writer, once the buffers of the kernel are full.
func TestSlowReader(t *testing.T) {
	release := make(chan struct{})
	var received atomic.Int64
	s := newTestFile(serve(t, func(conn *net.TCPConn) {
		<-release
		n, _ := io.Copy(io.Discard, conn)
		received.Store(n)
	}), typed(wasm("quiet", nil))).start(t, nil)
	t.Cleanup(func() {
		select {
		case <-release:
		default:
			close(release)
		}
	})
	conn := s.dial(t)
	require.NoError(t, conn.SetWriteBuffer(64<<10))
	// What the kernel may hold on both connections: its limit for automatic buffers is below this.
	const bound = 64 << 20
	chunk := make([]byte, 256<<10)
	sent := 0
	for sent < bound {
		require.NoError(t, conn.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
		n, err := conn.Write(chunk)
		sent += n
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			break
		}
	}
	require.Less(t, sent, bound, "the writer was never stopped")
	// What the proxy itself holds between read and written is at most one buffer.
	rx := s.stats.tcp("tcp").counter("downstream_cx_rx_bytes_total")
	tx := s.stats.cluster("service").counter("upstream_cx_tx_bytes_total")
	require.LessOrEqual(t, rx.Value()-tx.Value(), uint64(maxBuffer))

	close(release)
	require.NoError(t, conn.SetWriteDeadline(time.Time{}))
	require.NoError(t, conn.CloseWrite())
	requireEnd(t, conn)
	require.Eventually(t, func() bool { return received.Load() == int64(sent) }, patience, time.Millisecond, "nothing is lost")
}
