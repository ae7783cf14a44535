package capturetest

import (
	"context"
	"strings"
	"time"

	"pgregory.net/rapid"

	"l4dump/internal/capture"
	"l4dump/record"
)

// Window is that of all events.
var Window = record.UUID{0x01, 0xa2, 0x06, 0x00, 0x42, 0x50, 0x80, 0x1e, 0xac, 0x34, 0x64, 0x75, 0x6d, 0x70, 0x00, 0}

const (
	// StartTime is 2026-11-23T01:23:51.123456789Z.
	StartTime = 1795397031123456789
	// VM is that of connections.
	VM = 0x9f0c6a1be3d2a417
	// ForeignVM is that of connections that something else than l4dump has recorded.
	ForeignVM = 1
)

// Events is a capture.Source of events as a recorder has them.
type Events []capture.Event

// Read implements capture.Source.
func (s Events) Read(_ context.Context, a *capture.Assembler) error {
	for i := range s {
		at := capture.Place{Input: capture.Name("log"), Number: int64(i + 1)}
		if s[i].Conn.VM == ForeignVM {
			if err := a.Foreign(s[i].Conn); err != nil {
				return err
			}
		}
		if err := a.Add(&s[i], capture.Fingerprint{Sum: uint64(i), Length: 1}, at, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// Recorder makes the events of one connection as the plugin does.
type Recorder struct {
	Header  capture.Header // of the next event
	Offsets [2]uint64      // as far as bytes have passed, by capture.Direction
	Dropped [2]uint64      // of them, those that were not recorded
	Events  Events
}

// NewRecorder returns the Recorder of the connection with a number.
func NewRecorder(number uint64) *Recorder {
	return &Recorder{Header: capture.Header{
		Window: Window, Port: 8080, Conn: capture.ID{VM: VM, Number: number}, Time: StartTime,
	}}
}

// Foreign makes the connection one that something else has recorded. It is called first.
func (r *Recorder) Foreign() *Recorder {
	r.Header.Conn.VM = ForeignVM
	return r
}

func (r *Recorder) add(e capture.Event) {
	e.Header = r.Header
	r.Events = append(r.Events, e)
	r.Header.Seq++
	r.Header.Time += 1_000_000
}

// Open makes the open event.
func (r *Recorder) Open(source, destination string) *Recorder {
	r.add(capture.Event{Kind: capture.KindOpen, Open: &capture.Open{
		Unit: "connections", Started: StartTime - 1000, ProxyConn: 12, HasProxyConn: true, Source: source,
		Destination: destination, SNI: "db\x1b.example", Peer: "spiffe://cluster.local/ns/demo", MTLS: true,
	}})
	return r
}

// Data makes a data event.
func (r *Recorder) Data(d capture.Direction, payload string) *Recorder {
	r.add(capture.Event{Kind: capture.KindData, Direction: d, Offset: r.Offsets[d], Payload: []byte(payload)})
	r.Offsets[d] += uint64(len(payload))
	return r
}

// Cut makes a data event after which bytes may be missing.
func (r *Recorder) Cut(d capture.Direction, payload string) *Recorder {
	r.Data(d, payload).Events[len(r.Events)-1].Cut = true
	return r
}

// Drop makes n bytes of a direction pass that are not recorded.
func (r *Recorder) Drop(d capture.Direction, n uint64) *Recorder {
	r.Offsets[d] += n
	r.Dropped[d] += n
	return r
}

// End makes an end event.
func (r *Recorder) End(d capture.Direction) *Recorder {
	r.add(capture.Event{Kind: capture.KindEnd, Direction: d, Offset: r.Offsets[d]})
	return r
}

// Close makes the close event, with a ledger unless the connection is foreign.
func (r *Recorder) Close(by string) *Recorder {
	c := capture.Close{By: by, HasLedger: r.Header.Conn.VM != ForeignVM}
	for d, n := range r.Offsets {
		if !c.HasLedger {
			break
		}
		c.Ledger[d] = capture.Ledger{Seen: n, Kept: n - r.Dropped[d]}
		if r.Dropped[d] > 0 {
			c.Ledger[d].Dropped = []record.Drop{{Reason: "budget", Bytes: r.Dropped[d]}}
		}
	}
	r.add(capture.Event{Kind: capture.KindClose, Close: &c})
	return r
}

// Draw draws what is recorded of a few connections: mixed, with bytes that were dropped, with connections that are open
// still or foreign, and with events that are lost. address draws those of peers.
func Draw(t *rapid.T, address *rapid.Generator[string]) Events {
	payload := rapid.OneOf(rapid.StringN(0, 40, -1), rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat(rapid.StringN(1, 3, -1).Draw(t, "unit"), rapid.IntRange(1, 60_000).Draw(t, "times"))
	}))
	var logs []Events
	for i := range rapid.IntRange(1, 4).Draw(t, "connections") {
		r := NewRecorder(uint64(i + 1))
		if rapid.IntRange(0, 2).Draw(t, "foreign") == 0 {
			r.Foreign()
		}
		r.Open(address.Draw(t, "source"), address.Draw(t, "destination"))
		r.draw(t, payload)
		var left Events
		for _, e := range r.Events {
			if rapid.IntRange(0, 9).Draw(t, "lost") > 0 {
				left = append(left, e)
			}
		}
		logs = append(logs, left)
	}
	var mixed Events
	for len(logs) > 0 {
		i := rapid.IntRange(0, len(logs)-1).Draw(t, "next")
		if len(logs[i]) == 0 {
			logs = append(logs[:i], logs[i+1:]...)
			continue
		}
		mixed, logs[i] = append(mixed, logs[i][0]), logs[i][1:]
	}
	return mixed
}

func (r *Recorder) draw(t *rapid.T, payload *rapid.Generator[string]) {
	for range rapid.IntRange(0, 8).Draw(t, "events") {
		d := capture.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			r.Drop(d, rapid.Uint64Range(1, 1<<33).Draw(t, "dropped"))
		case 1:
			r.End(d)
		case 2:
			r.Cut(d, payload.Draw(t, "payload"))
		default:
			r.Data(d, payload.Draw(t, "payload"))
		}
	}
	if rapid.Bool().Draw(t, "closed") {
		r.Close(rapid.SampledFrom([]string{"downstream", "upstream", "proxy", "unknown"}).Draw(t, "by"))
	}
}
