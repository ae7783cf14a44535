package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"l4dump/internal/host"
)

// connection is one client's connection and, once there is one, its connection to a host of the cluster. Each direction has
// a goroutine that reads into a buffer, shows it to the filters, and writes it before it reads again: nothing queues, so a
// slow reader slows its writer down.
type connection struct {
	listener   *listener
	downstream *net.TCPConn
	upstream   net.Conn // nil until connected
	streams    streams
	activity   atomic.Int64 // when bytes were last read, in nanoseconds since began
	began      time.Time

	mu      sync.Mutex
	ended   bool
	closeBy host.CloseType
	first   side // whose end came first; 0: none yet
}

type side int

const (
	downstreamSide side = 1
	upstreamSide   side = 2
)

// handle serves a connection until both sides have ended.
func (l *listener) handle(socket *net.TCPConn, worker int) {
	l.total.Add(1)
	l.active.Add(1)
	defer l.active.Sub(1)
	defer l.destroyed.Add(1)
	c := &connection{listener: l, downstream: socket, began: time.Now(), closeBy: host.CloseLocal}
	if !l.server.track(c) {
		_ = socket.Close()
		return
	}
	defer l.server.untrack(c)
	defer func() { _ = socket.Close() }()
	if c.open(worker) {
		c.run()
	}
	c.mu.Lock()
	by := c.closeBy
	c.mu.Unlock()
	for _, s := range c.streams {
		s.DownstreamClose(by)
	}
}

// open makes the streams and tells them of the connection. It returns false if the connection is not to be passed on.
func (c *connection) open(worker int) bool {
	l := c.listener
	source, _ := c.downstream.RemoteAddr().(*net.TCPAddr)
	destination, _ := c.downstream.LocalAddr().(*net.TCPAddr)
	info := &host.Connection{
		ID:            l.server.nextID.Add(1),
		SourceAddress: source.String(), SourcePort: int64(source.Port),
		DestinationAddress: destination.String(), DestinationPort: int64(destination.Port),
	}
	for _, x := range l.extensions {
		if !x.open(worker, info, &c.streams) {
			l.missing.Add(1)
			c.end(host.CloseLocal, false)
			return false
		}
	}
	for _, s := range c.streams {
		if s.NewConnection() == host.Close {
			c.end(host.CloseLocal, false)
			return false
		}
	}
	return true
}

// run connects to the cluster and forwards what comes, in both directions.
func (c *connection) run() {
	l := c.listener
	l.tcpTotal.Add(1)
	upstream, err := l.cluster.connect(l.server.ctx, l.config.tcp.connectAttempts)
	if err != nil {
		c.end(host.CloseLocal, false)
		return
	}
	defer l.cluster.active.Sub(1)
	defer func() { _ = upstream.Close() }()
	c.mu.Lock()
	c.upstream = upstream
	ended := c.ended
	c.mu.Unlock()
	if ended {
		return
	}
	peer := &host.Upstream{Cluster: l.cluster.config.name, Address: upstream.RemoteAddr().String()}
	if address, ok := upstream.RemoteAddr().(*net.TCPAddr); ok {
		peer.Port = int64(address.Port)
	}
	for _, s := range c.streams {
		s.SetUpstream(peer)
	}
	defer c.watchIdle()()
	var both sync.WaitGroup
	both.Go(func() {
		c.pump(upstreamSide, upstream, c.downstream, l.cluster.received, l.tcpSent, c.showUpstream)
	})
	c.pump(downstreamSide, c.downstream, upstream, l.tcpReceived, l.cluster.sent, c.showDownstream)
	both.Wait()
}

// pump forwards what from sends until it ends.
func (c *connection) pump(from side, source, target net.Conn, read, written *host.Metric, show func([]byte, bool) host.Action) {
	reader, err := newReader(source, c.listener.buffers)
	if err != nil {
		c.fail(from, err)
		return
	}
	defer reader.release()
	for {
		data, err := reader.next()
		switch {
		case errors.Is(err, io.EOF):
			if show(nil, true) == host.Close {
				c.end(host.CloseLocal, false)
				return
			}
			c.halfClose(from, target)
			return
		case err != nil:
			c.fail(from, err)
			return
		}
		c.activity.Store(int64(time.Since(c.began)))
		read.Add(uint64(len(data)))
		if show(data, false) == host.Close {
			c.end(host.CloseLocal, false)
			return
		}
		if _, err := target.Write(data); err != nil {
			c.fail(from.other(), err)
			return
		}
		written.Add(uint64(len(data)))
		reader.release()
	}
}

func (s side) other() side { return downstreamSide + upstreamSide - s }

// showDownstream shows data to the filters in the order of the chain.
func (c *connection) showDownstream(data []byte, end bool) host.Action {
	for _, s := range c.streams {
		if s.DownstreamData(data, end) == host.Close {
			return host.Close
		}
	}
	return host.Continue
}

// showUpstream shows data to the filters against the order of the chain.
func (c *connection) showUpstream(data []byte, end bool) host.Action {
	for i := len(c.streams) - 1; i >= 0; i-- {
		if c.streams[i].UpstreamData(data, end) == host.Close {
			return host.Close
		}
	}
	return host.Continue
}

// halfClose passes the end of one side on to the other. With the second end, Envoy takes the connection as closed by the
// side that came last: by the proxy itself if that is the host.
func (c *connection) halfClose(from side, target net.Conn) {
	c.mu.Lock()
	first := c.first
	if first == 0 {
		c.first = from // before the other side hears of it, which may answer with its own end
	}
	c.mu.Unlock()
	if half, ok := target.(interface{ CloseWrite() error }); ok {
		// A peer that is gone already shows when it is next read or written.
		_ = half.CloseWrite()
	}
	switch first {
	case downstreamSide:
		c.end(host.CloseLocal, false)
	case upstreamSide:
		c.end(host.CloseRemote, false)
	}
}

// fail ends the connection after an error in reading from or writing to one side.
func (c *connection) fail(on side, err error) {
	by := host.CloseLocal
	if on == downstreamSide {
		by = host.CloseRemote
	}
	c.end(by, errors.Is(err, syscall.ECONNRESET))
}

// end closes both sides at once; only the first call counts. A reset is passed on as a reset.
func (c *connection) end(by host.CloseType, reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.closeBy = true, by
	if reset {
		_ = c.downstream.SetLinger(0)
		if tcp, ok := c.upstream.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	// The kernel has all that was written.
	_ = c.downstream.Close()
	if c.upstream != nil {
		_ = c.upstream.Close()
	}
}

// watchIdle ends the connection when nothing was read for the idle timeout. The function it returns ends the watch.
func (c *connection) watchIdle() (stop func()) {
	limit := c.listener.config.tcp.idleTimeout
	if limit <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			idle := time.Since(c.began) - time.Duration(c.activity.Load())
			if idle >= limit {
				c.listener.tcpIdleClosed.Add(1)
				c.end(host.CloseLocal, false)
				return
			}
			timer.Reset(limit - idle)
		}
	})
	return func() {
		cancel()
		wait.Wait()
	}
}
