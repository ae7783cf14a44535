package envoytap

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tapv3 "github.com/envoyproxy/go-control-plane/envoy/data/tap/v3"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	"l4dump/internal/capture"
	"l4dump/internal/capture/capturetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	return content
}

func collect(t *testing.T, content []byte) *capturetest.Collector {
	t.Helper()
	return capturetest.Collect(t, t.Context(), Source{Name: "tap", Reader: bytes.NewReader(content)})
}

// withoutConn removes what names the connection in faults.
func withoutConn(faults []string) []string {
	var texts []string
	for _, f := range faults {
		texts = append(texts, strings.SplitN(f, ": ", 3)[2])
	}
	return texts
}

const (
	cutFaults = "bytes of %s may be missing from byte %d on, and how many is not known"
	noPeers   = "tap:%d: from this trace on, 1 begin connections whose addresses are missing or do not tell the client from the service: " +
		"downstream and upstream may be the wrong way round"
	noBytes = "tap:%d: from this trace on, 1 hold text in which each space may stand for bytes that are not UTF-8: " +
		"tap with another format than JSON_BODY_AS_STRING"
	isHTTP = "tap:1: from this trace on, %d are of Envoy's HTTP tap, which holds messages and not a connection's bytes: " +
		"it is not supported; tap the transport socket"
)

// TestEnvoy reads what Envoy 1.40.0 has written, and 1.36.4 if the name says so, of one connection at the listener and at
// the cluster: the client sends "GET /\n" and "bye\n", or the bytes from 0 to 255 instead of the first; the service
// answers "200\n". The limit is 4 bytes if it is truncated.
func TestEnvoy(t *testing.T) {
	const request, whole = "GET /\nbye\n", "whole"
	var ascii []byte
	for c := range byte(128) {
		ascii = append(ascii, c)
	}
	spaces := string(ascii) + strings.Repeat(" ", 100) // which the other 128 bytes became
	down := func(at int) string { return fmt.Sprintf(cutFaults, "downstream", at) }
	rows := []struct {
		name    string
		request string
		verdict string
		faults  []string
		input   []string
	}{
		{"listener-streamed-bytes.json", request, whole, nil, nil},
		{"listener-buffered-string.json", request, "broken: " + down(0), []string{down(0)}, []string{fmt.Sprintf(noBytes, 1)}},
		{"cluster-buffered-string.json", request, "broken: " + down(0), []string{down(0)}, []string{fmt.Sprintf(noBytes, 1)}},
		{
			"listener-streamed-string.json", request, "broken: " + down(0),
			[]string{down(0)},
			[]string{fmt.Sprintf(noPeers, 2), fmt.Sprintf(noBytes, 2)},
		},
		{"events-streamed.pb_length_delimited", request, whole, nil, nil},
		{
			"events-streamed-string.json", request, "broken: " + down(0),
			[]string{down(0)},
			[]string{fmt.Sprintf(noPeers, 2), fmt.Sprintf(noBytes, 2)},
		},
		{"1.36.4-streamed-delimited.pb_length_delimited", request, whole, nil, nil},
		{
			"1.36.4-streamed-string.json", request, "broken: " + down(0),
			[]string{down(0)},
			[]string{fmt.Sprintf(noPeers, 2), fmt.Sprintf(noBytes, 2)},
		},
		{
			"truncated-streamed.pb_length_delimited", "GET ??bye\n",
			"certain up to byte 4 of downstream and 0 of upstream: bytes 4-5 of downstream are not in the capture",
			[]string{"bytes 4-5 of downstream are not in the capture"},
			nil,
		},
		{
			"1.36.4-truncated-streamed.pb_length_delimited", "GET bye\n",
			"certain up to byte 4 of downstream and 0 of upstream: " + down(4),
			[]string{down(4)},
			nil,
		},
		{
			"truncated-buffered.pb_length_delimited", "GET ",
			"certain up to byte 4 of downstream and 0 of upstream: " + down(4),
			[]string{down(4)},
			nil,
		},
		{
			"not-utf8-buffered.json", spaces + "bye\n", "broken: " + down(0),
			[]string{down(0)},
			[]string{fmt.Sprintf(noBytes, 1)},
		},
		{
			"not-utf8-streamed.json", spaces + strings.Repeat("?", 28) + "bye\n", "broken: " + down(0),
			[]string{"bytes 228-255 of downstream are not in the capture", down(0)},
			[]string{fmt.Sprintf(noPeers, 2), fmt.Sprintf(noBytes, 2)},
		},
	}
	for _, side := range []string{"listener", "cluster"} {
		for _, mode := range []string{"buffered", "streamed"} {
			for _, format := range []string{"binary.pb", "delimited.pb_length_delimited", "text.pb_text", "bytes.json"} {
				row := rows[0]
				row.name = side + "-" + mode + "-" + format
				rows = append(rows, row)
			}
		}
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			content := read(t, row.name)
			is, more := Begins(content)
			require.True(t, is)
			require.False(t, more)
			got := collect(t, content)
			streams, verdicts := got.Streams()
			require.Equal(t, []string{row.request, "200\n"}, streams)
			require.Equal(t, []string{row.verdict}, verdicts)
			require.Equal(t, row.faults, withoutConn(got.Faults))
			require.Equal(t, row.input, got.Input)
		})
	}
	t.Run("a streamed trace of text does not say on which side it stands", func(t *testing.T) {
		got := collect(t, read(t, "cluster-streamed-string.json"))
		streams, _ := got.Streams()
		require.Equal(t, []string{"200\n", request}, streams)
		require.Contains(t, got.Input, fmt.Sprintf(noPeers, 2))
	})
	for name, count := range map[string]int{"http-buffered.pb": 1, "http-streamed.pb": 3} {
		t.Run(name, func(t *testing.T) {
			content := read(t, name)
			is, _ := Begins(content)
			require.True(t, is)
			got := collect(t, content)
			require.Empty(t, got.Events)
			require.Equal(t, []string{fmt.Sprintf(isHTTP, count)}, got.Input)
		})
	}
}

// TestOpen holds what an open event says, whole.
func TestOpen(t *testing.T) {
	got := collect(t, read(t, "listener-streamed-delimited.pb_length_delimited"))
	require.Len(t, got.Events, 1)
	for id, info := range got.Infos {
		require.Equal(t, uint64(1), id.Number)
		require.Equal(t, capture.Connection{
			ID: id, Port: 18443, Time: info.Time, Foreign: true, Open: &capture.Open{
				Unit: "connections", Started: info.Time, HasProxyConn: true, Source: "127.0.0.1:33790", Destination: "127.0.0.1:18443",
			},
		}, info)
		require.Equal(t, "2026-11-25", time.Unix(0, info.Time).UTC().Format(time.DateOnly))
	}
}

func socket(address string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func TestSides(t *testing.T) {
	at := func(port uint16) peer { return peer{"10.0.0.1", port} }
	for _, row := range []struct {
		name            string
		local, remote   peer
		upstream, known bool
	}{
		{"nothing is known", peer{}, peer{}, false, false},
		{"the proxy's address is not known yet", peer{}, at(8080), true, true},
		{"a client's port, first", at(8080), at(32768), false, true},
		{"a client's port, last", at(8080), at(60999), false, true},
		{"the proxy's port is a client's", at(32768), at(8080), true, true},
		{"both are clients' ports", at(50000), at(40000), false, false},
		{"none is, the proxy's is lower", at(8080), at(32767), false, false},
		{"none is, the proxy's is higher", at(61000), at(8080), true, false},
		{"Unix sockets", peer{"/run/proxy", 0}, peer{"@client", 0}, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			upstream, known := isUpstream(row.local, row.remote)
			require.Equal(t, row.upstream, upstream)
			require.Equal(t, row.known, known)
		})
	}
}

// script makes the traces of streamed connections.
type script struct{ messages []*tapv3.TraceWrapper }

func (s *script) segment(id uint64, segment *tapv3.SocketStreamedTraceSegment) *script {
	segment.TraceId = id
	s.messages = append(s.messages, &tapv3.TraceWrapper{Trace: &tapv3.TraceWrapper_SocketStreamedTraceSegment{SocketStreamedTraceSegment: segment}})
	return s
}

func (s *script) open(id uint64) *script {
	return s.segment(id, &tapv3.SocketStreamedTraceSegment{MessagePiece: &tapv3.SocketStreamedTraceSegment_Connection{
		Connection: &tapv3.Connection{LocalAddress: socket("10.0.0.9", 8080), RemoteAddress: socket("::1", 40112)},
	}})
}

func (s *script) event(id, seq uint64, e *tapv3.SocketEvent) *script {
	e.Timestamp, e.SeqNum = timestamppb.New(time.Unix(1795397031, 0)), seq
	return s.segment(id, &tapv3.SocketStreamedTraceSegment{MessagePiece: &tapv3.SocketStreamedTraceSegment_Event{Event: e}})
}

func body(text string) *tapv3.Body {
	return &tapv3.Body{BodyType: &tapv3.Body_AsBytes{AsBytes: []byte(text)}}
}

func (s *script) read(id, seq uint64, text string) *script {
	return s.event(id, seq, &tapv3.SocketEvent{EventSelector: &tapv3.SocketEvent_Read_{Read: &tapv3.SocketEvent_Read{Data: body(text)}}})
}

func (s *script) write(id, seq uint64, text string, end bool) *script {
	return s.event(id, seq, &tapv3.SocketEvent{EventSelector: &tapv3.SocketEvent_Write_{
		Write: &tapv3.SocketEvent_Write{Data: body(text), EndStream: end},
	}})
}

func (s *script) closed(id, seq uint64) *script {
	return s.event(id, seq, &tapv3.SocketEvent{EventSelector: &tapv3.SocketEvent_Closed_{Closed: &tapv3.SocketEvent_Closed{}}})
}

func (s *script) bytes(tb testing.TB) []byte {
	tb.Helper()
	var out bytes.Buffer
	for _, m := range s.messages {
		_, err := protodelim.MarshalTo(&out, m)
		require.NoError(tb, err)
	}
	return out.Bytes()
}

// without leaves messages out.
func (s *script) without(indexes ...int) *script {
	left := &script{}
	for i, m := range s.messages {
		keep := true
		for _, index := range indexes {
			keep = keep && i != index
		}
		if keep {
			left.messages = append(left.messages, m)
		}
	}
	return left
}

// TestStreamed leaves messages out, repeats and mixes them.
func TestStreamed(t *testing.T) {
	one := func() *script {
		return (&script{}).open(7).read(7, 1, "ab").write(7, 3, "cd", true).read(7, 5, "e").closed(7, 7)
	}
	old := (&script{}).open(7).read(7, 0, "ab").write(7, 0, "cd", false).closed(7, 0)
	down, up := fmt.Sprintf(cutFaults, "downstream", 0), fmt.Sprintf(cutFaults, "upstream", 2)
	const late = "its beginning is missing: it began before the capture did"
	const open = "its end is missing: it was still open, or the capture ends early"
	for _, row := range []struct {
		name    string
		script  *script
		streams []string
		verdict string
		faults  []string
		input   []string
	}{
		{"whole", one(), []string{"abe", "cd"}, "whole", nil, nil},
		{"without addresses", one().without(0), []string{"abe", "cd"}, "whole", nil, []string{fmt.Sprintf(noPeers, 1)}},
		{"a read is lost", one().without(1), []string{"e", "cd"}, "broken: " + down, []string{down, fmt.Sprintf(cutFaults, "upstream", 0)}, nil},
		{
			"a write is lost", one().without(2),
			[]string{"abe", ""},
			"certain up to byte 2 of downstream and 0 of upstream: " + fmt.Sprintf(cutFaults, "downstream", 2),
			[]string{fmt.Sprintf(cutFaults, "downstream", 2), fmt.Sprintf(cutFaults, "upstream", 0)},
			nil,
		},
		{
			"the last read is lost", one().without(3),
			[]string{"ab", "cd"},
			"certain up to byte 2 of downstream and 2 of upstream: " + fmt.Sprintf(cutFaults, "downstream", 2),
			[]string{fmt.Sprintf(cutFaults, "downstream", 2), up},
			nil,
		},
		{"the beginning is lost", one().without(0, 1), []string{"e", "cd"}, "broken: " + late, []string{late}, []string{fmt.Sprintf(noPeers, 1)}},
		{"the end is lost", one().without(4), []string{"abe", "cd"}, "still open at the end of the input", []string{open}, nil},
		{"only addresses", (&script{}).open(7), []string{"", ""}, "still open at the end of the input", []string{open}, nil},
		{
			"repeated", one().without(4).read(7, 5, "e").closed(7, 7),
			[]string{"abe", "cd"},
			"whole", nil,
			[]string{"tap:5: from this trace on, 1 hold events that come once more, or after those that follow them: left out"},
		},
		{"of an older Envoy", old, []string{"ab", "cd"}, "whole", nil, nil},
		{"of an older Envoy, its beginning is lost", old.without(0), []string{"ab", "cd"}, "broken: " + late, []string{late}, []string{fmt.Sprintf(noPeers, 1)}},
		{"two mixed", (&script{}).open(7).open(8).read(7, 1, "a").read(8, 1, "b").closed(8, 3).closed(7, 3), []string{"a", "", "b", ""}, "whole\nwhole", nil, nil},
		{
			"one number for two", (&script{}).open(7).read(7, 1, "a").open(7).read(7, 1, "b").closed(7, 3),
			[]string{"a", "", "b", ""},
			"still open at the end of the input\nwhole",
			[]string{open},
			nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := collect(t, row.script.bytes(t))
			streams, verdicts := got.Streams()
			require.Equal(t, row.streams, streams)
			require.Equal(t, row.verdict, strings.Join(verdicts, "\n"))
			require.Equal(t, row.faults, withoutConn(got.Faults))
			require.Equal(t, row.input, got.Input)
		})
	}
	t.Run("a write that ends the stream ends it with the connection", func(t *testing.T) {
		for _, events := range collect(t, one().bytes(t)).Events {
			require.Equal(t, capture.KindEnd, events[len(events)-2].Kind)
			require.Equal(t, capture.Upstream, events[len(events)-2].Direction)
		}
	})
	t.Run("a damaged trace makes the open connections doubtful", func(t *testing.T) {
		content := append(old.without(2, 3).bytes(t), 3, 0x22, 1, 0xff) // a segment without a whole tag
		content = append(content, (&script{}).read(7, 0, "f").closed(7, 0).bytes(t)...)
		got := collect(t, content)
		streams, verdicts := got.Streams()
		require.Equal(t, []string{"abf", ""}, streams)
		require.Equal(t, []string{"certain up to byte 2 of downstream and 0 of upstream: " + fmt.Sprintf(cutFaults, "downstream", 2)}, verdicts)
		require.Len(t, got.Input, 1)
		require.Contains(t, got.Input[0], "tap:3: a trace is damaged: ")
	})
	t.Run("times that no clock has", func(t *testing.T) {
		s := (&script{}).open(7).read(7, 1, "a")
		s.messages[1].GetSocketStreamedTraceSegment().GetEvent().Timestamp = &timestamppb.Timestamp{Seconds: math.MaxInt64}
		for _, info := range collect(t, s.bytes(t)).Infos {
			require.Zero(t, info.Time)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		s := &script{}
		for range checkTraces {
			s.open(7)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := Read(ctx, bytes.NewReader(s.bytes(t)), "tap", capture.NewAssembler(capturetest.NewCollector(), capture.Options{}))
		require.ErrorIs(t, err, context.Canceled)
	})
}

// TestDamaged cuts and changes what Envoy has written, at each byte: what is said to be certain was sent, or a fault is reported.
func TestDamaged(t *testing.T) {
	const request, response = "GET /\nbye\n", "200\n"
	for _, name := range []string{
		"listener-buffered-binary.pb", "listener-streamed-binary.pb", "listener-buffered-delimited.pb_length_delimited",
		"listener-streamed-delimited.pb_length_delimited", "listener-streamed-text.pb_text", "listener-streamed-bytes.json",
	} {
		t.Run(name, func(t *testing.T) {
			whole := read(t, name)
			for n := 1; n < len(whole); n++ {
				if is, _ := Begins(whole[:n]); !is {
					continue
				}
				got := collect(t, whole[:n])
				streams, verdicts := got.Streams()
				for i := 0; i < len(streams); i += 2 {
					require.True(t, strings.HasPrefix(request, streams[i]), n)
					require.True(t, strings.HasPrefix(response, streams[i+1]), n)
				}
				if len(bytes.TrimSpace(whole[n:])) > 0 {
					require.NotEqual(t, []string{"whole"}, verdicts, n)
					require.NotEmpty(t, append(got.Input, got.Faults...), n)
				}
			}
			for n := range whole {
				changed := bytes.Clone(whole)
				changed[n] ^= 0x41
				collect(t, changed)
			}
		})
	}
}

// TestBegins holds that nothing else is taken for a tap, and that an input is not waited for that is none.
func TestBegins(t *testing.T) {
	for _, row := range []struct {
		name string
		head string
		more bool
	}{
		{"nothing", "", true},
		{"an access log", "[2026-11-23T01:23:51.887Z] \"GET / HTTP/1.1\" 200\n", false},
		{"a string", `"hello", he said`, false},
		{"another JSON log", `{"level":"info","msg":"socket_streamed_trace_segment"}`, false},
		{"the beginning of JSON", "{\n  ", true},
		{"the beginning of a name", "{\n  \"socket_streamed", true},
		{"a name in prose", "socket_streamed_trace_segment is a field", false},
		{"a packet capture", "\n\r\r\n\x1c\x00\x00\x00\x4d\x3c\x2b\x1a", false},
		{"gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00", false},
		{"zeros", strings.Repeat("\x00", 64), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			is, more := Begins([]byte(row.head))
			require.False(t, is)
			require.Equal(t, row.more, more)
		})
	}
	t.Run("at most so much is waited for", func(t *testing.T) {
		_, more := Begins(bytes.Repeat([]byte{' '}, headBytes))
		require.False(t, more)
		_, more = Begins(bytes.Repeat([]byte{' '}, headBytes-1))
		require.True(t, more)
	})
}

// discard is a Sink.
type discard struct{}

func (discard) Begin(*capture.Connection) capture.Consumer { return nil }
func (discard) Flush() error                               { return nil }

// TestMemory holds that memory grows with what is there, not with what lengths say, nor with events that say nothing.
func TestMemory(t *testing.T) {
	limits := capture.Limits{HistoryRecords: 1}
	allocated := func(content []byte) int64 {
		return testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				_, err := Read(t.Context(), bytes.NewReader(content), "tap", capture.NewAssembler(discard{}, capture.Options{Limits: limits}))
				require.NoError(b, err)
			}
		}).AllocedBytesPerOp()
	}
	t.Run("length", func(t *testing.T) {
		segment := protowire.AppendVarint([]byte{0x22}, maxTraceBytes-5)
		content := append(protowire.AppendVarint(nil, maxTraceBytes), segment...)
		require.Less(t, allocated(append(content, 8, 7, 0x1a, 2, 0x22, 0)), int64(1<<20))
	})
	t.Run("longer than the limit by 1", func(t *testing.T) {
		content := append(read(t, "listener-streamed-delimited.pb_length_delimited"), protowire.AppendVarint(nil, maxTraceBytes+1)...)
		got := collect(t, content)
		require.Equal(t, []string{"tap:6: cannot be read further: a trace is longer than 64 MiB"}, got.Input)
	})
	t.Run("messages in text", func(t *testing.T) {
		empty := strings.Repeat("events {}", maxTextMessages)
		got := collect(t, []byte("socket_buffered_trace {"+empty+"}"))
		require.Equal(t, []string{"tap:1: a trace is damaged: it holds more than 1048576 messages"}, got.Input)
	})
}

// FuzzSource holds that reading any input ends without a panic, and that what it gives has an order.
func FuzzSource(f *testing.F) {
	files, err := os.ReadDir("testdata")
	require.NoError(f, err)
	for _, file := range files {
		if !file.IsDir() {
			f.Add(read(f, file.Name()))
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		Begins(content)
		got := collect(t, content)
		for _, events := range got.Events {
			for i := 1; i < len(events); i++ {
				require.Greater(t, events[i].Seq, events[i-1].Seq)
			}
		}
	})
}

// TestOwnFieldIsFree holds that Envoy's API has no field of the number that l4dump's has.
func TestOwnFieldIsFree(t *testing.T) {
	fields := (*tapv3.SocketStreamedTraceSegment)(nil).ProtoReflect().Descriptor().Fields()
	require.Nil(t, fields.ByNumber(fieldOwn))
	require.Equal(t, "socket_buffered_trace", string((&tapv3.TraceWrapper{}).ProtoReflect().Descriptor().Fields().ByNumber(fieldSocketBuffered).Name()))
}
