package pcapng

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/internal/capture"
)

// collector notes what an Assembler gives to a Sink, by connection.
type collector struct {
	events   map[capture.ID][]capture.Event
	infos    map[capture.ID]capture.Connection
	verdicts map[capture.ID]capture.Verdict
	faults   []string
	input    []string
}

func collect(tb require.TestingT, test interface{ Context() context.Context }, sources ...capture.Source) *collector {
	c := &collector{
		events: map[capture.ID][]capture.Event{}, infos: map[capture.ID]capture.Connection{}, verdicts: map[capture.ID]capture.Verdict{},
	}
	_, err := capture.Read(test.Context(), c, capture.Options{Reporter: c}, sources...)
	require.NoError(tb, err)
	slices.Sort(c.faults) // connections wait for what is missing, and continue in another order
	return c
}

// Begin implements capture.Sink.
func (c *collector) Begin(info *capture.Connection) capture.Consumer {
	c.infos[info.ID] = *info
	return &collected{c, info.ID}
}

// Flush implements capture.Sink.
func (c *collector) Flush() error { return nil }

// Fault implements capture.Reporter.
func (c *collector) Fault(f *capture.Fault) {
	without := *f
	without.Place = capture.Place{}
	c.faults = append(c.faults, without.String())
}

// InputFault implements capture.Reporter.
func (c *collector) InputFault(f fmt.Stringer) { c.input = append(c.input, f.String()) }

type collected struct {
	c  *collector
	id capture.ID
}

// Event implements capture.Consumer.
func (c *collected) Event(e *capture.Event, _ capture.Place) error {
	kept := *e
	kept.Payload = append([]byte{}, e.Payload...)
	c.c.events[c.id] = append(c.c.events[c.id], kept)
	return nil
}

// Fault implements capture.Consumer.
func (c *collected) Fault(*capture.Fault) {}

// End implements capture.Consumer.
func (c *collected) End(v *capture.Verdict) error {
	verdict := *v
	if v.Cause != nil {
		cause := *v.Cause
		cause.Place = capture.Place{}
		verdict.Cause = &cause
	}
	c.c.verdicts[c.id] = verdict
	return nil
}

// TestRoundTrip holds that a capture gives the connections that it was written from: bytes, order, ledgers and what is
// missing.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		addresses := rapid.SampledFrom([]string{client4, server4Text, client6, server6Text, "", "@pipe", "[fe80::1%eth0]:1", "[::ffff:10.0.0.7]:40112"})
		payload := rapid.OneOf(rapid.StringN(0, 40, -1), rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.StringN(1, 3, -1).Draw(t, "unit"), rapid.IntRange(1, 60_000).Draw(t, "times"))
		}))
		var logs []events
		for i := range rapid.IntRange(1, 4).Draw(rt, "connections") {
			r := newRecorder(uint64(i+1)).open(addresses.Draw(rt, "source"), addresses.Draw(rt, "destination"))
			if rapid.IntRange(0, 2).Draw(rt, "foreign") == 0 {
				r.header.Conn.VM = foreignVM
				r.events[0].Conn.VM = foreignVM
			}
			for range rapid.IntRange(0, 8).Draw(rt, "events") {
				d := capture.Direction(rapid.IntRange(0, 1).Draw(rt, "direction"))
				switch rapid.IntRange(0, 5).Draw(rt, "kind") {
				case 0:
					r.drop(d, rapid.Uint64Range(1, 1<<33).Draw(rt, "dropped"))
				case 1:
					r.end(d)
				default:
					r.data(d, payload.Draw(rt, "payload"))
					r.events[len(r.events)-1].Cut = rapid.IntRange(0, 9).Draw(rt, "cut") == 0
				}
			}
			if rapid.Bool().Draw(rt, "closed") {
				r.close(rapid.SampledFrom([]string{"downstream", "upstream", "proxy", "unknown"}).Draw(rt, "by"))
				r.events[len(r.events)-1].Close.HasLedger = rapid.Bool().Draw(rt, "ledger")
			}
			var left events
			for _, e := range r.events {
				if rapid.IntRange(0, 9).Draw(rt, "lost") > 0 {
					left = append(left, e)
				}
			}
			logs = append(logs, left)
		}
		var mixed events
		for len(logs) > 0 {
			i := rapid.IntRange(0, len(logs)-1).Draw(rt, "next")
			if len(logs[i]) == 0 {
				logs = append(logs[:i], logs[i+1:]...)
				continue
			}
			mixed, logs[i] = append(mixed, logs[i][0]), logs[i][1:]
		}
		want := collect(rt, t, mixed)
		got := collect(rt, t, Source{Name: "dump.pcapng", Reader: bytes.NewReader(write(t, mixed))})
		require.Empty(rt, got.input)
		require.Equal(rt, want, got)
	})
}

// TestDamaged cuts and changes a capture at each byte: what is read is what was written, or a fault.
func TestDamaged(t *testing.T) {
	source := newRecorder(1).open(client4, server4Text).data(capture.Downstream, "GET /").data(capture.Upstream, "200").close("downstream").events
	whole := write(t, source)
	want := collect(t, t, source)
	id := source[0].Conn
	check := func(t *testing.T, b []byte) *collector {
		got := collect(t, t, Source{Name: "dump.pcapng", Reader: bytes.NewReader(b)})
		for _, e := range got.events[id] {
			require.Contains(t, want.events[id], e)
		}
		return got
	}
	t.Run("cut", func(t *testing.T) {
		for n := range whole {
			if got := check(t, whole[:n]); len(got.events[id]) < len(want.events[id]) && n > len(appendHead(nil)) {
				require.NotEmpty(t, append(got.input, got.faults...), n)
			}
		}
	})
	t.Run("changed", func(t *testing.T) {
		for n := range whole {
			changed := bytes.Clone(whole)
			changed[n] ^= 0x41
			check(t, changed)
		}
	})
}

// FuzzSource holds that whatever an input is, reading it ends without a panic, and what is written of it is read back.
func FuzzSource(f *testing.F) {
	f.Add(write(f, newRecorder(1).open(client4, server6Text).data(capture.Downstream, "GET /").drop(1, 3).data(capture.Upstream, "200").close("downstream").events))
	f.Add(plain(binary.BigEndian, magicNano, 101, frames("", segments(client4, server4Text, segment{seq: 102, ack: 200, flags: flagACK, payload: []byte("b")},
		segment{seq: 100, ack: 200, flags: flagACK | flagFIN, payload: []byte("aab")}))...))
	f.Fuzz(func(t *testing.T, input []byte) {
		got := collect(t, t, Source{Name: "fuzz", Reader: bytes.NewReader(input)})
		var all events
		for _, list := range got.events {
			all = append(all, list...)
		}
		again := collect(t, t, Source{Name: "again", Reader: bytes.NewReader(write(t, all))})
		require.Equal(t, got.events, again.events)
	})
}

// TestMemory holds that a block's memory grows with what is there, not with what it says.
func TestMemory(t *testing.T) {
	head := appendHead(nil)
	hostile := le.AppendUint32(le.AppendUint32(head, blockPacket), maxBlockBytes)
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, err := Read(t.Context(), bytes.NewReader(append(hostile, 0, 0, 0, 0)), "hostile", capture.NewAssembler(&collector{}, capture.Options{Limits: capture.Limits{HistoryRecords: 1}}))
			require.NoError(b, err)
		}
	}).AllocedBytesPerOp()
	require.Less(t, allocated, int64(1<<20))
}
