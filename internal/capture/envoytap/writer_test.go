package envoytap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	tapv3 "github.com/envoyproxy/go-control-plane/envoy/data/tap/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protojson"
	"pgregory.net/rapid"

	"l4dump/internal/capture"
	"l4dump/internal/capture/capturetest"
)

const (
	down = capture.Downstream
	up   = capture.Upstream
)

func write(tb testing.TB, sources ...capture.Source) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, nil)
	_, err := capture.Read(tb.Context(), w, capture.Options{Limits: capture.Limits{HistoryRecords: 1 << 12}}, sources...)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return out.Bytes()
}

// parse reads messages as Envoy's API has them, and holds them to its constraints.
func parse(tb require.TestingT, content []byte) []*tapv3.TraceWrapper {
	var list []*tapv3.TraceWrapper
	for r := bufio.NewReader(bytes.NewReader(content)); ; {
		w := new(tapv3.TraceWrapper)
		err := protodelim.UnmarshalOptions{MaxSize: -1}.UnmarshalFrom(r, w)
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(tb, err)
		require.NoError(tb, w.ValidateAll())
		list = append(list, w)
	}
}

// TestWritten holds each message against Envoy's API, without what only l4dump reads.
func TestWritten(t *testing.T) {
	source := capturetest.NewRecorder(1).Open("10.0.0.7:40112", "[2001:db8::9]:8080").Data(down, "GET /").Drop(down, 3).
		Data(up, "200").Cut(up, "\n").End(up).End(down).Close("upstream")
	unix := capturetest.NewRecorder(2).Open("\xff", "/run/proxy.sock").Close("proxy")
	var got []string
	for _, w := range parse(t, write(t, source.Events, unix.Events)) {
		s := w.GetSocketStreamedTraceSegment()
		require.NotNil(t, s)
		require.NotNil(t, s.ProtoReflect().GetUnknown())
		s.ProtoReflect().SetUnknown(nil)
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(s)
		require.NoError(t, err)
		var compact bytes.Buffer
		for _, c := range text { // protojson's spaces differ from run to run
			if c != ' ' {
				compact.WriteByte(c)
			}
		}
		got = append(got, compact.String())
	}
	const at = `"timestamp":"2026-11-23T01:23:51.`
	require.Equal(t, []string{
		`{"trace_id":"1","connection":{"local_address":{"socket_address":{"address":"2001:db8::9","port_value":8080}},"remote_address":{"socket_address":{"address":"10.0.0.7","port_value":40112}}}}`,
		`{"trace_id":"1","event":{` + at + `124456789Z","read":{"data":{"as_bytes":"R0VUIC8="}},"seq_num":"1"}}`,
		`{"trace_id":"1","event":{` + at + `125456789Z","write":{"data":{"as_bytes":"MjAw"}},"seq_num":"6"}}`,
		`{"trace_id":"1","event":{` + at + `126456789Z","write":{"data":{"as_bytes":"Cg==","truncated":true}},"seq_num":"9"}}`,
		`{"trace_id":"1","event":{` + at + `127456789Z","write":{"end_stream":true},"seq_num":"10"}}`,
		`{"trace_id":"1","event":{` + at + `128456789Z","read":{},"seq_num":"13"}}`,
		`{"trace_id":"1","event":{` + at + `129456789Z","closed":{},"seq_num":"14"}}`,
		`{"trace_id":"2","connection":{"local_address":{"pipe":{"path":"/run/proxy.sock"}},"remote_address":{"pipe":{"path":"` + "\ufffd" + `"}}}}`,
		`{"trace_id":"2","event":{` + at + `124456789Z","closed":{},"seq_num":"2"}}`,
	}, got)
}

// TestRoundTrip holds that a tap gives the connections that it was written from: bytes, order, ledgers and what is missing;
// and that those who read only what Envoy's API has get the same bytes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		addresses := rapid.SampledFrom([]string{"10.0.0.7:40112", "[2001:db8::9]:8080", "", "@pipe", "[fe80::1%eth0]:1", "\xff\n"})
		events := capturetest.Draw(rt, addresses)
		want := capturetest.Collect(rt, t.Context(), events)
		content := write(t, events)
		got := capturetest.Collect(rt, t.Context(), Source{Name: "dump.tap", Reader: bytes.NewReader(content)})
		require.Empty(rt, got.Input)
		require.Equal(rt, want, got)

		var wantBytes, gotBytes [2]int
		for _, e := range want.All() {
			wantBytes[e.Direction] += len(e.Payload)
		}
		for _, w := range parse(rt, content) {
			gotBytes[0] += len(w.GetSocketStreamedTraceSegment().GetEvent().GetRead().GetData().GetAsBytes())
			gotBytes[1] += len(w.GetSocketStreamedTraceSegment().GetEvent().GetWrite().GetData().GetAsBytes())
		}
		require.Equal(rt, wantBytes, gotBytes)
	})
}

// TestWithoutRecords reads a tap that l4dump wrote as if Envoy had: its numbers say the same.
func TestWithoutRecords(t *testing.T) {
	source := capturetest.NewRecorder(1).Open("10.0.0.7:40112", "10.0.0.9:8080").Data(down, "GET /").Data(up, "200").End(up).Close("upstream")
	strip := func(content []byte) []byte {
		s := &script{messages: parse(t, content)}
		for _, w := range s.messages {
			w.GetSocketStreamedTraceSegment().ProtoReflect().SetUnknown(nil)
		}
		return s.bytes(t)
	}
	for _, row := range []struct {
		name    string
		events  capturetest.Events
		streams []string
		verdict string
	}{
		{"whole", source.Events, []string{"GET /", "200"}, "whole"},
		{"without its beginning", source.Events[1:], []string{"GET /", "200"}, "broken: its beginning is missing: it began before the capture did"},
		{
			"without a record", slices.Delete(slices.Clone(source.Events), 1, 2),
			[]string{"", "200"},
			"certain up to byte 0 of downstream and 3 of upstream: bytes of downstream may be missing from byte 0 on, and how many is not known",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			streams, verdicts := collect(t, strip(write(t, row.events))).Streams()
			require.Equal(t, row.streams, streams)
			require.Equal(t, []string{row.verdict}, verdicts)
		})
	}
}

// TestOwnDamaged cuts and changes a tap that l4dump wrote, at each byte: each event that is read was written, or its
// connection is one that l4dump has not written.
func TestOwnDamaged(t *testing.T) {
	events := capturetest.NewRecorder(1).Open("10.0.0.7:40112", "10.0.0.9:8080").Data(down, "GET /").Data(up, "200").Close("downstream").Events
	whole := write(t, events)
	id := events[0].Conn
	want := collect(t, whole).Events[id]
	require.Len(t, want, len(events))
	check := func(content []byte) *capturetest.Collector {
		got := collect(t, content)
		for _, e := range got.Events[id] {
			require.Contains(t, want, e)
		}
		return got
	}
	for n := range whole {
		if is, _ := Begins(whole[:n]); is {
			got := check(whole[:n])
			require.NotEmpty(t, append(got.Input, got.Faults...), n)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 0x41
		check(changed)
	}
}

// TestWriterFails holds that the errors of what is written to, and of closing it, are returned.
func TestWriterFails(t *testing.T) {
	failed := errors.New("no space")
	w := NewWriter(failing{failed}, nil)
	_, err := capture.Read(t.Context(), w, capture.Options{}, capturetest.NewRecorder(1).Open("", "").Events)
	require.ErrorIs(t, err, failed)
	require.ErrorContains(t, err, "write traces: ")
	require.ErrorIs(t, NewWriter(io.Discard, func() error { return failed }).Close(), failed)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func BenchmarkWriter(b *testing.B) {
	r := capturetest.NewRecorder(1).Open("10.0.0.7:40112", "10.0.0.9:8080").Data(up, string(bytes.Repeat([]byte("x"), 1792)))
	w := NewWriter(io.Discard, nil)
	c := w.Begin(&capture.Connection{ID: r.Header.Conn, Open: r.Events[0].Open})
	b.SetBytes(1792)
	b.ReportAllocs()
	for b.Loop() {
		_ = c.Event(&r.Events[1], capture.Place{}) // nothing is written that may fail
	}
}
