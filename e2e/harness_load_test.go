package e2e

import (
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// conversation is who speaks when on a connection. Each function sends its side's bytes, ends its stream, and returns
// what the other side sent until the end of its stream.
type conversation struct {
	name    string
	client  func(c *net.TCPConn, send []byte) (received []byte, err error)
	service func(c *net.TCPConn, send []byte) (received []byte, err error)
	by      []string // who ends its stream first
}

var conversations = []conversation{
	{"the client ends first", sendAndReceive, receiveThenSend, []string{"downstream"}},
	{"the service speaks and ends first", receiveThenSend, sendThenReceive, []string{"upstream"}},
	{"both at once", sendAndReceive, sendAndReceive, []string{"downstream", "upstream"}},
}

func send(c *net.TCPConn, b []byte) error {
	_, err := c.Write(b)
	return errors.Join(err, c.CloseWrite())
}

func sendThenReceive(c *net.TCPConn, b []byte) ([]byte, error) {
	if err := send(c, b); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

func receiveThenSend(c *net.TCPConn, b []byte) ([]byte, error) {
	received, err := io.ReadAll(c)
	if err != nil {
		return nil, err
	}
	return received, send(c, b)
}

func sendAndReceive(c *net.TCPConn, b []byte) ([]byte, error) {
	sent := make(chan error, 1)
	go func() { sent <- send(c, b) }()
	received, err := io.ReadAll(c)
	return received, errors.Join(err, <-sent)
}

// talk is what one side of a connection sent and received.
type talk struct{ sent, received digest }

// load is a number of connections, of which every byte is known.
type load struct {
	conversation conversation
	connections  int
	maxBytes     int // that a side sends; from 1 on, and one sends nothing
	seed         uint64
}

// size returns how many bytes the i-th of n senders sends: none, and then from 1 to most in equal ratios.
func size(i, n, most int) int {
	if i == 0 {
		return 0
	}
	return int(math.Round(math.Pow(float64(most), float64(i-1)/float64(n-2))))
}

// run sends the load through a proxy's listener, and returns what the clients sent and received, by their addresses. What the
// service sent and received was the same.
func (l *load) run(t *testing.T, service *talkingService, address string) map[string]talk {
	t.Helper()
	const atOnce = 16
	service.begin(l)
	var (
		talks = map[string]talk{}
		mu    sync.Mutex
		wait  sync.WaitGroup
		slots = make(chan struct{}, atOnce)
		fault atomic.Pointer[error]
	)
	for i := range l.connections {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			payload := randomBytes(l.seed<<32|uint64(i), size(i, l.connections, l.maxBytes))
			c, err := connect(address)
			if err != nil {
				fault.Store(&err)
				return
			}
			defer c.Close()
			received, err := l.conversation.client(c, payload)
			if err != nil {
				fault.Store(&err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			talks[endsOf(c)] = talk{sent: digestOf(payload), received: digestOf(received)}
		})
	}
	wait.Wait()
	if err := fault.Load(); err != nil {
		require.NoError(t, *err)
	}
	require.Len(t, talks, l.connections, "clients had the same address")

	clients := make([]talk, 0, len(talks))
	for _, each := range talks {
		clients = append(clients, talk{sent: each.received, received: each.sent})
	}
	require.ElementsMatch(t, clients, service.end(t, l.connections), "the service had another conversation than the clients")
	return talks
}

// talkingService is the other side of loads, one after another.
type talkingService struct {
	*service
	load   atomic.Pointer[load]
	number atomic.Int64
	mu     sync.Mutex
	talks  []talk
}

func startTalkingService(t *testing.T) *talkingService {
	s := new(talkingService)
	s.service = startService(t, s.handle)
	return s
}

func (s *talkingService) begin(l *load) {
	s.number.Store(0)
	s.load.Store(l)
}

func (s *talkingService) handle(c *net.TCPConn) {
	l := s.load.Load()
	i := int(s.number.Add(1)) - 1
	// Large answers go with small requests.
	payload := randomBytes(^(l.seed<<32 | uint64(i)), size(l.connections-1-i, l.connections, l.maxBytes))
	received, err := l.conversation.service(c, payload)
	if err != nil {
		return // the client sees it too
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.talks = append(s.talks, talk{sent: digestOf(payload), received: digestOf(received)})
}

// end returns the talks of the load, of which there are count.
func (s *talkingService) end(t *testing.T, count int) []talk {
	t.Helper()
	var talks []talk
	waitFor(t, "the service's connections to end", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		talks = s.talks
		return len(talks) >= count
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.talks = nil
	return talks
}

func emptyTalks(talks map[string]talk) (n int) {
	for _, each := range talks {
		if each.sent.length+each.received.length == 0 {
			n++
		}
	}
	return n
}
