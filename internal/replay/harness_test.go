package replay_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	. "l4dump/internal/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	down = capture.Downstream
	up   = capture.Upstream
)

func newBook(t *testing.T, options playbook.Options, clients ...*playbooktest.Client) *playbook.Playbook {
	t.Helper()
	var all []capture.Source
	for _, c := range clients {
		all = append(all, c.Events)
	}
	book, err := playbooktest.Compile(options, all...)
	require.NoError(t, err)
	require.Empty(t, book.Refused)
	t.Cleanup(func() { require.NoError(t, book.Close()) })
	return book
}

// serve returns a target on loopback that serves each connection with serve, which ends with the connection.
func serve(t *testing.T, serve func(conn *net.TCPConn)) Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		conns.Wait()
	})
	return Target{Name: listener.Addr().String(), Dial: func(ctx context.Context, _ *playbook.Info) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}}
}

// notes is an Observer that keeps what it is told, a line each.
type notes struct {
	mu    sync.Mutex
	lines []string
	turns []*Turn
	ends  []*End
}

func (n *notes) Begin(c *Connection) Transcript { return &note{n, c} }

type note struct {
	*notes
	c *Connection
}

func (n *note) Turn(t *Turn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.turns = append(n.turns, t)
	answered := ""
	if !t.Answered {
		answered = " not answered"
	}
	if t.Uncertain {
		answered += " uncertain"
	}
	if t.Release != Met {
		answered += " " + t.Release.String()
	}
	n.lines = append(n.lines, fmt.Sprintf("%d: turn %d %q%s", t.Target, t.Index, t.Answer.Bytes, answered))
}

func (n *note) End(e *End) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ends = append(n.ends, e)
	line := fmt.Sprintf("%d: %s after %d steps, by %s", e.Target, e.How, e.Steps, e.By)
	if e.Diverged {
		line += ", diverged"
	}
	if e.Reset {
		line += ", reset"
	}
	if e.Unasked.Length > 0 {
		line += fmt.Sprintf(", unasked %q", e.Unasked.Bytes)
	}
	if e.Raw != "" {
		line += ", raw: " + e.Raw
	}
	n.lines = append(n.lines, line)
}

// sorted returns the lines of each target together.
func (n *notes) sorted() []string {
	lines := slices.Clone(n.lines)
	slices.SortStableFunc(lines, func(a, b string) int { return cmp.Compare(a[:2], b[:2]) })
	return lines
}

// play plays a book and returns what was seen.
func play(t *testing.T, book *playbook.Playbook, options Options, targets ...Target) (*notes, Stats, error) {
	t.Helper()
	seen := &notes{}
	options.Observer = seen
	p := NewPlayer(book, targets, options)
	begin := time.Now()
	err := p.Run(t.Context())
	require.Less(t, time.Since(begin), time.Minute)
	return seen, p.Stats(), err
}

// answers returns a server that answers each of the client's writes, by what it is, and ends if there is no answer.
func answers(pairs ...string) func(conn *net.TCPConn) {
	return func(conn *net.TCPConn) {
		buf := make([]byte, 1<<16)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for i := 0; i < len(pairs); i += 2 {
				if strings.Contains(string(buf[:n]), pairs[i]) {
					if _, err := conn.Write([]byte(pairs[i+1])); err != nil {
						return
					}
				}
			}
		}
	}
}
