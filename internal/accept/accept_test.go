package accept

import (
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// script is a listener whose results are given: an error, or nil for a connection. After the last one it is closed.
type script struct {
	net.Listener
	results []error
	at      []time.Duration // when Accept was called
	began   time.Time
}

func (s *script) Accept() (net.Conn, error) {
	s.at = append(s.at, time.Since(s.began))
	if len(s.results) == 0 {
		return nil, net.ErrClosed
	}
	err := s.results[0]
	s.results = s.results[1:]
	if err != nil {
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	server, client := net.Pipe()
	_ = client.Close()
	return server, nil
}

func TestLoop(t *testing.T) {
	full := error(syscall.EMFILE)
	const ms = time.Millisecond
	for _, row := range []struct {
		name    string
		results []error
		at      []time.Duration
		served  int
		failed  int
	}{
		{"closed at once", nil, []time.Duration{0}, 0, 0},
		{"connections", []error{nil, nil}, []time.Duration{0, 0, 0}, 2, 0},
		{"a failure pauses and accepts again", []error{full, nil}, []time.Duration{0, 5 * ms, 5 * ms}, 1, 1},
		{"failures double the pause", []error{full, full, full}, []time.Duration{0, 5 * ms, 15 * ms, 35 * ms}, 0, 3},
		{"a connection makes the pause short again", []error{full, full, nil, full}, []time.Duration{0, 5 * ms, 15 * ms, 15 * ms, 20 * ms}, 1, 3},
		{
			"the pause is a second at most",
			[]error{full, full, full, full, full, full, full, full, full, full},
			[]time.Duration{0, 5 * ms, 15 * ms, 35 * ms, 75 * ms, 155 * ms, 315 * ms, 635 * ms, 1275 * ms, 2275 * ms, 3275 * ms},
			0, 10,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := &script{results: row.results, began: time.Now()}
				served, failed := 0, 0
				Loop(listener, nil, func(c net.Conn) {
					served++
					require.NoError(t, c.Close())
				}, func(err error) {
					failed++
					require.ErrorIs(t, err, syscall.EMFILE)
				})
				require.Equal(t, row.at, listener.at)
				require.Equal(t, row.served, served)
				require.Equal(t, row.failed, failed)
			})
		})
	}
}

func TestLoopStopsInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		time.AfterFunc(2*time.Millisecond, func() { close(stop) })
		listener := &script{results: []error{syscall.EMFILE, nil}, began: time.Now()}
		Loop(listener, stop, func(net.Conn) { require.Fail(t, "served") }, func(error) {})
		require.Equal(t, 2*time.Millisecond, time.Since(listener.began))
	})
}
