package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// sink is a service that throws away what it receives.
type sink struct {
	listener net.Listener
	received chan receipt // one for each connection
	done     chan struct{}
}

// receipt is what came over a connection.
type receipt struct {
	bytes int64
	err   error
}

func newSink(ctx context.Context) (*sink, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for Envoy: %w", err)
	}
	s := &sink{listener: l, received: make(chan receipt, 1), done: make(chan struct{})}
	go s.serve()
	return s, nil
}

// serve takes one connection after the other.
func (s *sink) serve() {
	defer close(s.done)
	buffer := make([]byte, blockBytes)
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		var got receipt
		got.bytes, got.err = discard(c, buffer)
		s.received <- got
		_ = c.Close()
	}
}

// discard reads to the end. io.Copy would take small buffers of its own.
func discard(c net.Conn, buffer []byte) (n int64, err error) {
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

func (s *sink) address() netip.AddrPort { return s.listener.Addr().(*net.TCPAddr).AddrPort() }

func (s *sink) close() {
	_ = s.listener.Close()
	<-s.done
}
