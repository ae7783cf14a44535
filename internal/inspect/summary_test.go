package inspect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/internal/inspect"
	"l4dump/record"
)

// reportOf returns what is in a log.
func reportOf(t testing.TB, log string, options inspect.Options, filter capture.Filter) *inspect.Report {
	if options.Top == 0 {
		options.Top = 10
	}
	summary := inspect.NewSummary(options)
	source := dumplog.NewSource(dumplog.Options{}, dumplog.Stream{Name: "log", Reader: strings.NewReader(log)})
	_, err := capture.Read(context.Background(), summary, capture.Options{Filter: filter, Reporter: summary}, source)
	require.NoError(t, err)
	return summary.Report(source.LayottoLines())
}

// whole is a recording of one connection, which is whole.
func whole() *recorder {
	return newRecorder(1, 8080, startTime+second).begin().data(down, "GET / HTTP/1.1\r\n\r\n").data(up, "HTTP/1.1 200 OK\r\n\r\n").close("downstream")
}

// TestReport holds the whole report on one connection, as JSON.
func TestReport(t *testing.T) {
	report := reportOf(t, whole().text(), inspect.Options{}, capture.Filter{})
	var text bytes.Buffer
	require.NoError(t, report.WriteJSON(&text))
	const name = "testdata/report.json"
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(name, text.Bytes(), 0o600))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String())
}

func TestStates(t *testing.T) {
	for _, row := range []struct {
		name  string
		log   string
		state string
		cause inspect.CauseCount
	}{
		{"whole", whole().text(), "whole", inspect.CauseCount{}},
		{"still open", newRecorder(1, 1, startTime).begin().data(down, "a").text(), "open", inspect.CauseCount{}},
		{"a lost record", whole().lose(2).text(), "prefix", inspect.CauseCount{Cause: "lost"}},
		{"no open record", whole().lose(0).text(), "broken", inspect.CauseCount{Cause: "no_open"}},
		{
			"dropped at the end", newRecorder(1, 1, startTime).begin().data(down, "a").drop(down, "budget", 7).close("proxy").text(),
			"prefix",
			inspect.CauseCount{Cause: "dropped", Reason: "budget"},
		},
		{
			"dropped within: the ledger knows why", gapped("cpu", 7).text(), "prefix", inspect.CauseCount{Cause: "dropped", Reason: "cpu"},
		},
		{
			"dropped before anything is certain", newRecorder(1, 1, startTime).begin().data(down, "a").drop(up, "queue", 7).close("proxy").text(),
			"broken",
			inspect.CauseCount{Cause: "dropped", Reason: "queue"},
		},
		{"contradiction", contradicting().text(), "broken", inspect.CauseCount{Cause: "ledger"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			report := reportOf(t, row.log, inspect.Options{}, capture.Filter{})
			for _, state := range report.States {
				if state.State != row.state {
					require.Zero(t, state.Connections, state.State)
					continue
				}
				require.Equal(t, uint64(1), state.Connections)
				var want []inspect.CauseCount
				if row.cause.Cause != "" {
					row.cause.Connections = 1
					want = []inspect.CauseCount{row.cause}
				}
				require.Equal(t, want, state.Causes)
			}
			require.Equal(t, row.state, report.Largest[0].State)
			require.Equal(t, row.cause.Cause != "", report.Largest[0].Why != "")
		})
	}
}

// gapped is a connection of which 7 bytes are missing within, and whose ledger counts some for a reason.
func gapped(reason string, counted uint64) *recorder {
	r := newRecorder(1, 1, startTime).begin().data(down, "a")
	r.offsets[down] += 7
	r.data(down, "b")
	r.offsets[down] -= 7
	return r.drop(down, reason, counted).close("upstream")
}

// contradicting is a connection whose ledger counts a byte that is not there.
func contradicting() *recorder {
	r := newRecorder(1, 1, startTime).begin().data(down, "a")
	r.offsets[down]++
	return r.close("upstream")
}

func TestDrops(t *testing.T) {
	log := newRecorder(1, 1, startTime).begin().data(down, "abc").drop(down, "budget", 5).drop(down, "cpu", 2).drop(up, "budget", 100).close("proxy").text() +
		newRecorder(2, 1, startTime).begin().data(down, "abc").drop(down, "direction", 1).drop(up, "of_the_future", 3).close("proxy").text()
	report := reportOf(t, log, inspect.Options{}, capture.Filter{})
	require.Equal(t, []inspect.DropCount{
		{Reason: "budget", Key: "capture.max_bytes_per_second, capture.max_lines_per_second", Connections: 1, Bytes: inspect.Bytes{Downstream: 5, Upstream: 100}},
		{Reason: "of_the_future", Connections: 1, Bytes: inspect.Bytes{Upstream: 3}},
		{Reason: "cpu", Key: "strategy.cpu_max_rate", Connections: 1, Bytes: inspect.Bytes{Downstream: 2}},
		{Reason: "direction", Connections: 1, Bytes: inspect.Bytes{Downstream: 1}},
	}, report.Drops)
	require.Equal(t, &inspect.Share{Part: 6, Whole: 117}, report.Sample.Bytes)
}

func TestProtocols(t *testing.T) {
	hello := "GET / HTTP/1.1\r\n"
	late := newRecorder(1, 1, startTime).begin()
	late.offsets[down] = 100
	for _, row := range []struct {
		name string
		r    *recorder
		want string
	}{
		{"one record", newRecorder(1, 1, startTime).begin().data(down, hello), "HTTP/1.1"},
		{"two records", newRecorder(1, 1, startTime).begin().data(down, hello[:9]).data(down, hello[9:]), "HTTP/1.1"},
		{"by the service", newRecorder(1, 1, startTime).begin().data(down, "what is this").data(up, "HTTP/1.0 200 OK\r\n"), "HTTP/1.0"},
		{"both", newRecorder(1, 1, startTime).begin().data(up, "\x4a\x00\x00\x00\x0a8.0.36\x00\x0b\x00\x00\x00abcdefgh\x00").
			data(down, "\x20\x00\x00\x01\x85\xae\xff\x19\x00\x00\x00\x01\xff"+strings.Repeat("\x00", 23)), "MySQL 8.0.36, encrypted"},
		{"unknown", newRecorder(1, 1, startTime).begin().data(down, "what is this").data(up, "unknown bytes"), "unknown"},
		{"no bytes", newRecorder(1, 1, startTime).begin(), "unknown: no bytes"},
		{"too few", newRecorder(1, 1, startTime).begin().data(down, hello[:7]), "unknown: too few bytes"},
		{"not from the first byte", late.data(down, hello), "unknown: first bytes missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			report := reportOf(t, row.r.close("proxy").text(), inspect.Options{}, capture.Filter{})
			require.Len(t, report.Protocols, 1)
			require.Equal(t, row.want, report.Protocols[0].Name)
		})
	}
}

func TestPeersAndNames(t *testing.T) {
	for _, row := range []struct {
		name string
		open record.Open
		peer string
		sni  []string
	}{
		{"identity", record.Open{Source: "10.0.0.1:1", Peer: "spiffe://a"}, "spiffe://a", nil},
		{"IPv4", record.Open{Source: "10.0.0.1:1"}, "10.0.0.1", nil},
		{"IPv6", record.Open{Source: "[fd00::1]:1"}, "fd00::1", nil},
		{"a pipe", record.Open{Source: "/run/socket"}, "/run/socket", nil},
		{"nothing", record.Open{}, "unknown", nil},
		{"server name", record.Open{SNI: "a.example"}, "unknown", []string{"a.example"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRecorder(1, 1, startTime)
			row.open.Unit = "connections"
			r.open = row.open
			report := reportOf(t, r.begin().close("proxy").text(), inspect.Options{}, capture.Filter{})
			require.Equal(t, row.peer, report.Peers[0].Name)
			var names []string
			for _, group := range report.Names {
				names = append(names, group.Name)
			}
			require.Equal(t, row.sni, names)
		})
	}
}

func TestSample(t *testing.T) {
	log := ""
	for i, at := range []int64{0, 4 * second, 60 * second, 240*second + 500_000_000} {
		log += newRecorder(uint64(i)*3+2, 1, startTime+at).begin().data(down, "a").wait(30*second).data(down, "b").close("proxy").text()
	}
	report := reportOf(t, log, inspect.Options{}, capture.Filter{})
	require.Equal(t, inspect.Sample{
		Bytes:       &inspect.Share{Part: 8, Whole: 8},
		Connections: &inspect.Share{Part: 4, Whole: 10}, // numbers 2 to 11
		Intervals:   []inspect.Interval{{Seconds: 60, Windows: inspect.Share{Part: 3, Whole: 5}, WithinSeconds: 4}},
	}, report.Sample)
	require.Len(t, report.Windows, 3)
	require.Equal(t, inspect.Window{
		ID: "01a20600-b780-803c-ac34-64756d700000", Start: "2026-11-23T01:24:00.000000000Z", Interval: 60, Connections: 2, Bytes: inspect.Bytes{Downstream: 4},
	}, report.Windows[0])

	part := reportOf(t, log, inspect.Options{Part: true}, capture.Filter{Ports: []uint16{1}})
	require.Equal(t, inspect.Sample{Bytes: &inspect.Share{Part: 8, Whole: 8}}, part.Sample)
}

// TestSampleOfBytes has bytes that pass in windows, rather than whole connections.
func TestSampleOfBytes(t *testing.T) {
	r := newRecorder(1, 1, startTime)
	r.open.Unit = "bytes"
	r.begin().wait(3*second).data(down, "a")
	report := reportOf(t, r.text(), inspect.Options{}, capture.Filter{})
	require.InDelta(t, 3.001, report.Sample.Intervals[0].WithinSeconds, 1e-9)
}

// TestCapture holds that nothing is said of a recorder, if there was none.
func TestCapture(t *testing.T) {
	summary := inspect.NewSummary(inspect.Options{Top: 1})
	source := events{
		{Kind: capture.KindOpen, Header: capture.Header{Conn: capture.ID{VM: 1, Number: 7}}, Open: &capture.Open{Source: "10.0.0.7:1"}},
		{Kind: capture.KindData, Header: capture.Header{Conn: capture.ID{VM: 1, Number: 7}, Seq: 1}, Payload: []byte("AMQP\x00\x00\x09\x01")},
		{Kind: capture.KindClose, Header: capture.Header{Conn: capture.ID{VM: 1, Number: 7}, Seq: 2}, Close: &capture.Close{By: "unknown"}},
	}
	_, err := capture.Read(t.Context(), summary, capture.Options{Reporter: summary}, source)
	require.NoError(t, err)
	report := summary.Report(0)
	require.Equal(t, inspect.Sample{}, report.Sample)
	require.Empty(t, report.Windows)
	require.Equal(t, uint64(1), report.Ledgerless)
	require.Equal(t, "amqp", report.Largest[0].Protocol)
}

// events is a capture.Source.
type events []capture.Event

func (e events) Read(_ context.Context, a *capture.Assembler) error {
	for i := range e {
		if err := a.Add(&e[i], capture.Fingerprint{Length: 1}, capture.Place{}, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

func TestTop(t *testing.T) {
	log := ""
	for i, length := range []int{3, 9, 1, 9, 5} {
		log += newRecorder(uint64(i), 1, startTime).begin().data(down, strings.Repeat("a", length)).wait(int64(length)).close("proxy").text()
	}
	for _, row := range []struct {
		top  int
		want []string
	}{
		{1, []string{"1"}},
		{2, []string{"1", "3"}},
		{3, []string{"1", "3", "4"}},
		{9, []string{"1", "3", "4", "0", "2"}},
	} {
		report := reportOf(t, log, inspect.Options{Top: row.top}, capture.Filter{})
		for _, ranking := range [][]inspect.Connection{report.Largest, report.Longest} {
			var got []string
			for _, c := range ranking {
				got = append(got, strings.TrimPrefix(c.ID, "9f0c6a1be3d2a417-"))
			}
			require.Equal(t, row.want, got)
		}
	}
}

// TestSums holds that the parts of a report add up.
func TestSums(t *testing.T) {
	report := reportOf(t, mixed(500), inspect.Options{}, capture.Filter{})
	require.Equal(t, uint64(500), report.Connections)
	for name, groups := range map[string][]inspect.Group{"protocols": report.Protocols, "ports": report.Ports, "peers": report.Peers} {
		var sum inspect.Group
		for _, g := range groups {
			sum.Connections += g.Connections
			sum.Whole += g.Whole
			sum.Bytes.Downstream += g.Bytes.Downstream
			sum.Bytes.Upstream += g.Bytes.Upstream
		}
		require.Equal(t, inspect.Group{Connections: 500, Whole: report.States[0].Connections, Bytes: report.Bytes}, sum, name)
	}
	var states, windows, steps inspect.Step
	for _, s := range report.States {
		states.Connections += s.Connections
		states.Downstream += s.Bytes.Downstream
		states.Upstream += s.Bytes.Upstream
	}
	for _, w := range report.Windows {
		windows.Connections += w.Connections
		windows.Downstream += w.Bytes.Downstream
		windows.Upstream += w.Bytes.Upstream
	}
	for _, s := range report.Series.Steps {
		steps.Connections += s.Connections
		steps.Downstream += s.Downstream
		steps.Upstream += s.Upstream
	}
	want := inspect.Step{Downstream: report.Bytes.Downstream, Upstream: report.Bytes.Upstream, Connections: 500}
	require.Equal(t, []inspect.Step{want, want, want}, []inspect.Step{states, windows, steps})
}

// TestWrite holds that what came from the network moves no terminal, and that lines fit it.
func TestWrite(t *testing.T) {
	r := newRecorder(1, 1, startTime)
	r.open.Peer, r.open.SNI, r.open.Source = "spiffe://\x1b[31m\u009b0m/"+strings.Repeat("x", 200), "a\x7f\n\u202eb.example", "\r10.0.0.7:1"
	log := mixed(200) + r.begin().data(down, "a").drop(down, "budget", 3).close("proxy").text() +
		strings.Replace(whole().lines[0], "sum=", "sum=00", 1)
	report := reportOf(t, log, inspect.Options{}, capture.Filter{})
	require.NotEmpty(t, report.Faults)

	var text bytes.Buffer
	require.NoError(t, report.WriteJSON(&text))
	for _, c := range text.String() {
		require.True(t, c == '\n' || ' ' <= c && c < 0x7f, "%q", c)
	}
	var read inspect.Report
	require.NoError(t, json.Unmarshal(text.Bytes(), &read))
	require.Equal(t, report.Peers, read.Peers)

	for _, width := range []int{0, 60, 72, 80, 100, 132, 200} {
		text.Reset()
		require.NoError(t, report.WriteText(&text, inspect.Text{Width: width, Top: 5}))
		for line := range strings.Lines(text.String()) {
			if width > 0 {
				require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), width, line)
			}
			for _, c := range line {
				require.True(t, c == '\n' || ' ' <= c && c < 0x7f || strings.ContainsRune("µ…▁▂▃▄▅▆▇█", c), "%q in %s", c, line)
			}
		}
	}
}

// TestText holds the tables for a person, of which one looks.
func TestText(t *testing.T) {
	report := reportOf(t, mixed(300), inspect.Options{Top: 3}, capture.Filter{})
	for _, row := range []struct {
		name    string
		options inspect.Text
	}{
		{"text-80.txt", inspect.Text{Width: 80, Top: 3}},
		{"text-color.txt", inspect.Text{Width: 120, Color: true, Top: 3}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var text bytes.Buffer
			require.NoError(t, report.WriteText(&text, row.options))
			name := filepath.Join("testdata", row.name)
			if os.Getenv("UPDATE") != "" {
				require.NoError(t, os.WriteFile(name, text.Bytes(), 0o600))
			}
			want, err := os.ReadFile(name)
			require.NoError(t, err)
			require.Equal(t, string(want), text.String())
		})
	}
}

func TestWriteFails(t *testing.T) {
	report := reportOf(t, whole().text(), inspect.Options{}, capture.Filter{})
	require.ErrorIs(t, report.WriteJSON(full{}), errFull)
	require.ErrorIs(t, report.WriteText(full{}, inspect.Text{}), errFull)
}

// full is a disk that is.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestAnyInput holds that no damage ends in a panic, and that what is counted is what is there.
func TestAnyInput(t *testing.T) {
	log := []byte(mixed(60))
	random := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		damaged := bytes.Clone(log)
		for range 1 + random.IntN(200) {
			at := random.IntN(len(damaged))
			switch random.IntN(3) {
			case 0:
				damaged[at] ^= byte(1 + random.IntN(255))
			case 1:
				damaged = append(damaged[:at], damaged[min(len(damaged), at+random.IntN(3000)):]...)
			default:
				n := min(len(damaged), at+random.IntN(3000))
				damaged = append(damaged[:n:n], damaged[at:]...)
			}
		}
		report := reportOf(t, string(damaged), inspect.Options{Top: 3}, capture.Filter{})
		require.NoError(t, report.WriteText(&bytes.Buffer{}, inspect.Text{Width: 80, Top: 3}))
		require.LessOrEqual(t, report.Connections, uint64(61))
	}
}
