package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// getRequest is the only request that a service knows.
var getRequest = []byte("GET /orders HTTP/1.1\r\nHost: shop\r\n\r\n")

// blocks is a body of random bytes, a MiB at a time.
type blocks struct {
	count int
	block []byte
}

func newBlocks(count int) *blocks {
	b := &blocks{count: count, block: make([]byte, mebibyte)}
	_, _ = rand.NewChaCha8([32]byte{}).Read(b.block) // it never fails
	return b
}

func (b *blocks) length() int { return b.count * mebibyte }

// head is what comes before the body in an answer.
func (b *blocks) head() []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", b.length())
}

// each gives the body to take, until that returns false. No two blocks are the same.
func (b *blocks) each(take func([]byte) bool) {
	if b.count == 0 {
		return
	}
	block := slices.Clone(b.block)
	for i := range b.count {
		block[0], block[1] = byte(i), byte(i>>8)
		if !take(block) {
			return
		}
	}
}

// service answers each request with a body, once enough connections have asked.
type service struct {
	listener net.Listener
	body     *blocks
	missing  atomic.Int64  // connections that are still to ask
	all      chan struct{} // closed when none is
	ended    chan struct{} // closed by stop
	wait     sync.WaitGroup
}

func newService(ctx context.Context, connections int, body *blocks) (*service, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the player: %w", err)
	}
	s := &service{listener: l, body: body, all: make(chan struct{}), ended: make(chan struct{})}
	s.missing.Store(int64(connections))
	s.wait.Go(s.accept)
	return s, nil
}

func (s *service) address() string { return s.listener.Addr().String() }

// stop ends the service; nobody may be connected that does not leave.
func (s *service) stop() {
	_ = s.listener.Close()
	close(s.ended)
	s.wait.Wait()
}

func (s *service) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wait.Go(func() {
			defer func() { _ = c.Close() }()
			s.serve(c)
		})
	}
}

// serve answers until the client leaves.
func (s *service) serve(c net.Conn) {
	request := make([]byte, len(getRequest))
	for first := true; ; first = false {
		if _, err := io.ReadFull(c, request); err != nil || !bytes.Equal(request, getRequest) {
			return
		}
		if first && s.missing.Add(-1) == 0 {
			close(s.all)
		}
		select {
		case <-s.all:
		case <-s.ended:
			return
		}
		if _, err := c.Write(s.body.head()); err != nil {
			return
		}
		taken := true
		s.body.each(func(block []byte) bool {
			_, err := c.Write(block)
			taken = err == nil
			return taken
		})
		if !taken {
			return
		}
	}
}
