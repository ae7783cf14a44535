package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Plan says what is done to the connection that comes as number n, from 0: to what the client sends, and to what the
// server sends.
type Plan func(n int) (client, server Alteration)

// Server returns a plan that does a to what the server sends on each connection.
func Server(a Alteration) Plan {
	return func(int) (Alteration, Alteration) { return Alteration{}, a }
}

// Proxy is a listener on loopback that connects its clients to a target.
type Proxy struct {
	target   string
	plan     Plan
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]bool
	ended bool
}

// Start listens on a free port of loopback, for a target of the form host:port.
func Start(target string, plan Plan) (*Proxy, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, plan: plan, listener: listener, open: map[net.Conn]bool{}}
	p.running.Go(p.serve)
	return p, nil
}

// Address is where the proxy listens, as host:port.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Close ends the listener and all connections, and waits for them.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) serve() {
	for n := 0; ; n++ {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.connect(n, client) })
	}
}

// connect serves one client until both directions have ended.
func (p *Proxy) connect(n int, client net.Conn) {
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	defer func() { _ = server.Close() }()
	if !p.keep(client, server) {
		return
	}
	defer p.forget(client, server)
	fromClient, fromServer := p.plan(n)
	var both sync.WaitGroup
	both.Go(func() { stream(server, client, fromClient) })
	both.Go(func() { stream(client, server, fromServer) })
	both.Wait()
}

func (p *Proxy) keep(connections ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range connections {
		p.open[c] = true
	}
	return !p.ended
}

func (p *Proxy) forget(connections ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range connections {
		delete(p.open, c)
	}
}

// stream copies from one peer to the other, altered.
func stream(to, from net.Conn, alteration Alteration) {
	a := newAlter(to, alteration, time.Sleep)
	_, err := io.Copy(struct{ io.Writer }{a}, struct{ io.Reader }{from})
	if err == nil {
		err = a.close()
	}
	switch {
	case errors.Is(err, errTruncated):
		closeWrite(to)
		_, _ = io.Copy(io.Discard, from)
	case err != nil: // of a peer, or asked for
		reset(to)
		reset(from)
	default:
		closeWrite(to)
	}
}

// reset closes c with an RST.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func closeWrite(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}
