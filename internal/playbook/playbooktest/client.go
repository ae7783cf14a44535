// Package playbooktest makes recordings for tests.
package playbooktest

import (
	"context"
	"time"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/record"
)

// Start is when recorded connections begin.
const Start = int64(1795397031000000000)

// Events are a recording, as a capture.Source.
type Events []capture.Event

// Read implements capture.Source.
func (e Events) Read(_ context.Context, a *capture.Assembler) error {
	for i := range e {
		print := capture.Fingerprint{Sum: uint64(i), Length: 1}
		if err := a.Add(&e[i], print, capture.Place{}, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// Client makes the events of a connection, a millisecond after each other.
type Client struct {
	Header  capture.Header // of the next event
	Offsets [2]uint64
	Events  Events
	Unit    string
	Next    string
}

// NewClient returns a Client of a connection without events.
func NewClient(number uint64) *Client {
	return &Client{
		Header: capture.Header{Conn: capture.ID{VM: 7, Number: number}, Port: 8080, Time: Start}, Unit: "connections",
	}
}

func (c *Client) add(e capture.Event) {
	e.Header = c.Header
	c.Events = append(c.Events, e)
	c.Header.Seq++
	c.Header.Time += int64(time.Millisecond)
}

// Open adds the beginning.
func (c *Client) Open() *Client {
	c.add(capture.Event{Kind: capture.KindOpen, Open: &capture.Open{
		Unit: c.Unit, Started: Start, Source: "10.0.0.7:40112", Destination: "10.0.0.9:8080", Next: c.Next,
	}})
	return c
}

// Data adds bytes that a peer sent.
func (c *Client) Data(d capture.Direction, payload string) *Client {
	c.add(capture.Event{Kind: capture.KindData, Direction: d, Offset: c.Offsets[d], Payload: []byte(payload)})
	c.Offsets[d] += uint64(len(payload))
	return c
}

// Masked adds bytes of which the recorder has overwritten one.
func (c *Client) Masked(d capture.Direction, payload string) *Client {
	c.Data(d, payload)
	c.Events[len(c.Events)-1].Masked = 1
	return c
}

// End adds the end of a peer's stream.
func (c *Client) End(d capture.Direction) *Client {
	c.add(capture.Event{Kind: capture.KindEnd, Direction: d, Offset: c.Offsets[d]})
	return c
}

// Close adds the end of the connection.
func (c *Client) Close(by string) *Client { return c.CloseDropped(by, 0) }

// CloseDropped adds the end of a connection of whose client bytes were dropped.
func (c *Client) CloseDropped(by string, dropped uint64) *Client {
	last := &capture.Close{By: by, HasLedger: true}
	for d := range last.Ledger {
		last.Ledger[d] = capture.Ledger{Seen: c.Offsets[d], Kept: c.Offsets[d]}
	}
	if dropped > 0 {
		last.Ledger[0].Kept -= dropped
		last.Ledger[0].Dropped = []record.Drop{{Reason: "budget", Bytes: dropped}}
	}
	c.add(capture.Event{Kind: capture.KindClose, Close: last})
	return c
}

// Compile makes a playbook of recordings.
func Compile(options playbook.Options, sources ...capture.Source) (*playbook.Playbook, error) {
	c, err := playbook.NewCompiler(options)
	if err != nil {
		return nil, err
	}
	if _, err := capture.Read(context.Background(), c, capture.Options{}, sources...); err != nil {
		return nil, err
	}
	return c.Playbook()
}
