package sidecar

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
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

// The sidecar hangs up on who is slow, whichever part is late, after exactly the time that it grants.
func TestSlowClients(t *testing.T) {
	defaults := Options{}.withDefaults().limits
	tests := []struct {
		name, sent string
		answered   bool // before it hangs up
		want       time.Duration
	}{
		{name: "nothing", want: defaults.headerTimeout},
		{name: "half a head", sent: "GET /v1/state HTTP/1.1\r\nHost: loc", want: defaults.headerTimeout},
		{
			name: "half a body", sent: "PUT /v1/strategy/global HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
			want: defaults.readTimeout,
		},
		{name: "nothing more", sent: getState, answered: true, want: defaults.idleTimeout},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, pipes := startPiped(t, nil)
				conn := pipes[0].dial(t)
				ask(t, conn, tc.sent)
				if tc.answered {
					status, _ := answered(t, conn)
					require.Equal(t, http.StatusOK, status)
				}
				require.Equal(t, tc.want, hungUp(t, conn))
			})
		})
	}
}

// A client that does not read its answer is hung up on, so that it holds neither a goroutine nor a place.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, pipes := startPiped(t, nil)
		conn := pipes[0].dial(t)
		ask(t, conn, "GET "+openAPIPath+" HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		require.Len(t, c.server.slots, 1)
		time.Sleep(c.server.options.limits.writeTimeout - time.Nanosecond)
		synctest.Wait()
		require.Len(t, c.server.slots, 1, "it is given its time")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Empty(t, c.server.slots)
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err, "it hung up")
	})
}

// A drip of bytes does not keep a head alive.
func TestSlowloris(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, pipes := startPiped(t, nil)
		conn := pipes[0].dial(t)
		start := time.Now()
		_, err := io.WriteString(conn, "GET /v1/state HTTP/1.1\r\n")
		for err == nil {
			_, err = io.WriteString(conn, "X: y\r\n")
			time.Sleep(100 * time.Millisecond)
		}
		require.InDelta(t, c.server.options.limits.headerTimeout.Seconds(), time.Since(start).Seconds(), 0.25)
	})
}

// Who is refused holds no connection.
func TestRefusalsCloseTheConnection(t *testing.T) {
	tests := []struct {
		name, sent string
		listener   int
		status     int
	}{
		{name: "a page", sent: "GET /v1/state HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\n\r\n", status: http.StatusForbidden},
		{name: "a name", listener: 1, sent: "GET /v1/state HTTP/1.1\r\nHost: evil\r\n\r\n", status: http.StatusForbidden},
		{name: "busy", sent: getState, status: http.StatusServiceUnavailable},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, pipes := startPiped(t, func(o *Options) { o.limits.requests = 1 })
				if tc.name == "busy" {
					c.server.slots <- struct{}{}
				}
				conn := pipes[tc.listener].dial(t)
				ask(t, conn, tc.sent)
				status, closes := answered(t, conn)
				require.Equal(t, tc.status, status)
				require.True(t, closes, "it says so")
				require.Zero(t, hungUp(t, conn), "at once")
			})
		})
	}
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
func slowPost(t *testing.T, l *pipeListener) net.Conn {
	t.Helper()
	conn := l.dial(t)
	ask(t, conn, "POST /v1/portraits/RPC?port=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
	return conn
}

func TestConcurrencyLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, pipes := startPiped(t, func(o *Options) { o.limits.portraits, o.limits.strategies, o.limits.requests = 2, 2, 4 })
		c.meter.set(10, 20, time.Now())
		c.setGlobal(on)
		slow := []net.Conn{slowPost(t, pipes[0]), slowPost(t, pipes[0])}
		synctest.Wait()
		require.Len(t, c.server.portraitSlots, 2)
		r := c.do(http.MethodPost, portraitPath+"RPC?port=1", "{}")
		require.Equal(t, ReasonBusy, problem(t, http.StatusServiceUnavailable, r))
		require.Equal(t, "1", r.header.Get("Retry-After"))
		require.Equal(t, http.StatusOK, c.do(http.MethodGet, statePath, "").status, "polls have their own places")

		c.setGlobal(on) // so have strategies

		// Two more requests that wait for their bodies take the last places of all.
		for range 2 {
			conn := pipes[0].dial(t)
			ask(t, conn, "PUT /v1/strategy/global HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
			slow = append(slow, conn)
		}
		synctest.Wait()
		require.Len(t, c.server.slots, 4)
		require.Equal(t, ReasonBusy, problem(t, http.StatusServiceUnavailable, c.do(http.MethodGet, statePath, "")))

		statuses := make(map[int]int)
		for _, conn := range slow {
			ask(t, conn, "{}")
			status, _ := answered(t, conn)
			statuses[status]++
		}
		require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusConflict: 1, http.StatusOK: 2}, statuses)
		synctest.Wait()
		require.Empty(t, c.server.slots)
		require.Empty(t, c.server.portraitSlots)
	})
}

// Connections that wait for their next request, for their first one, or for the rest of a head keep nobody out, however
// many they are: polls and FORCE_OFF come in on either listener, at once.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	tests := []struct {
		name, sent string
		answered   bool
	}{
		{name: "asked before", sent: getState, answered: true},
		{name: "never asked"},
		{name: "half a head", sent: "GET /v1/state HTTP/1.1\r\nX: "},
	}
	for _, tc := range tests {
		for listener, name := range []string{"socket", "tcp"} {
			t.Run(tc.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, pipes := startPiped(t, nil)
					start := time.Now()
					most := c.server.options.limits.connections
					var idle []net.Conn
					for range most + 32 {
						conn := pipes[listener].dial(t)
						ask(t, conn, tc.sent)
						if tc.answered {
							answered(t, conn)
						}
						synctest.Wait()
						idle = append(idle, conn)
					}
					conn := pipes[listener].dial(t)
					ask(t, conn, getState)
					status, _ := answered(t, conn)
					require.Equal(t, http.StatusOK, status)
					conn = pipes[listener].dial(t)
					ask(t, conn, forceOff)
					status, _ = answered(t, conn)
					require.Equal(t, http.StatusOK, status)
					require.Equal(t, "forced_off", c.server.view().reason.String())
					require.Equal(t, start, time.Now())
					// 32 and 2 connections took the places of the first ones; the others were left alone.
					for i, conn := range idle {
						want := io.EOF
						if i >= 34 {
							want = os.ErrDeadlineExceeded
							require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Nanosecond)))
						}
						_, err := conn.Read(make([]byte, 1))
						require.ErrorIs(t, err, want, "connection %d", i)
					}
				})
			})
		}
	}
}

// A connection with a request under way is never the one that makes room.
func TestBusyConnectionsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, pipes := startPiped(t, func(o *Options) { o.limits.connections = 2 })
		var busy []net.Conn
		for range 2 {
			conn := pipes[0].dial(t)
			ask(t, conn, forceOff[:len(forceOff)-1])
			busy = append(busy, conn)
		}
		synctest.Wait()
		third := pipes[0].dial(t)
		require.NoError(t, third.SetDeadline(time.Now().Add(time.Second)))
		_, err := io.WriteString(third, getState)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it waits for a place")
		require.NoError(t, third.SetDeadline(time.Time{}))
		ask(t, busy[0], "}")
		status, _ := answered(t, busy[0])
		require.Equal(t, http.StatusOK, status)
		ask(t, third, getState)
		status, _ = answered(t, third)
		require.Equal(t, http.StatusOK, status)
		require.Zero(t, hungUp(t, busy[0]), "once it is idle it makes room")
		ask(t, busy[1], "}")
		status, _ = answered(t, busy[1])
		require.Equal(t, http.StatusOK, status)
	})
}

// With TLS too: the server tells of the connection around the one that was accepted.
func TestBusyConnectionsStayWithTLS(t *testing.T) {
	cert, key := newAuthority(t).issue("sidecar")
	token := writeToken(t, strings.Repeat("t", minTokenBytes))
	synctest.Test(t, func(t *testing.T) {
		_, pipes := startPiped(t, func(o *Options) {
			o.Listen = append(o.Listen, Endpoint{Network: "tcp", Address: "10.0.0.1:9911", TLS: true})
			o.TLSCert, o.TLSKey, o.TokenFile, o.limits.connections = cert, key, token, 1
		})
		dial := func() net.Conn {
			return tls.Client(pipes[2].dial(t), &tls.Config{InsecureSkipVerify: true}) // the bubble's clock is before the certificate
		}
		request := strings.Replace(forceOff, "\r\n", "\r\nAuthorization: Bearer "+strings.Repeat("t", minTokenBytes)+"\r\n", 1)
		busy := dial()
		ask(t, busy, request[:len(request)-1])
		synctest.Wait()
		second := dial()
		greeted := make(chan error)
		go func() { greeted <- second.(*tls.Conn).Handshake() }()
		synctest.Wait()
		ask(t, busy, "}")
		status, _ := answered(t, busy)
		require.Equal(t, http.StatusOK, status)
		require.NoError(t, <-greeted, "the first one is idle, and makes room")
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, pipes := startPiped(t, nil)
		c.meter.set(10, 20, time.Now())
		c.setGlobal(on)
		conn := slowPost(t, pipes[0])
		synctest.Wait()
		c.server.cancel()
		// The request in progress is answered.
		ask(t, conn, "{}")
		status, _ := answered(t, conn)
		require.Equal(t, http.StatusCreated, status)
		require.NoError(t, c.server.Wait())
		require.NoError(t, c.server.Close(), "twice is fine")
	})
}

// A request that never ends does not keep the sidecar from ending.
func TestCloseWithRequestsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, pipes := startPiped(t, nil)
		c.meter.set(10, 20, time.Now())
		c.setGlobal(on)
		slowPost(t, pipes[0])
		synctest.Wait()
		start := time.Now()
		require.NoError(t, c.server.Close())
		require.Equal(t, c.server.options.limits.shutdown, time.Since(start))
	})
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server, err := Start(ctx, Options{Dir: t.TempDir(), Listen: []Endpoint{{Network: "unix", Address: socketPath(t)}}})
	require.NoError(t, err)
	cancel()
	require.NoError(t, server.Wait())
	require.NoFileExists(t, server.Endpoints()[0].Address)
}

func TestListenerThatFails(t *testing.T) {
	o := Options{Dir: t.TempDir(), Listen: []Endpoint{{Network: "unix", Address: socketPath(t)}}}
	server, err := Start(t.Context(), o)
	require.NoError(t, err)
	// Somebody closes the listener below the server.
	require.NoError(t, server.closers[len(server.closers)-1]())
	require.ErrorContains(t, server.Wait(), fmt.Sprintf("serve unix://%s", o.Listen[0].Address))
}
