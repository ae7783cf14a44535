package pcapng

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/internal/capture"
	"l4dump/internal/capture/capturetest"
)

// TestRoundTrip holds that a capture gives the connections that it was written from: bytes, order, ledgers and what is
// missing.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		addresses := rapid.SampledFrom([]string{client4, server4Text, client6, server6Text, "", "@pipe", "[fe80::1%eth0]:1", "[::ffff:10.0.0.7]:40112"})
		mixed := capturetest.Draw(rt, addresses)
		want := capturetest.Collect(rt, t.Context(), mixed)
		got := capturetest.Collect(rt, t.Context(), Source{Name: "dump.pcapng", Reader: bytes.NewReader(write(t, mixed))})
		require.Empty(rt, got.Input)
		require.Equal(rt, want, got)
	})
}

// TestDamaged cuts and changes a capture at each byte: what is read is what was written, or a fault.
func TestDamaged(t *testing.T) {
	source := capturetest.NewRecorder(1).Open(client4, server4Text).Data(capture.Downstream, "GET /").Data(capture.Upstream, "200").Close("downstream").Events
	whole := write(t, source)
	want := capturetest.Collect(t, t.Context(), source)
	id := source[0].Conn
	check := func(t *testing.T, b []byte) *capturetest.Collector {
		got := capturetest.Collect(t, t.Context(), Source{Name: "dump.pcapng", Reader: bytes.NewReader(b)})
		for _, e := range got.Events[id] {
			require.Contains(t, want.Events[id], e)
		}
		return got
	}
	t.Run("cut", func(t *testing.T) {
		for n := range whole {
			if got := check(t, whole[:n]); len(got.Events[id]) < len(want.Events[id]) && n > len(appendHead(nil)) {
				require.NotEmpty(t, append(got.Input, got.Faults...), n)
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
	f.Add(write(f, capturetest.NewRecorder(1).Open(client4, server6Text).Data(capture.Downstream, "GET /").Drop(1, 3).Data(capture.Upstream, "200").Close("downstream").Events))
	f.Add(plain(binary.BigEndian, magicNano, 101, frames("", segments(client4, server4Text, segment{seq: 102, ack: 200, flags: flagACK, payload: []byte("b")},
		segment{seq: 100, ack: 200, flags: flagACK | flagFIN, payload: []byte("aab")}))...))
	f.Fuzz(func(t *testing.T, input []byte) {
		got := capturetest.Collect(t, t.Context(), Source{Name: "fuzz", Reader: bytes.NewReader(input)})
		again := capturetest.Collect(t, t.Context(), Source{Name: "again", Reader: bytes.NewReader(write(t, got.All()))})
		require.Equal(t, got.Events, again.Events)
	})
}

// TestMemory holds that a block's memory grows with what is there, not with what it says.
func TestMemory(t *testing.T) {
	head := appendHead(nil)
	hostile := le.AppendUint32(le.AppendUint32(head, blockPacket), maxBlockBytes)
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, err := Read(t.Context(), bytes.NewReader(append(hostile, 0, 0, 0, 0)), "hostile", capture.NewAssembler(capturetest.NewCollector(), capture.Options{Limits: capture.Limits{HistoryRecords: 1}}))
			require.NoError(b, err)
		}
	}).AllocedBytesPerOp()
	require.Less(t, allocated, int64(1<<20))
}
