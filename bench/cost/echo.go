package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// echo is a service that sends back what it receives.
type echo struct {
	listener net.Listener
	wait     sync.WaitGroup
}

func newEcho(ctx context.Context) (*echo, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for Envoy: %w", err)
	}
	e := &echo{listener: l}
	e.wait.Go(e.serve)
	return e, nil
}

func (e *echo) serve() {
	for {
		c, err := e.listener.Accept()
		if err != nil {
			return
		}
		e.wait.Go(func() {
			defer func() { _ = c.Close() }()
			buffer := make([]byte, messageBytes)
			for {
				n, err := c.Read(buffer)
				if err != nil {
					return
				}
				if _, err := c.Write(buffer[:n]); err != nil {
					return
				}
			}
		})
	}
}

func (e *echo) address() netip.AddrPort { return e.listener.Addr().(*net.TCPAddr).AddrPort() }

// close waits for the connections, which end with Envoy.
func (e *echo) close() {
	_ = e.listener.Close()
	e.wait.Wait()
}
