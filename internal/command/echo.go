package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// echoService sends back what each connection gets, and its end too.
type echoService struct {
	listener net.Listener
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
	e := &echoService{listener: listener, open: make(map[net.Conn]struct{})}
	e.serving.Go(e.accept)
	return e, nil
}

func (e *echoService) accept() {
	for {
		conn, err := e.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		e.mu.Lock()
		if e.closed {
			_ = conn.Close()
		} else {
			e.open[conn] = struct{}{}
			e.serving.Go(func() { e.serve(conn) })
		}
		e.mu.Unlock()
	}
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
	e.mu.Lock()
	e.closed = true
	for conn := range e.open {
		_ = conn.Close()
	}
	e.mu.Unlock()
	e.serving.Wait()
}
