package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/internal/capture"
	"l4dump/internal/capture/capturetest"
	"l4dump/record"
)

const (
	down = capture.Downstream
	up   = capture.Upstream

	client = "10.0.0.7:40112"
	server = "10.0.0.9:8080"
	window = "01a20600-4250-801e-ac34-64756d700000"
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

func read(tb require.TestingT, content []byte) []Row {
	rows, err := parquet.Read[Row](bytes.NewReader(content), int64(len(content)))
	require.NoError(tb, err)
	for i := range rows { // an empty list of a row comes back as one
		if len(rows[i].Faults) == 0 {
			rows[i].Faults = nil
		}
		if len(rows[i].DownstreamDropped) == 0 {
			rows[i].DownstreamDropped = nil
		}
		if len(rows[i].UpstreamDropped) == 0 {
			rows[i].UpstreamDropped = nil
		}
	}
	return rows
}

// inWindows makes the events those of the unit "bytes".
func inWindows(r *capturetest.Recorder) *capturetest.Recorder {
	open := *r.Events[0].Open
	open.Unit = "bytes"
	r.Events[0].Open = &open
	return r
}

// repeated returns the row of an event with what each row repeats of an open record that capturetest makes.
func repeated(number, seq int64, kind string) Row {
	return Row{
		Window: window, Port: 8080, Conn: fmt.Sprintf("9f0c6a1be3d2a417-%x", number), Kind: kind,
		Time: capturetest.StartTime + seq*1_000_000, Seq: &seq,
		Unit: new("connections"), Started: new(int64(capturetest.StartTime - 1000)), ProxyConn: new(int64(12)),
		Source: new(client), Destination: new(server), SNI: new("db\x1b.example"),
		Peer: new("spiffe://cluster.local/ns/demo"), MTLS: new(true),
	}
}

func (r Row) data(direction string, offset int64, payload string) Row {
	r.Direction, r.Offset, r.Length = &direction, &offset, new(int64(len(payload)))
	r.Masked, r.Cut, r.Payload = new(int64(0)), new(false), []byte(payload)
	return r
}

func (r Row) end(direction string, offset int64) Row {
	r.Direction, r.Offset = &direction, &offset
	return r
}

// ledger sets seen and kept of downstream, and those of upstream.
func (r Row) ledger(by string, numbers ...int64) Row {
	r.ClosedBy = &by
	r.DownstreamSeen, r.DownstreamKept, r.DownstreamMasked = &numbers[0], &numbers[1], new(int64(0))
	r.UpstreamSeen, r.UpstreamKept, r.UpstreamMasked = &numbers[2], &numbers[3], new(int64(0))
	return r
}

// verdict makes the row the one that follows it.
func (r Row) verdict(state, text string, certainDownstream, certainUpstream int64) Row {
	r.Seq, r.Kind, r.State, r.Verdict = nil, KindVerdict, &state, &text
	r.CertainDownstream, r.CertainUpstream, r.TLS = &certainDownstream, &certainUpstream, new(false)
	return r
}

func (r Row) with(change func(r *Row)) Row {
	change(&r)
	return r
}

func unit(r *Row) { r.Unit = new("bytes") }

// rows are events, and the rows that stand for them.
var rows = []struct {
	name   string
	events capturetest.Events
	want   []Row
}{
	{"nothing", nil, []Row{}},
	{
		"whole",
		capturetest.NewRecorder(1).Open(client, server).Data(down, "GET /").Data(up, "\x00\xff").End(down).End(up).Close("downstream").Events,
		[]Row{
			repeated(1, 0, "open"),
			repeated(1, 1, "data").data("downstream", 0, "GET /"),
			repeated(1, 2, "data").data("upstream", 0, "\x00\xff"),
			repeated(1, 3, "end").end("downstream", 5),
			repeated(1, 4, "end").end("upstream", 2),
			repeated(1, 5, "close").ledger("downstream", 5, 5, 2, 2),
			repeated(1, 5, "").verdict("whole", "whole", 5, 2),
		},
	},
	{
		"in windows, with bytes that were dropped",
		inWindows(capturetest.NewRecorder(2).Open(client, server).Data(down, "a").Drop(down, 3).Data(down, "b")).Close("proxy").Events,
		[]Row{
			repeated(2, 0, "open").with(unit),
			repeated(2, 1, "data").data("downstream", 0, "a").with(unit),
			repeated(2, 2, "data").data("downstream", 4, "b").with(unit).with(func(r *Row) {
				r.Faults = []string{"log:3: connection 9f0c6a1be3d2a417-2: bytes 1-3 of downstream are not recorded: dropped by the recorder"}
			}),
			repeated(2, 3, "close").ledger("proxy", 5, 2, 0, 0).with(unit).with(func(r *Row) {
				r.DownstreamDropped = []Drop{{"budget", 3}}
				r.Faults = []string{"log:4: connection 9f0c6a1be3d2a417-2: the recorder dropped 3 bytes of downstream: budget 3"}
			}),
			repeated(2, 3, "").verdict("prefix", "certain up to byte 1 of downstream and 0 of upstream: "+
				"bytes 1-3 of downstream are not recorded: dropped by the recorder", 1, 0).with(unit),
		},
	},
	{
		"masked, cut, without payload, still open",
		func() capturetest.Events {
			r := capturetest.NewRecorder(3).Open("", "").Data(down, "pass ****").Data(up, "").Cut(up, "x")
			r.Events[0].Open = &capture.Open{Unit: "connections", SNI: "\xff.example", Next: "tcp_proxy"}
			r.Events[1].Masked = 4
			return r.Events
		}(),
		func() []Row {
			open := func(r *Row) {
				r.Started, r.ProxyConn, r.Source, r.Destination, r.Peer = new(int64(0)), nil, nil, nil, nil
				r.SNI, r.MTLS, r.Next = new("\ufffd.example"), new(false), new("tcp_proxy")
			}
			return []Row{
				repeated(3, 0, "open").with(open),
				repeated(3, 1, "data").data("downstream", 0, "pass ****").with(open).with(func(r *Row) { r.Masked = new(int64(4)) }),
				repeated(3, 2, "data").data("upstream", 0, "").with(open),
				repeated(3, 3, "data").data("upstream", 0, "x").with(open).with(func(r *Row) { r.Cut = new(true) }).with(func(r *Row) {
					r.Faults = []string{"log:4: connection 9f0c6a1be3d2a417-3: bytes of upstream may be missing from byte 1 on, and how many is not known"}
				}),
				repeated(3, 3, "").verdict("prefix", "certain up to byte 9 of downstream and 1 of upstream: "+
					"bytes of upstream may be missing from byte 1 on, and how many is not known; not exact: 4 bytes masked", 9, 1).
					with(open).with(func(r *Row) {
					r.Faults = []string{"log:4: connection 9f0c6a1be3d2a417-3: no close record: it was still open, or the log ends early"}
				}),
			}
		}(),
	},
	{
		"without its beginning, TLS",
		capturetest.NewRecorder(4).Open(client, server).Data(up, "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00").Events[1:],
		func() []Row {
			bare := func(r *Row) {
				*r = Row{
					Window: r.Window, Port: r.Port, Conn: r.Conn, Kind: r.Kind, Time: r.Time, Seq: r.Seq, Direction: r.Direction,
					Offset: r.Offset, Length: r.Length, Masked: r.Masked, Cut: r.Cut, Payload: r.Payload, State: r.State,
					Verdict: r.Verdict, CertainDownstream: r.CertainDownstream, CertainUpstream: r.CertainUpstream, TLS: r.TLS,
				}
			}
			const noOpen = "the log begins at its record 1: what came before is missing"
			return []Row{
				repeated(4, 1, "data").data("upstream", 0, "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00").with(bare).with(func(r *Row) {
					r.Faults = []string{"log:1: connection 9f0c6a1be3d2a417-4: " + noOpen}
				}),
				repeated(4, 1, "").verdict("broken", "broken: "+noOpen, 0, 0).with(bare).with(func(r *Row) {
					r.Faults = []string{"log:1: connection 9f0c6a1be3d2a417-4: no close record: it was still open, or the log ends early"}
					r.TLS = new(true)
				}),
			}
		}(),
	},
	{
		"a foreign connection has no ledger",
		capturetest.NewRecorder(5).Foreign().Open(client, server).Close("unknown").Events,
		func() []Row {
			foreign := func(r *Row) { r.Conn = "0000000000000001-5" }
			return []Row{
				repeated(5, 0, "open").with(foreign),
				repeated(5, 1, "close").with(foreign).with(func(r *Row) { r.ClosedBy = new("unknown") }),
				repeated(5, 1, "").verdict("whole", "whole", 0, 0).with(foreign),
			}
		}(),
	},
}

// TestRows holds each row that is read back, whole.
func TestRows(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, read(t, write(t, row.events)))
		})
	}
}

// TestRoundTrip holds that whatever is recorded stands in the file: each event that a sink is given, in its order.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := capturetest.Draw(rt, rapid.SampledFrom([]string{client, "", "@pipe", "\xff\n"}))
		want := capturetest.Collect(rt, t.Context(), events)
		got := map[string][]capture.Event{}
		verdicts := map[string]string{}
		for _, row := range read(rt, write(t, events)) {
			if row.Kind == KindVerdict {
				verdicts[row.Conn] = *row.Verdict
				continue
			}
			got[row.Conn] = append(got[row.Conn], eventOf(row))
		}
		require.Len(rt, got, len(want.Events))
		for id, list := range want.Events {
			conn := fmt.Sprintf("%016x-%x", id.VM, id.Number)
			for i := range list {
				list[i].Header = capture.Header{Port: list[i].Port, Seq: list[i].Seq, Time: list[i].Time}
				if list[i].Kind != capture.KindOpen {
					continue
				}
				list[i].Open = &capture.Open{
					Unit: list[i].Open.Unit, Source: strings.ToValidUTF8(list[i].Open.Source, "\ufffd"),
					Destination: strings.ToValidUTF8(list[i].Open.Destination, "\ufffd"),
				}
			}
			require.Equal(rt, list, got[conn])
			verdict := want.Verdicts[id]
			require.Equal(rt, verdict.String(), verdicts[conn])
		}
	})
}

// eventOf returns what a row says of an event.
func eventOf(row Row) capture.Event {
	e := capture.Event{Header: capture.Header{Port: uint16(row.Port), Seq: uint64(*row.Seq), Time: row.Time}, Payload: []byte{}}
	e.Kind = capture.Kind(slices.Index([]string{"open", "data", "end", "close"}, row.Kind))
	if row.Direction != nil {
		e.Direction, e.Offset = capture.Direction(slices.Index([]string{"downstream", "upstream"}, *row.Direction)), uint64(*row.Offset)
	}
	textOf := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	switch e.Kind {
	case capture.KindOpen:
		e.Open = &capture.Open{Unit: *row.Unit, Source: textOf(row.Source), Destination: textOf(row.Destination)}
	case capture.KindData:
		e.Payload, e.Masked, e.Cut = row.Payload, uint64(*row.Masked), *row.Cut
	case capture.KindClose:
		e.Close = &capture.Close{By: *row.ClosedBy, HasLedger: row.DownstreamSeen != nil}
		if !e.Close.HasLedger {
			break
		}
		ledger := func(seen, kept, masked *int64, drops []Drop) capture.Ledger {
			l := capture.Ledger{Seen: uint64(*seen), Kept: uint64(*kept), Masked: uint64(*masked)}
			for _, drop := range drops {
				l.Dropped = append(l.Dropped, record.Drop{Reason: drop.Reason, Bytes: uint64(drop.Bytes)})
			}
			return l
		}
		e.Close.Ledger = [2]capture.Ledger{
			ledger(row.DownstreamSeen, row.DownstreamKept, row.DownstreamMasked, row.DownstreamDropped),
			ledger(row.UpstreamSeen, row.UpstreamKept, row.UpstreamMasked, row.UpstreamDropped),
		}
	}
	return e
}

// TestNumbers holds that a number that no column takes leaves out its record, and says so.
func TestNumbers(t *testing.T) {
	const most = math.MaxInt64
	for _, row := range []struct {
		name   string
		change func(e *capture.Event)
		fault  string
	}{
		{"offset that fits", func(e *capture.Event) { e.Offset = most }, ""},
		{"offset", func(e *capture.Event) { e.Offset = most + 1 }, "9223372036854775808"},
		{"masked", func(e *capture.Event) { e.Masked = math.MaxUint64 }, "18446744073709551615"},
		{"ledger that fits", func(e *capture.Event) {
			*e = capture.Event{Kind: capture.KindClose, Header: e.Header, Close: &capture.Close{HasLedger: true}}
			e.Close.Ledger[up] = capture.Ledger{Seen: most, Kept: most, Dropped: []record.Drop{{Reason: "budget", Bytes: most}}}
		}, ""},
		{"ledger", func(e *capture.Event) {
			*e = capture.Event{Kind: capture.KindClose, Header: e.Header, Close: &capture.Close{HasLedger: true}}
			e.Close.Ledger[up].Dropped = []record.Drop{{Reason: "budget", Bytes: most + 1}}
		}, "9223372036854775808"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			w := NewWriter(&out, nil)
			consumer := w.Begin(&capture.Connection{ID: capture.ID{VM: 1, Number: 1}})
			e := capturetest.NewRecorder(1).Data(down, "x").Events[0]
			row.change(&e)
			err := consumer.Event(&e, capture.Place{})
			want := []string{KindVerdict}
			if row.fault == "" {
				require.NoError(t, err)
				want = []string{e.Kind.String(), KindVerdict}
			} else {
				require.Equal(t, &capture.SkipError{Err: fmt.Errorf("its number %s is more than a column holds, which is 2^63-1", row.fault)}, wrapped(err))
			}
			require.NoError(t, consumer.End(&capture.Verdict{Upto: [2]uint64{math.MaxUint64, most}}))
			require.NoError(t, w.Close())
			var got []string
			rows := read(t, out.Bytes())
			for _, row := range rows {
				got = append(got, row.Kind)
			}
			require.Equal(t, want, got)
			last := rows[len(rows)-1]
			require.Equal(t, [2]int64{most, most}, [2]int64{*last.CertainDownstream, *last.CertainUpstream})
			require.Nil(t, last.Payload)
		})
	}
}

// wrapped returns err with the text of what it wraps.
func wrapped(err error) error {
	var skip *capture.SkipError
	if errors.As(err, &skip) {
		return &capture.SkipError{Err: fmt.Errorf("%s", skip.Error())}
	}
	return err
}

// TestFaults holds that a row has at most so many faults, and says how many there were.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name   string
		faults int
		want   int
		last   string
	}{
		{"as many as there may be", maxFaults, maxFaults, "log: connection 0000000000000001-1: record 63 is a duplicate: skipped"},
		{"one more", maxFaults + 1, maxFaults + 1, "and 1 more"},
		{"two more", maxFaults + 2, maxFaults + 1, "and 2 more"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			w := NewWriter(&out, nil)
			id := capture.ID{VM: 1, Number: 1}
			consumer := w.Begin(&capture.Connection{ID: id})
			for i := range row.faults {
				consumer.Fault(&capture.Fault{
					Kind: capture.FaultDuplicate, First: uint64(i), Header: capture.Header{Conn: id}, Place: capture.Place{Input: capture.Name("log")},
				})
			}
			e := capturetest.NewRecorder(1).Data(down, "x").Events[0]
			require.NoError(t, consumer.Event(&e, capture.Place{}))
			require.NoError(t, consumer.End(&capture.Verdict{}))
			require.NoError(t, w.Close())
			rows := read(t, out.Bytes())
			require.Len(t, rows, 2)
			require.Len(t, rows[0].Faults, row.want)
			require.Equal(t, row.last, rows[0].Faults[len(rows[0].Faults)-1])
			require.Empty(t, rows[1].Faults)
		})
	}
}

// TestRowGroups holds that what is in memory is bounded by bytes: of payload, of rows, and of faults.
func TestRowGroups(t *testing.T) {
	for _, row := range []struct {
		name    string
		rows    int
		payload int
		groups  []int64
	}{
		{"one short of a row group", groupBytes/(1<<20) - 1, 1<<20 - rowBytes, []int64{groupBytes/(1<<20) - 1}},
		{"a row group", groupBytes / (1 << 20), 1<<20 - rowBytes, []int64{groupBytes / (1 << 20)}},
		{"one more", groupBytes/(1<<20) + 1, 1<<20 - rowBytes, []int64{groupBytes / (1 << 20), 1}},
		{"rows without payload", groupBytes/rowBytes + 1, 0, []int64{groupBytes / rowBytes, 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			w := NewWriter(&out, nil)
			payload := strings.Repeat("0123456789abcdef", 1<<16)[:row.payload]
			consumer := w.Begin(&capture.Connection{ID: capture.ID{VM: 1, Number: 1}})
			r := capturetest.NewRecorder(1)
			for range row.rows {
				e := r.Data(down, payload).Events[0]
				r.Events = r.Events[:0]
				require.NoError(t, consumer.Event(&e, capture.Place{}))
			}
			require.NoError(t, w.Close())
			file, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
			require.NoError(t, err)
			var groups []int64
			for _, group := range file.RowGroups() {
				groups = append(groups, group.NumRows())
			}
			require.Equal(t, row.groups, groups)
		})
	}
}

var errDisk = errors.New("disk full")

// full fails after so many bytes.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

// TestFailures holds that an error is returned once, that nothing is written after it, and that the output is closed.
func TestFailures(t *testing.T) {
	errClose := errors.New("close failed")
	source := capturetest.NewRecorder(1).Open(client, server).Data(down, strings.Repeat("x", 100)).Close("proxy").Events
	large := capturetest.NewRecorder(1).Open(client, server)
	for range 3 {
		large.Data(down, strings.Repeat("0123456789abcdef", groupBytes/16))
	}
	for _, row := range []struct {
		name      string
		room      int
		events    capturetest.Events
		closes    error
		wantRead  error
		wantClose []error
	}{
		{"all is well", 1 << 20, source, nil, nil, nil},
		{"the directory fails", 100, source, nil, nil, []error{errDisk}},
		{"the output fails to close", 1 << 20, source, errClose, nil, []error{errClose}},
		{"both", 100, source, errClose, nil, []error{errDisk, errClose}},
		{"a row group fails", 0, large.Events, errClose, errDisk, []error{errClose}},
	} {
		t.Run(row.name, func(t *testing.T) {
			closed := 0
			w := NewWriter(&full{row.room}, func() error { closed++; return row.closes })
			_, err := capture.Read(t.Context(), w, capture.Options{}, row.events)
			require.ErrorIs(t, err, row.wantRead)
			err = w.Close()
			for _, want := range row.wantClose {
				require.ErrorIs(t, err, want)
			}
			if len(row.wantClose) == 0 {
				require.NoError(t, err)
			}
			if row.wantRead != nil {
				require.NotErrorIs(t, err, row.wantRead)
			}
			require.Equal(t, 1, closed)
		})
	}
}
