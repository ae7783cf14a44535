package playbook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/capture"
	"l4dump/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when recorded connections begin.
const start = int64(1795397031000000000)

// recorded is a capture.Source of events.
type recorded []capture.Event

// Read implements capture.Source.
func (r recorded) Read(_ context.Context, a *capture.Assembler) error {
	for i := range r {
		print := capture.Fingerprint{Sum: uint64(i), Length: 1}
		if err := a.Add(&r[i], print, capture.Place{}, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// client makes the events of a connection, a millisecond after each other.
type client struct {
	header  capture.Header
	offsets [2]uint64
	events  recorded
	unit    string
	next    string
}

func newClient(number uint64) *client {
	return &client{
		header: capture.Header{Conn: capture.ID{VM: 7, Number: number}, Port: 8080, Time: start}, unit: "connections",
	}
}

func (c *client) add(e capture.Event) {
	e.Header = c.header
	c.events = append(c.events, e)
	c.header.Seq++
	c.header.Time += int64(time.Millisecond)
}

func (c *client) open() *client {
	c.add(capture.Event{Kind: capture.KindOpen, Open: &capture.Open{
		Unit: c.unit, Started: start, Source: "10.0.0.7:40112", Destination: "10.0.0.9:8080", Next: c.next,
	}})
	return c
}

func (c *client) data(d capture.Direction, payload string) *client {
	c.add(capture.Event{Kind: capture.KindData, Direction: d, Offset: c.offsets[d], Payload: []byte(payload)})
	c.offsets[d] += uint64(len(payload))
	return c
}

func (c *client) masked(d capture.Direction, payload string) *client {
	c.data(d, payload)
	c.events[len(c.events)-1].Masked = 1
	return c
}

func (c *client) end(d capture.Direction) *client {
	c.add(capture.Event{Kind: capture.KindEnd, Direction: d, Offset: c.offsets[d]})
	return c
}

func (c *client) close(by string) *client { return c.closeDropped(by, 0) }

// closeDropped says that bytes of the client were dropped.
func (c *client) closeDropped(by string, dropped uint64) *client {
	last := &capture.Close{By: by, HasLedger: true}
	for d := range last.Ledger {
		last.Ledger[d] = capture.Ledger{Seen: c.offsets[d], Kept: c.offsets[d]}
	}
	if dropped > 0 {
		last.Ledger[0].Kept -= dropped
		last.Ledger[0].Dropped = []record.Drop{{Reason: "budget", Bytes: dropped}}
	}
	c.add(capture.Event{Kind: capture.KindClose, Close: last})
	return c
}

// compile makes a playbook of events, which ends with the test.
func compile(t require.TestingT, options Options, sources ...capture.Source) *Playbook {
	c, err := NewCompiler(options)
	require.NoError(t, err)
	_, err = capture.Read(context.Background(), c, capture.Options{}, sources...)
	require.NoError(t, err)
	book, err := c.Playbook()
	require.NoError(t, err)
	if t, ok := t.(*testing.T); ok {
		t.Cleanup(func() { require.NoError(t, book.Close()) })
	}
	return book
}

// describe returns the steps and turns of a script, a line each.
func describe(t require.TestingT, s *Script) (lines []string) {
	steps := s.Steps()
	for {
		step, err := steps.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		sent, err := s.ReadSpans(nil, capture.Downstream, step.Span)
		require.NoError(t, err)
		end := ""
		if step.Gate.End {
			end = " and end"
		}
		line := fmt.Sprintf("%dms %s %q after %d bytes%s at %dms", (step.At-s.Start)/1e6, step.Kind, sent, step.Gate.Bytes, end, (step.Gate.At-s.Start)/1e6)
		if s.Protocol != "raw" {
			line += fmt.Sprintf(", answers %d, milestones %d", step.Gate.Answers, step.Gate.Milestones)
		}
		lines = append(lines, line)
	}
	turns := s.Turns()
	for {
		turn, err := turns.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		request, err := s.ReadSpans(nil, capture.Downstream, turn.Request)
		require.NoError(t, err)
		answer, err := s.ReadSpans(nil, capture.Upstream, turn.Answer...)
		require.NoError(t, err)
		line := strings.TrimSpace(fmt.Sprintf("turn %s %q %q", turn.Class, request, answer))
		if turn.Open {
			line += " open"
		}
		lines = append(lines, line)
	}
	return lines
}
