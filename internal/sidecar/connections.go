package sidecar

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections is a listener whose connections are bounded. A connection that comes when there are as many as there may
// be takes the place of the one that has waited longest for a whole head of a request: clients that hold connections
// without asking, or send heads slowly, keep no other client out. While every connection has a request in progress, a new one waits.
type connections struct {
	net.Listener
	most int

	mu      sync.Mutex
	open    map[*connection]struct{}
	waiting *list.List    // of *connection without a request, the one that has waited longest first
	freed   chan struct{} // closed when a place may have come free, and replaced
	closed  bool
}

// connection is one of them.
type connection struct {
	net.Conn
	of    *connections
	place *list.Element // in waiting; nil while a request is in progress
	once  sync.Once
	err   error // of Close
}

func limitConnections(l net.Listener, most int) *connections {
	return &connections{
		Listener: l, most: most, open: make(map[*connection]struct{}), waiting: list.New(), freed: make(chan struct{}),
	}
}

// Accept returns the next connection when there is a place for it.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for {
		accepted, evicted, freed := c.admit(conn)
		switch {
		case accepted != nil:
			return accepted, nil
		case evicted != nil:
			_ = evicted.Close()
		case freed != nil:
			<-freed
		default:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
}

// admit accepts conn, or returns the connection to close in its place, or a channel to wait for; nothing after Close.
func (c *connections) admit(conn net.Conn) (accepted, evicted *connection, freed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch longest := c.waiting.Front(); {
	case c.closed:
		return nil, nil, nil
	case len(c.open) < c.most:
		accepted = &connection{Conn: conn, of: c}
		accepted.place = c.waiting.PushBack(accepted)
		c.open[accepted] = struct{}{}
		return accepted, nil, nil
	case longest != nil:
		return nil, longest.Value.(*connection), nil
	}
	return nil, nil, c.freed
}

// Close closes the listener, and ends an Accept that waits for a place.
func (c *connections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.wake()
	c.mu.Unlock()
	return c.Listener.Close()
}

// wake ends all waits for a place. c.mu is held.
func (c *connections) wake() {
	close(c.freed)
	c.freed = make(chan struct{})
}

// changed is an http.Server's ConnState. A connection is active from the end of a request's head to the end of its answer.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	of, ok := conn.(*connection)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch _, open := c.open[of]; {
	case state == http.StateActive && of.place != nil:
		c.waiting.Remove(of.place)
		of.place = nil
	case state == http.StateIdle && open && of.place == nil:
		of.place = c.waiting.PushBack(of)
		c.wake()
	}
}

// Close gives the place back.
func (c *connection) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		of := c.of
		of.mu.Lock()
		defer of.mu.Unlock()
		delete(of.open, c)
		if c.place != nil {
			of.waiting.Remove(c.place)
			c.place = nil
		}
		of.wake()
	})
	return c.err
}
