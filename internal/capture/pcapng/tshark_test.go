package pcapng

import (
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/capturetest"
)

const (
	client4     = "10.0.0.7:40112"
	server4Text = "10.0.0.9:8080"
	client6     = "[fd00::7]:40112"
	server6Text = "[fd00::9]:8080"
)

// What Wireshark says of a gap: at what follows it, and at the acknowledgment of that.
const (
	lostSegment    = "Previous segment(s) not captured (common at capture start)"
	lostSegmentACK = "ACKed segment that wasn't captured (common at capture start)"
)

// expertWarning is the least severity at which Wireshark says that something is wrong.
const expertWarning = 0x600000

// TestTshark holds that tshark finds nothing wrong with a capture, and the bytes that were recorded.
func TestTshark(t *testing.T) {
	const down, up = capture.Downstream, capture.Upstream
	large := strings.Repeat("0123456789abcdef", 20_000)
	for _, row := range []struct {
		name     string
		events   capturetest.Events
		streams  []string // of each direction of each connection, as Wireshark follows them
		warnings []string
		packets  int
		finished string // the flags of the last packet
		comments []string
	}{
		{
			name:    "closed by the client",
			events:  capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "GET /").Data(up, "200").Close("downstream").Events,
			streams: []string{"GET /", "200"}, packets: 8, finished: "·······A····",
			comments: []string{
				`connection 9f0c6a1be3d2a417-1 to port 8080, window 01a20600-4250-801e-ac34-64756d700000, unit connections, ` +
					`sni "db\x1b.example", peer spiffe://cluster.local/ns/demo, the proxy's connection 12, mTLS`,
				"closed by downstream; downstream seen 5, kept 5; upstream seen 3, kept 3",
			},
		},
		{
			name:    "closed by the service, IPv6",
			events:  capturetest.NewRecorder(1).Open(client6, server6Text).Data(down, "GET /").Data(up, "200").Close("upstream").Events,
			streams: []string{"GET /", "200"}, packets: 8, finished: "·······A····",
		},
		{
			name: "half-closed by the client",
			events: capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "a").End(down).Data(up, "b").Data(up, "c").End(up).
				Close("downstream").Events,
			streams: []string{"a", "bc"}, packets: 9, finished: "·······A····",
		},
		{
			name:    "reset by the proxy",
			events:  capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "a").Data(up, "b").Close("proxy").Events,
			streams: []string{"a", "b"}, packets: 7, finished: "·······A·R··",
			warnings: []string{"Connection reset (RST)"},
		},
		{
			name:    "still open",
			events:  capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "a").Data(up, "b").Events,
			streams: []string{"a", "b"}, packets: 6, finished: "·······A····",
			comments: []string{"still open at the end of the input"},
		},
		{
			name:    "addresses not known",
			events:  capturetest.NewRecorder(1).Open("", "@pipe").Data(down, "a").Data(up, "b").Close("downstream").Events,
			streams: []string{"a", "b"}, packets: 8, finished: "·······A····",
			comments: []string{
				"192.0.2.1:1024 is made up: the client's address is not known",
				"198.51.100.1:8080 is made up: the server's address is @pipe",
			},
		},
		{
			name:    "addresses of two families",
			events:  capturetest.NewRecorder(1).Open(client4, server6Text).Data(down, "a").Data(up, "b").Close("downstream").Events,
			streams: []string{"a", "b"}, packets: 8, finished: "·······A····",
			comments: []string{"[2001:db8::1]:1024 is made up: the client's address is 10.0.0.7:40112"},
		},
		{
			name: "two connections at once with the same addresses",
			events: append(
				capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "a").Data(up, "b").Events,
				capturetest.NewRecorder(2).Open(client4, server4Text).Data(down, "c").Data(up, "d").Close("downstream").Events...),
			streams: []string{"a", "b", "c", "d"}, packets: 14, finished: "·······A····",
			comments: []string{"192.0.2.1:1024 is made up: another open connection has the client's address, 10.0.0.7:40112"},
		},
		{
			name: "two connections after one another with the same addresses",
			events: append(
				capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "a").Data(up, "b").Close("downstream").Events,
				capturetest.NewRecorder(2).Open(client4, server4Text).Data(down, "c").Data(up, "d").Close("downstream").Events...),
			streams: []string{"a", "b", "c", "d"}, packets: 16, finished: "·······A····",
		},
		{
			name:    "more than a segment holds",
			events:  capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, large).Data(up, large).Close("downstream").Events,
			streams: []string{large, large}, packets: 6 + 5 + 1 + 5 + 1, finished: "·······A····",
		},
		{
			name:     "a gap",
			events:   capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "a").Drop(up, 1200).Data(up, "b").Data(down, "c").Close("downstream").Events,
			streams:  []string{"ac", "[1200 bytes missing in capture file]\x00b"},
			warnings: []string{lostSegment, lostSegmentACK},
			packets:  9, finished: "·······A····",
			comments: []string{"bytes 0-1199 of upstream are missing before this packet"},
		},
		{
			name:     "a gap at the end",
			events:   capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "a").Data(up, "b").Drop(up, 1).Close("downstream").Events,
			streams:  []string{"a", "b"},
			warnings: []string{lostSegment, lostSegmentACK},
			packets:  8, finished: "·······A····",
			comments: []string{"byte 1 of upstream is missing before this packet: the recorder dropped them"},
		},
		{
			name:     "the beginning is missing",
			events:   capturetest.NewRecorder(1).Open(client4, server4Text).Data(down, "lost").Data(down, "a").Data(up, "b").Close("downstream").Events[2:],
			streams:  []string{"[4 bytes missing in capture file]\x00a", "b"},
			warnings: []string{lostSegment, lostSegmentACK},
			packets:  8, finished: "·······A····",
			comments: []string{"; its beginning is missing, the first record is 2"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := save(t, "dump.pcapng", write(t, row.events))
			packets := strings.Split(strings.TrimSuffix(command(t, "tshark", "-r", file,
				"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|",
				"-e", "tcp.stream", "-e", "tcp.flags.str", "-e", "tcp.checksum.status", "-e", "ip.checksum.status",
				"-e", "_ws.expert.severity", "-e", "_ws.expert.message", "-e", "frame.comment"), "\n"), "\n")
			require.Len(t, packets, row.packets)
			streams := 0
			var warnings, comments []string
			var flags string
			for _, packet := range packets {
				fields := strings.Split(packet, "\t")
				require.Len(t, fields, 7, packet)
				stream, err := strconv.Atoi(fields[0])
				require.NoError(t, err)
				streams = max(streams, stream+1)
				flags = fields[1]
				require.Equal(t, "1", fields[2], "TCP checksum")
				require.Contains(t, []string{"", "1"}, fields[3], "IP checksum")
				messages := strings.Split(fields[5], "|")
				for i, severity := range strings.Split(fields[4], "|") {
					if n, _ := strconv.Atoi(severity); n >= expertWarning {
						warnings = append(warnings, messages[i])
					}
				}
				comments = append(comments, fields[6])
			}
			require.Equal(t, row.warnings, warnings)
			require.Equal(t, row.finished, flags)
			for _, comment := range row.comments {
				require.Contains(t, strings.ReplaceAll(strings.Join(comments, "\n"), `\\`, `\`), comment)
			}
			var got []string
			for stream := range streams {
				down, up := follow(t, file, stream)
				got = append(got, down, up)
			}
			require.Equal(t, row.streams, got)
		})
	}
}

// TestTsharkBeyond4GiB holds that sequence numbers wrap.
func TestTsharkBeyond4GiB(t *testing.T) {
	r := capturetest.NewRecorder(1).Open(client4, server4Text).Data(capture.Downstream, "a")
	for range 6 {
		r.Drop(capture.Downstream, 1<<30-1).Data(capture.Downstream, "b")
	}
	file := save(t, "dump.pcapng", write(t, r.Data(capture.Upstream, "c").Close("downstream").Events))
	down, up := follow(t, file, 0)
	require.Equal(t, "a"+strings.Repeat("[1073741823 bytes missing in capture file]\x00b", 6), down)
	require.Equal(t, "c", up)
}

// follow returns what Wireshark shows of each direction of a stream.
func follow(t *testing.T, file string, stream int) (down, up string) {
	t.Helper()
	out := command(t, "tshark", "-r", file, "-q", "-z", "follow,tcp,raw,"+strconv.Itoa(stream))
	var streams [2]strings.Builder
	for _, line := range strings.Split(out, "\n") {
		d := capture.Downstream
		if text, ok := strings.CutPrefix(line, "\t"); ok {
			d, line = capture.Upstream, text
		}
		if b, err := hex.DecodeString(line); err == nil {
			streams[d].Write(b)
		}
	}
	return streams[0].String(), streams[1].String()
}
