package pcapng

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/internal/capture"
	"l4dump/internal/capture/capturetest"
)

// plain is a pcap file of frames.
func plain(order binary.AppendByteOrder, magic, linkType uint32, frames ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	for _, n := range []uint32{2 | 4<<16, 0, 0, 1 << 18, linkType} {
		b = order.AppendUint32(b, n)
	}
	for i, frame := range frames {
		for _, n := range []uint32{1_795_397_031, uint32(i), uint32(len(frame)), uint32(len(frame))} {
			b = order.AppendUint32(b, n)
		}
		b = append(b, frame...)
	}
	return b
}

const magicMicro, magicNano = 0xa1b2c3d4, 0xa1b23c4d

// segments of a connection that begins with its handshake: those between are of data.
func segments(client, server string, between ...segment) []segment {
	all := []segment{{seq: 99, flags: flagSYN}, {seq: 199, ack: 100, flags: flagSYN | flagACK}, {seq: 100, ack: 200, flags: flagACK}}
	all = append(all, between...)
	from, to := netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)
	for i := range all {
		s := &all[i]
		if s.from, s.to = from, to; s.seq < 200 && s.seq != 199 {
			continue
		}
		s.from, s.to = to, from
	}
	return all
}

func frames(prefix string, all []segment) [][]byte {
	var out [][]byte
	for _, s := range all {
		out = append(out, s.appendTo([]byte(prefix)))
	}
	return out
}

func TestForeign(t *testing.T) {
	whole := []segment{
		{seq: 100, ack: 200, flags: flagACK, payload: []byte("GET /")},
		{seq: 200, ack: 105, flags: flagACK, payload: []byte("200")},
		{seq: 105, ack: 203, flags: flagACK | flagFIN},
		{seq: 203, ack: 106, flags: flagACK | flagFIN},
		{seq: 106, ack: 204, flags: flagACK},
	}
	pick := func(indexes ...int) []segment {
		var out []segment
		for _, i := range indexes {
			out = append(out, whole[i])
		}
		return out
	}
	overlap := segment{seq: 102, ack: 200, flags: flagACK, payload: []byte("T / HTTP")}
	late := segment{seq: 110, ack: 203, flags: flagACK | flagFIN}
	v4 := func(between []segment) []segment { return segments(client4, server4Text, between...) }
	const ethernet = "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"
	raw := func(all []segment) []byte { return plain(binary.LittleEndian, magicMicro, 101, frames("", all)...) }
	for _, row := range []struct {
		name    string
		file    []byte
		streams []string
		verdict string
		input   []string
	}{
		{"raw, IPv4", raw(v4(whole)), []string{"GET /", "200"}, "whole", nil},
		{"raw, IPv6", raw(segments(client6, server6Text, whole...)), []string{"GET /", "200"}, "whole", nil},
		{"big endian, nanoseconds", plain(binary.BigEndian, magicNano, 101, frames("", v4(whole))...), []string{"GET /", "200"}, "whole", nil},
		{"Ethernet", plain(binary.LittleEndian, magicMicro, 1, frames(ethernet+"\x08\x00", v4(whole))...), []string{"GET /", "200"}, "whole", nil},
		{"two VLANs", plain(binary.LittleEndian, magicMicro, 1, frames(ethernet+"\x88\xa8\x00\x01\x81\x00\x00\x02\x08\x00", v4(whole))...), []string{"GET /", "200"}, "whole", nil},
		{"loopback of BSD", plain(binary.LittleEndian, magicMicro, 0, frames("\x02\x00\x00\x00", v4(whole))...), []string{"GET /", "200"}, "whole", nil},
		{"loopback of OpenBSD", plain(binary.LittleEndian, magicMicro, 108, frames("\x00\x00\x00\x02", v4(whole))...), []string{"GET /", "200"}, "whole", nil},
		{"Linux cooked", plain(binary.LittleEndian, magicMicro, 113, frames("\x00\x00\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00\x08\x00", v4(whole))...), []string{"GET /", "200"}, "whole", nil},
		{"Linux cooked, version 2", plain(binary.LittleEndian, magicMicro, 276, frames("\x08\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00", v4(whole))...), []string{"GET /", "200"}, "whole", nil},
		{"sent twice", raw(v4(pick(0, 0, 1, 1, 2, 3, 4))), []string{"GET /", "200"}, "whole", nil},
		{"overlapping", raw(v4([]segment{whole[0], overlap, whole[1], late, whole[3]})), []string{"GET / HTTP", "200"}, "whole", nil},
		{"out of order", raw(v4([]segment{overlap, whole[0], late, whole[1], whole[3]})), []string{"GET / HTTP", "200"}, "whole", nil},
		{"missing", raw(v4(pick(0, 2, 3, 4))), []string{"GET /", "???"}, "broken: bytes 0-2 of upstream are not in the capture", nil},
		{"still open", raw(v4(pick(0, 1))), []string{"GET /", "200"}, "still open at the end of the input", nil},
		{"reset", raw(v4([]segment{whole[0], {seq: 200, ack: 105, flags: flagRST}})), []string{"GET /", ""}, "whole", nil},
		{"in mid-stream", raw(v4(whole)[3:]), []string{"GET /", "200"}, "broken: its beginning is missing: it began before the capture did", nil},
		{"without SYN", raw(v4(whole)[1:]), []string{"GET /", "200"}, "whole", nil},
		{"without the reply to SYN", raw(append(v4(nil)[:1], v4(whole)[3:]...)), []string{"GET /", "200"}, "broken: its beginning is missing: it began before the capture did", nil},
		{
			"a link that is not known", plain(binary.LittleEndian, magicMicro, 147, frames("", v4(whole))...), nil, "", nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := capturetest.Collect(t, t.Context(), Source{Name: "foreign.pcap", Reader: bytes.NewReader(row.file)})
			streams, verdicts := got.Streams()
			require.Equal(t, row.streams, streams)
			require.Equal(t, row.verdict, strings.Join(verdicts, "\n"))
			require.Equal(t, row.input, got.Input)
		})
	}
}

// TestReassembly cuts two streams into segments that overlap, are sent twice, and come in another order.
// TestHeldSegments holds that what waits is bounded for all connections together, however short the segments are.
func TestHeldSegments(t *testing.T) {
	none := capture.SinkFunc(func(*capture.Connection) capture.Consumer { return nil })
	r := &reader{a: capture.NewAssembler(none, capture.Options{}), input: "capture"}
	r.tracker = newTracker(r)
	most := 0
	for port := range uint16(1024) {
		from, to := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 1024+port), netip.MustParseAddrPort(server4Text)
		r.packet.number++
		require.NoError(t, r.tracker.take(&captured{segment: segment{from: from, to: to, seq: 1, flags: flagSYN}}))
		for i := range uint32(maxHeldSegments - 1) { // each one after a byte that has not come
			r.packet.number++
			require.NoError(t, r.tracker.take(&captured{segment: segment{from: from, to: to, seq: 3 + 2*i, payload: []byte("x")}}))
			most = max(most, r.tracker.held)
		}
	}
	require.Greater(t, most, maxAllHeldBytes-2*heldSegmentBytes, "the bound is reached")
	require.LessOrEqual(t, most, maxAllHeldBytes)
	require.NoError(t, r.tracker.finish())
	require.Zero(t, r.tracker.held)
}

func TestReassembly(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[a-z]{1,200}`)
		want := []string{text.Draw(rt, "downstream"), text.Draw(rt, "upstream")}
		start := []uint32{rapid.Uint32().Draw(rt, "client's number"), rapid.Uint32().Draw(rt, "server's number")}
		addresses := []netip.AddrPort{netip.MustParseAddrPort(client4), netip.MustParseAddrPort(server4Text)}
		at := func(d int, offset, ack uint32, flags uint8, payload string) segment {
			return segment{
				from: addresses[d], to: addresses[1-d], seq: start[d] + 1 + offset, ack: start[1-d] + 1 + ack, flags: flags, payload: []byte(payload),
			}
		}
		var data []segment
		for d, stream := range want {
			for next := 0; next < len(stream); {
				from := rapid.IntRange(0, next).Draw(rt, "from")
				next = rapid.IntRange(next+1, len(stream)).Draw(rt, "to")
				data = append(data, at(d, uint32(from), 0, flagACK, stream[from:next]))
			}
		}
		all := []segment{at(0, ^uint32(0), 0, flagSYN, ""), at(1, ^uint32(0), 0, flagSYN|flagACK, "")}
		all = append(all, rapid.Permutation(data).Draw(rt, "order")...)
		all = append(all, at(0, uint32(len(want[0])), uint32(len(want[1])), flagACK|flagFIN, ""), at(1, uint32(len(want[1])), uint32(len(want[0]))+1, flagACK|flagFIN, ""))
		got := capturetest.Collect(rt, t.Context(), Source{Name: "foreign.pcap", Reader: bytes.NewReader(plain(binary.LittleEndian, magicMicro, 101, frames("", all)...))})
		streams, verdicts := got.Streams()
		require.Equal(rt, want, streams)
		require.Equal(rt, []string{"whole"}, verdicts)
		require.Empty(rt, got.Faults)
	})
}

// TestEdited reads what Wireshark's editcap makes of a capture.
func TestEdited(t *testing.T) {
	const down, up = capture.Downstream, capture.Upstream
	source := capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "GET /").Data(up, strings.Repeat("a", 100)).Data(down, "b").Close("upstream").Events
	file := save(t, "dump.pcapng", write(t, source))
	for _, row := range []struct {
		name  string
		flags []string
		want  string
		lost  string // what is missing of upstream
	}{
		{"pcapng", nil, "", ""},
		{"pcap", []string{"-F", "pcap"}, "whole", ""},
		{"pcap with nanoseconds", []string{"-F", "nsecpcap"}, "whole", ""},
		{"cut", []string{"-F", "pcap", "-s", "60"}, "certain up to byte 5 of downstream and 20 of upstream: " +
			"bytes 20-99 of upstream are not in the capture", strings.Repeat("?", 80)},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			command(t, "editcap", append(row.flags, file, out)...)
			edited, err := os.ReadFile(out)
			require.NoError(t, err)
			got := capturetest.Collect(t, t.Context(), Source{Name: "edited", Reader: bytes.NewReader(edited)})
			if row.want == "" {
				require.Equal(t, capturetest.Collect(t, t.Context(), source), got)
				return
			}
			streams, verdicts := got.Streams()
			require.Equal(t, []string{row.want}, verdicts)
			require.Equal(t, []string{"GET /b", strings.Repeat("a", 100-len(row.lost)) + row.lost}, streams)
		})
	}
}
