package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// churn opens and ends connections to an echo service all the time, beside some that live as long as it does. It knows
// what each of them has sent, and so received.
type churn struct {
	address string
	clients int
	long    []*churned

	mu     sync.Mutex
	all    map[string]*churned // by their ends; dropped by whoever needs them no longer
	opened uint64
	bytes  uint64 // of both directions
	faults []error
}

// churned is a connection of a churn.
type churned struct {
	net.Conn
	churn  *churn
	number uint64
	sent   uint64
}

// text is what the connections of the churn send, over and over, each from its beginning. Its first byte is 'a' for
// every other connection and 'b' for the others.
func text(number uint64) []byte {
	const length = 4093 // not a size that reads have
	t := randomBytes(number, length)
	t[0] = 'a' + byte(number%2)
	return t
}

// dial opens a connection from an address of its own, out of the half of 127.0.0.0/8 that its number says: no two
// connections of a churn ever have the same ends.
func (c *churn) dial() (*churned, error) {
	c.mu.Lock()
	n := c.opened
	c.opened++
	c.mu.Unlock()
	from := net.IPv4(127, byte(n%2<<7|(n+2)>>17&0x7f), byte((n+2)>>9), byte((n+2)>>1))
	dialer := net.Dialer{Timeout: deadline, LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := dialer.Dial("tcp", c.address)
	if err != nil {
		return nil, err
	}
	one := &churned{Conn: conn, churn: c, number: n}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[endsOf(conn)] = one
	return one, nil
}

// exchange sends the next n bytes of the connection's text, and waits for their echo.
func (c *churned) exchange(n int) error {
	all := text(c.number)
	at := int(c.sent % uint64(len(all)))
	payload := bytes.Repeat(all, (at+n)/len(all)+1)[at : at+n]
	c.churn.mu.Lock() // it counts before it is recorded
	c.sent += uint64(n)
	c.churn.bytes += 2 * uint64(n)
	c.churn.mu.Unlock()
	if err := exchange(c.Conn, payload); err != nil {
		return fmt.Errorf("exchange %d bytes on connection %d: %w", n, c.number, err)
	}
	return nil
}

// end ends the connection in one of three ways: each side its stream, the client both at once, or by a reset.
func (c *churned) end(way int) error {
	tcp := c.Conn.(*net.TCPConn)
	switch way {
	case 0:
		if err := tcp.CloseWrite(); err != nil {
			return err
		}
		if rest, err := io.ReadAll(tcp); err != nil || len(rest) > 0 {
			return fmt.Errorf("end connection %d: %d bytes after the echo: %w", c.number, len(rest), err)
		}
	case 1:
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	return tcp.Close()
}

// run churns until the time, and returns when all connections but the long ones have ended.
func (c *churn) run(until time.Time) {
	var wait sync.WaitGroup
	for i := range c.clients {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), uint64(until.UnixNano())))
			for time.Now().Before(until) {
				if err := c.converse(r); err != nil {
					c.fail(err)
					return
				}
			}
		})
	}
	for _, long := range c.long {
		wait.Go(func() {
			for time.Now().Before(until) {
				if err := long.exchange(64); err != nil {
					c.fail(err)
					return
				}
				time.Sleep(50 * time.Millisecond) // it is to be there, not to be busy
			}
		})
	}
	wait.Wait()
}

// converse is the life of one connection: most are small.
func (c *churn) converse(r *rand.Rand) error {
	one, err := c.dial()
	if err != nil {
		return err
	}
	most := 4 << 10
	switch r.IntN(50) {
	case 0:
		most = 1 << 20
	case 1, 2, 3, 4:
		most = 64 << 10
	}
	for range 1 + r.IntN(4) {
		if err := one.exchange(1 + r.IntN(most)); err != nil {
			return err
		}
	}
	return one.end(r.IntN(3))
}

func (c *churn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, err)
}

// totals returns how many connections there were, the bytes of both directions, and what went wrong.
func (c *churn) totals() (connections, bytes uint64, faults []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened, c.bytes, c.faults
}

// find returns the number of a connection, and what it has sent until now. It is known as long as it is not forgotten.
func (c *churn) find(ends string) (number, sent uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.all[ends]
	if !ok {
		return 0, 0, false
	}
	return one.number, one.sent, true
}

// forget drops all connections but the long ones.
func (c *churn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.all)
	for _, long := range c.long {
		c.all[endsOf(long.Conn)] = long
	}
}
