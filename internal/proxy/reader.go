package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// buffers is a pool of buffers of one size.
type buffers struct {
	pool  sync.Pool // of *[]byte
	inUse atomic.Int64
}

func newBuffers(bytes int) *buffers {
	b := new(buffers)
	b.pool.New = func() any {
		buffer := make([]byte, bytes)
		return &buffer
	}
	return b
}

func (b *buffers) get() *[]byte {
	b.inUse.Add(1)
	return b.pool.Get().(*[]byte)
}

func (b *buffers) put(buffer *[]byte) {
	b.inUse.Add(-1)
	b.pool.Put(buffer)
}

// reader reads from a socket and holds a buffer only while there is something in it: connections that are idle, most of
// them, cost none.
type reader struct {
	raw     syscall.RawConn
	buffers *buffers
	buffer  *[]byte // nil: none is held
	n       int
	err     error
	try     func(fd uintptr) bool // made once, because a closure made for each read would be allocated
}

func newReader(conn net.Conn, buffers *buffers) (*reader, error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("read from %T: want a socket", conn)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &reader{raw: raw, buffers: buffers}
	r.try = func(fd uintptr) bool {
		r.buffer = buffers.get()
		for {
			r.n, r.err = syscall.Read(int(fd), *r.buffer)
			if !errors.Is(r.err, syscall.EINTR) {
				break
			}
		}
		if errors.Is(r.err, syscall.EAGAIN) {
			r.release()
			return false // the caller waits until there is something
		}
		return true
	}
	return r, nil
}

// next waits for data and returns it, or io.EOF, or why there is none. The data is valid until release.
func (r *reader) next() ([]byte, error) {
	r.n, r.err = 0, nil
	if err := r.raw.Read(r.try); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	if r.n == 0 {
		return nil, io.EOF
	}
	return (*r.buffer)[:r.n], nil
}

// release gives the buffer back.
func (r *reader) release() {
	if r.buffer != nil {
		r.buffers.put(r.buffer)
		r.buffer = nil
	}
}
