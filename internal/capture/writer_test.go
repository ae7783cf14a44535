package capture

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden holds got against testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// goldenDump has all kinds of records with all their fields and without those that may be absent, a loss, a drop, and
// text that a terminal would obey.
func goldenDump() []string {
	r := newRecorder(connB)
	hostile := string(record.AppendOpen(nil, &r.header, &record.Open{
		Unit: "bytes", Started: -1, SNI: "a\x1b]0;title\a\u009b31m\u202e\xff\"\\", Peer: "spiffe://\u4e16\U0001F600",
	}))
	r.step()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	r.offsets[1] = 0xfffffff8
	log := append(conversation(connA), hostile, r.data(record.Upstream, string(all)), r.data(record.Upstream, "x"))
	r.data(record.Downstream, "lost")
	return append(log, r.closeWith(
		record.Ledger{Seen: 24, Kept: 4, Dropped: []record.Drop{{Reason: "budget", Bytes: 15}, {Reason: "window_closed", Bytes: 5}}},
		record.Ledger{Seen: 0xfffffff8 + 257, Kept: 257, Dropped: []record.Drop{{Reason: "budget", Bytes: 0xfffffff8}}},
	))
}

// goldenMarks are "HTTP" and what crosses the borders of rows, and of records.
var goldenMarks = map[ID]*Marks{
	connA: {{{6, 10}}, {{0, 4}, {17, 21}}},
	connB: {nil, {{0xfffffff8 + 15, 0xfffffff8 + 17}, {0xfffffff8 + 20, 0xfffffff8 + 24}, {0xfffffff8 + 255, 0xfffffff8 + 257}}},
}

func TestGolden(t *testing.T) {
	for _, row := range []struct {
		name   string
		writer func(w *bytes.Buffer) Writer
	}{
		{"dump.txt", func(w *bytes.Buffer) Writer { return NewTextWriter(w, false) }},
		{"dump.color.txt", func(w *bytes.Buffer) Writer { return NewTextWriter(w, true) }},
		{"dump.json", func(w *bytes.Buffer) Writer { return NewJSONWriter(w) }},
		{"dump.marked.txt", func(w *bytes.Buffer) Writer {
			text := NewTextWriter(w, true)
			text.Mark(goldenMarks)
			return text
		}},
		{"conversation.txt", func(w *bytes.Buffer) Writer {
			text := NewConversationWriter(w, false)
			text.Mark(goldenMarks)
			return text
		}},
		{"conversation.color.txt", func(w *bytes.Buffer) Writer {
			text := NewConversationWriter(w, true)
			text.Mark(goldenMarks)
			return text
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			w := row.writer(&out)
			a := NewAssembler(&checking{t: t, sinks: []Sink{w}}, Options{})
			require.NoError(t, recordLines(goldenDump()).Read(t.Context(), a))
			if text, ok := w.(*TextWriter); ok {
				require.NoError(t, text.WriteLayotto(windowA, 8080, []byte("\x1b[31m")))
			}
			require.NoError(t, a.Finish()) // the last record waits for the lost one
			require.NoError(t, w.Close())
			golden(t, row.name, out.Bytes())
		})
	}
	t.Run("faults", func(t *testing.T) {
		got, _ := assemble(t, Options{}, goldenDump())
		golden(t, "dump.faults.txt", []byte(strings.Join(got.faults, "\n")+"\n"))
	})
}

// TestFaultTexts has every kind of fault, and none beyond.
func TestFaultTexts(t *testing.T) {
	place := Place{Input: Name("a\x1b[31m b")}
	for k := FaultLost; k <= FaultFiltered; k++ {
		f := Fault{Kind: k, Place: place, Header: Header{Conn: connA}, First: 1, Last: 2, Bytes: 3, Err: ErrLedgerSums}
		require.NotContains(t, f.String(), fmt.Sprintf("fault %d", k))
		require.NotContains(t, f.String(), "\x1b")
		require.Contains(t, f.String(), connA.String())
	}
	require.Contains(t, Fault{Kind: FaultFiltered + 1}.String(), "fault 18")
}

// jsonRecord is what a JSON line holds, for encoding/json.
type jsonRecord struct {
	Kind       string      `json:"kind"`
	Window     string      `json:"window"`
	Port       uint16      `json:"port"`
	Conn       string      `json:"conn"`
	Seq        uint64      `json:"seq"`
	Direction  string      `json:"direction,omitempty"`
	Offset     *uint64     `json:"offset,omitempty"`
	Time       time.Time   `json:"time"`
	Length     *int        `json:"length,omitempty"`
	Data       *[]byte     `json:"data,omitempty"`
	Unit       string      `json:"unit,omitempty"`
	Started    *time.Time  `json:"started,omitempty"`
	ProxyConn  *uint64     `json:"proxy_conn,omitempty"`
	Source     string      `json:"source,omitempty"`
	Dest       string      `json:"destination,omitempty"`
	SNI        string      `json:"sni,omitempty"`
	Peer       string      `json:"peer,omitempty"`
	Next       string      `json:"next,omitempty"`
	MTLS       *bool       `json:"mtls,omitempty"`
	By         string      `json:"by,omitempty"`
	Downstream *jsonLedger `json:"downstream,omitempty"`
	Upstream   *jsonLedger `json:"upstream,omitempty"`
}

type jsonLedger struct {
	Seen    uint64            `json:"seen"`
	Kept    uint64            `json:"kept"`
	Dropped map[string]uint64 `json:"dropped"`
}

// TestJSONAgainstStandardLibrary reads what is written with encoding/json.
func TestJSONAgainstStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		number := rapid.Uint64()
		r := Event{
			Kind: record.Kind(rapid.IntRange(0, 3).Draw(t, "kind")),
			Header: record.Header{
				Window: windowB, Port: rapid.Uint16().Draw(t, "port"), Conn: connA,
				Seq: number.Draw(t, "seq"), Time: rapid.Int64().Draw(t, "time"),
			},
		}
		want := jsonRecord{
			Kind: r.Kind.String(), Window: windowB.String(), Port: r.Port, Conn: connA.String(), Seq: r.Seq,
			Time: time.Unix(0, r.Time).UTC(),
		}
		position := func() {
			r.Direction = record.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
			r.Offset = number.Draw(t, "offset")
			want.Direction, want.Offset = r.Direction.String(), &r.Offset
		}
		ledger := func() (record.Ledger, *jsonLedger) {
			l := record.Ledger{Seen: number.Draw(t, "seen"), Kept: number.Draw(t, "kept")}
			j := &jsonLedger{Seen: l.Seen, Kept: l.Kept, Dropped: map[string]uint64{}}
			for _, reason := range []string{"budget", "window_closed"}[:rapid.IntRange(0, 2).Draw(t, "reasons")] {
				n := number.Draw(t, reason)
				l.Dropped = append(l.Dropped, record.Drop{Reason: reason, Bytes: n})
				j.Dropped[reason] = n
			}
			return l, j
		}
		switch r.Kind {
		case record.KindOpen:
			r.Open = &record.Open{
				Unit: "bytes", Started: rapid.Int64().Draw(t, "started"), ProxyConn: number.Draw(t, "proxy_conn"),
				HasProxyConn: rapid.Bool().Draw(t, "has proxy_conn"), Next: text.Draw(t, "next"),
				Source: text.Draw(t, "source"), Destination: text.Draw(t, "destination"), SNI: text.Draw(t, "sni"),
				Peer: text.Draw(t, "peer"), MTLS: rapid.Bool().Draw(t, "mtls"),
			}
			started := time.Unix(0, r.Open.Started).UTC()
			want.Unit, want.Started, want.MTLS = "bytes", &started, &r.Open.MTLS
			if r.Open.HasProxyConn {
				want.ProxyConn = &r.Open.ProxyConn
			}
			for _, field := range []struct {
				to   *string
				from string
			}{{&want.Source, r.Open.Source}, {&want.Dest, r.Open.Destination}, {&want.SNI, r.Open.SNI}, {&want.Peer, r.Open.Peer}, {&want.Next, r.Open.Next}} {
				encoded, err := json.Marshal(field.from)
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(encoded, field.to))
			}
		case record.KindData:
			position()
			r.Payload = append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "payload")...)
			length := len(r.Payload)
			want.Length, want.Data = &length, &r.Payload
		case record.KindEnd:
			position()
		case record.KindClose:
			r.Close = &Close{By: "proxy", HasLedger: rapid.Bool().Draw(t, "has ledger")}
			want.By = "proxy"
			if r.Close.HasLedger {
				r.Close.Ledger[0], want.Downstream = ledger()
				r.Close.Ledger[1], want.Upstream = ledger()
			}
		}

		line := appendJSON([]byte("before"), &r)
		require.Equal(t, "before", string(line[:6]))
		require.NotRegexp(t, `[^ -~]`, string(line[6:len(line)-1]))
		decoder := json.NewDecoder(bytes.NewReader(line[6:]))
		decoder.DisallowUnknownFields()
		var got jsonRecord
		require.NoError(t, decoder.Decode(&got))
		require.Equal(t, want, got)
	})
}

// TestTextIsHarmless writes every byte wherever the network puts it.
func TestTextIsHarmless(t *testing.T) {
	var all strings.Builder
	for i := range 256 {
		all.WriteByte(byte(i))
	}
	all.WriteString("\u009b\u202e\u2028")
	text := all.String()
	var out bytes.Buffer
	w := NewTextWriter(&out, false)
	h := record.Header{Conn: connA}
	drops := record.Ledger{Dropped: []record.Drop{{Reason: text}}}
	for _, e := range []Event{
		{Header: h, Kind: record.KindOpen, Open: &record.Open{Unit: text, Source: text, Destination: text, SNI: text, Peer: text}},
		{Header: h, Kind: record.KindData, Payload: []byte(text)},
		{Header: h, Kind: record.KindClose, Close: &Close{By: text, Ledger: [2]Ledger{drops, drops}, HasLedger: true}},
	} {
		require.NoError(t, w.Event(&e, Place{}))
	}
	require.NoError(t, w.WriteLayotto(windowA, 1, []byte(text)))
	require.NoError(t, w.Close())
	require.NotRegexp(t, `[^\n -~]`, out.String())
	require.Greater(t, out.Len(), 2000)
}

func TestAppendText(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"plain", "10.0.0.1:80!~", "10.0.0.1:80!~"},
		{"space", "a b", `"a b"`},
		{"last control character", "a\x1f", `"a\x1f"`},
		{"delete", "a\x7f", `"a\x7f"`},
		{"quote", `a"`, `"a\""`},
		{"backslash", `a\`, `"a\\"`},
		{"not ASCII", "\u00e9", `"\u00e9"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, string(appendText(nil, row.text)))
		})
	}
}

func TestAppendJSONString(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"plain", " 10.0.0.1:80!~", `" 10.0.0.1:80!~"`},
		{"last control character", "\x1f", `"\u001f"`},
		{"delete", "\x7f", `"\u007f"`},
		{"quote and backslash", `"\`, `"\"\\"`},
		{"last of 16 bits", "\uffff", `"\uffff"`},
		{"first beyond", "\U00010000", `"\ud800\udc00"`},
		{"not UTF-8", "\xff", `"\ufffd"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, string(appendJSONString(nil, row.text)))
		})
	}
}

func TestAppendOffset(t *testing.T) {
	for _, offset := range []uint64{0, 1, 15, 16, 0xfffffff, 0x10000000, 0xffffffff, 0x100000000, math.MaxUint64} {
		require.Equal(t, fmt.Sprintf("%08x", offset), string(appendOffset(nil, offset)))
	}
}

func TestOutputFails(t *testing.T) {
	for _, w := range []Writer{NewTextWriter(failingWriter{}, false), NewJSONWriter(failingWriter{})} {
		consumer := w.Begin(&Connection{})
		require.EqualError(t, consumer.Event(&Event{Kind: KindData, Payload: make([]byte, outputBytes)}, Place{}), "write records: disk full")
		require.NoError(t, w.Close())
		require.NoError(t, consumer.Event(&Event{Kind: KindData}, Place{}))
		require.EqualError(t, w.Close(), "write records: disk full")
	}
}
