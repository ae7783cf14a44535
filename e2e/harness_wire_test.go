package e2e

import (
	"net"
	"sync"
)

// wire is a client's connection that knows what has passed on it.
type wire struct {
	net.Conn
	ended chan struct{} // closed when there is nothing more to read

	mu             sync.Mutex
	sent, received []byte
	once           sync.Once
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, ended: make(chan struct{})} }

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received = append(w.received, b[:n]...)
	if err != nil {
		w.once.Do(func() { close(w.ended) })
	}
	return n, err
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, b[:n]...)
	return n, err
}

// passed returns what was sent and received.
func (w *wire) passed() (sent, received []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent, w.received
}
