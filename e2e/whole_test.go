package e2e

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
	"l4dump/strategy"
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

// requireWhole requires that a connection was recorded from its first byte to its end, both directions.
func requireWhole(t *testing.T, c *conn, want talk) {
	t.Helper()
	require.Equal(t, want.sent, c.streams[record.Downstream].digest(t), "what the client sent")
	require.Equal(t, want.received, c.streams[record.Upstream].digest(t), "what the service sent")
	require.Equal(t, []uint64{want.sent.length}, c.streams[record.Downstream].ends)
	require.Equal(t, []uint64{want.received.length}, c.streams[record.Upstream].ends)
	require.NotNil(t, c.closed)
	require.Equal(t, record.Ledger{Seen: want.sent.length, Kept: want.sent.length}, c.closed.Downstream)
	require.Equal(t, record.Ledger{Seen: want.received.length, Kept: want.received.length}, c.closed.Upstream)
}

// TestWholeConnections records 200 connections without a limit: what was recorded is what was sent, to the byte.
func TestWholeConnections(t *testing.T) {
	t.Parallel()
	const maxBytes = 4 << 20
	onEach(t, func(t *testing.T, s subject) {
		service := startTalkingService(t)
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		p := start(t, s, c)

		all := map[string]talk{} // by the connection's identifier
		for i, conversation := range conversations {
			l := load{conversation: conversation, connections: []int{66, 67, 67}[i], maxBytes: maxBytes, seed: uint64(i)}
			talks := l.run(t, service, p.address(listenerName))
			d := p.waitForCloses(len(all) + len(talks))
			for source, talk := range talks {
				recorded := d.of(t, source)
				requireWhole(t, recorded, talk)
				require.Contains(t, conversation.by, recorded.closed.By, conversation.name)
				require.Equal(t, "connections", recorded.open.Unit)
				require.Equal(t, p.address(listenerName), recorded.open.Destination)
				require.Equal(t, p.port(listenerName), recorded.port)
				require.Len(t, recorded.windows, 1)
				recorded.streams = [2]stream{} // not to hold all of it
				all[recorded.id.String()] = talk
			}
		}
		p.stop()
		d := p.dump()
		require.Len(t, d.conns, 200)
		require.Equal(t, 200, d.closes)
		require.Equal(t, workers, d.vms())
		require.LessOrEqual(t, d.longest, 4096)
		requireDecoded(t, p.log, all)
	})
}

// requireDecoded requires that the decode command finds all connections in a log, by their identifiers, without a fault.
func requireDecoded(t *testing.T, log string, want map[string]talk) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "streams")
	text, err := exec.Command(commandLine(t), "decode", "--format", "raw", "--out", dir, "--strict", log).CombinedOutput()
	require.NoError(t, err, "%s", text)
	read := func(name string) digest {
		stream, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			return digestOf(nil) // a direction without bytes has no file
		}
		require.NoError(t, err)
		return digestOf(stream)
	}
	for id, talk := range want {
		require.Equal(t, talk.sent, read(id+".downstream"))
		require.Equal(t, talk.received, read(id+".upstream"))
	}
}

// TestUnitBytes records the bytes that pass while a window is open: both directions, or by default the client's.
func TestUnitBytes(t *testing.T) {
	t.Parallel()
	const both, byDefault = "both", "default"
	onEach(t, func(t *testing.T, s subject) {
		service := startTalkingService(t)
		c := newConfig(t, service.address(), plugins{
			both: pluginConfig(openStrategy(t),
				`{"directions": ["upstream", "downstream"], "max_bytes_per_second": 0, "max_lines_per_second": 0}`, `{}`),
			byDefault: pluginConfig(openStrategy(t), `{"max_bytes_per_second": 0, "max_lines_per_second": 0}`, `{}`),
		})
		p := start(t, s, c)

		l := load{conversation: conversations[0], connections: 20, maxBytes: 256 << 10, seed: 1}
		talks := l.run(t, service, p.address(both))
		// A connection without a byte has no record.
		d := p.waitForCloses(len(talks) - emptyTalks(talks))
		for source, talk := range talks {
			if talk.sent.length+talk.received.length == 0 {
				require.NotContains(t, d.bySource, source)
				continue
			}
			recorded := d.of(t, source)
			require.Equal(t, talk.sent, recorded.streams[record.Downstream].digest(t))
			require.Equal(t, talk.received, recorded.streams[record.Upstream].digest(t))
			require.Equal(t, record.Ledger{Seen: talk.sent.length, Kept: talk.sent.length}, recorded.closed.Downstream)
			require.Equal(t, record.Ledger{Seen: talk.received.length, Kept: talk.received.length}, recorded.closed.Upstream)
			require.Equal(t, "bytes", recorded.open.Unit)
			require.Equal(t, p.port(both), recorded.port)
		}
		closes := d.closes

		l.seed = 2
		talks = l.run(t, service, p.address(byDefault))
		silent := 0
		for _, talk := range talks {
			if talk.sent.length == 0 {
				silent++
			}
		}
		d = p.waitForCloses(closes + len(talks) - silent)
		for source, talk := range talks {
			if talk.sent.length == 0 {
				require.NotContains(t, d.bySource, source)
				continue
			}
			recorded := d.of(t, source)
			require.Equal(t, talk.sent, recorded.streams[record.Downstream].digest(t))
			require.Empty(t, recorded.streams[record.Upstream].chunks)
			require.Equal(t, record.Ledger{Seen: talk.sent.length, Kept: talk.sent.length}, recorded.closed.Downstream)
			require.Equal(t, ledger(talk.received.length, 0, strategy.OtherDirection), recorded.closed.Upstream)
		}
	})
}

// ledger returns the ledger of seen bytes of which all but kept were dropped for one reason.
func ledger(seen, kept uint64, reason strategy.Reason) record.Ledger {
	l := record.Ledger{Seen: seen, Kept: kept}
	if seen > kept {
		l.Dropped = []record.Drop{{Reason: reason.String(), Bytes: seen - kept}}
	}
	return l
}

func emptyTalks(talks map[string]talk) (n int) {
	for _, each := range talks {
		if each.sent.length+each.received.length == 0 {
			n++
		}
	}
	return n
}
