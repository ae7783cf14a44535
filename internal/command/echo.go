package command

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"l4dump/internal/accept"
)

// echoService sends back what each connection gets, its end included.
type echoService struct {
	listener net.Listener
	stop     chan struct{}
	serving  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
}

func listenEcho(address string) (*echoService, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start the echo service: %w", err)
	}
	e := &echoService{listener: listener, stop: make(chan struct{}), open: make(map[net.Conn]struct{})}
	e.serving.Go(func() { accept.Loop(listener, e.stop, e.begin, func(error) {}) })
	return e, nil
}

func (e *echoService) begin(conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = conn.Close()
		return
	}
	e.open[conn] = struct{}{}
	e.serving.Go(func() { e.serve(conn) })
}

func (e *echoService) serve(conn net.Conn) {
	// The end of a connection, of whatever kind, is all there is to do.
	_, _ = io.Copy(conn, conn)
	_ = conn.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, conn)
}

// close ends all connections and returns when they have ended.
func (e *echoService) close() {
	_ = e.listener.Close()
	close(e.stop)
	e.mu.Lock()
	e.closed = true
	for conn := range e.open {
		_ = conn.Close()
	}
	e.mu.Unlock()
	e.serving.Wait()
}
