package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// service is what Envoy leads to: it throws away what it receives, or sends it back.
type service struct {
	listener net.Listener
	wait     sync.WaitGroup
	echoes   atomic.Bool  // connections that come from now on
	received chan receipt // one for each connection whose bytes were thrown away
}

// receipt is what came over a connection.
type receipt struct {
	bytes int64
	err   error
}

func newService(ctx context.Context) (*service, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for Envoy: %w", err)
	}
	s := &service{listener: l, received: make(chan receipt, 1)}
	s.wait.Go(s.serve)
	return s, nil
}

func (s *service) serve() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wait.Go(func() {
			defer func() { _ = c.Close() }()
			if s.echoes.Load() {
				echo(c)
				return
			}
			var got receipt
			got.bytes, got.err = discard(c)
			s.received <- got
		})
	}
}

// echo sends back what it receives.
func echo(c net.Conn) {
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
}

// discard reads to the end. io.Copy would take small buffers of its own.
func discard(c net.Conn) (n int64, err error) {
	buffer := make([]byte, blockBytes)
	for {
		k, err := c.Read(buffer)
		n += int64(k)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func (s *service) address() netip.AddrPort { return s.listener.Addr().(*net.TCPAddr).AddrPort() }

// close waits for the connections, which end with Envoy.
func (s *service) close() {
	_ = s.listener.Close()
	s.wait.Wait()
}
