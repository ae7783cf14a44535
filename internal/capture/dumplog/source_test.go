package dumplog_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/record"
)

// wantConversation is what conversation(connA) decodes to.
var wantConversation = struct {
	records []string
	streams map[stream]string
	stats   capture.Stats
}{
	records: []string{
		"9f0c6a1be3d2a417-2a #0 open", "9f0c6a1be3d2a417-2a #1 data", "9f0c6a1be3d2a417-2a #2 end",
		"9f0c6a1be3d2a417-2a #3 data", "9f0c6a1be3d2a417-2a #4 end", "9f0c6a1be3d2a417-2a #5 close",
	},
	streams: map[stream]string{
		{connA, record.Downstream}: "GET / HTTP/1.0\r\n\r\n",
		{connA, record.Upstream}:   "HTTP/1.0 200 OK\r\n\r\n\x00\x1b[31mred",
	},
	stats: capture.Stats{Records: 6, Connections: 1, Bytes: [2]uint64{18, 28}},
}

func criLine(stream, tag, text string) string { return criTime + " " + stream + " " + tag + " " + text }

func dockerLine(stream, text string) string {
	return `{"log":` + strconv.Quote(text) + `,"stream":"` + stream + `","time":"` + criTime + `"}`
}

// TestLogShapes reads the same records out of every shape of log line.
func TestLogShapes(t *testing.T) {
	istio := func(line string) string { return istioPrefix + line + istioSuffix }
	istioJSON := func(line string) string {
		return `{"level":"info","time":"2026-11-23T01:23:51.887000Z","scope":"envoy wasm",` +
			`"msg":"wasm log l4dump l4dump l4dump-v1: ` + line + `","thread":"24351"}`
	}
	for _, row := range []struct {
		name  string
		shape func(line string) string
	}{
		{"record alone", func(line string) string { return line }},
		{"Envoy", func(line string) string { return envoyPrefix + line }},
		{"Envoy with CRLF", func(line string) string { return envoyPrefix + line + "\r" }},
		{"Istio", istio},
		{"Istio JSON", istioJSON},
		{"CRI", func(line string) string { return criLine("stderr", "F", istio(line)) }},
		{"CRI with time zone and further tags", func(line string) string {
			return "2026-11-23T02:23:51.887123456+01:00 stdout F:x:y " + line
		}},
		{"CRI around JSON", func(line string) string { return criLine("stdout", "F", istioJSON(line)) }},
		{"CRI in parts", func(line string) string {
			line = istio(line)
			return criLine("stderr", "P", line[:100]) + "\n" + criLine("stderr", "P", line[100:200]) + "\n" +
				criLine("stderr", "F", line[200:])
		}},
		{"CRI whose last part is empty", func(line string) string {
			return criLine("stderr", "P", line) + "\n" + criTime + " stderr F"
		}},
		{"Docker", func(line string) string { return dockerLine("stderr", istio(line)+"\n") }},
		{"Docker around JSON", func(line string) string { return dockerLine("stdout", istioJSON(line)+"\n") }},
		{"Docker in parts", func(line string) string {
			line = istio(line)
			return dockerLine("stderr", line[:150]) + "\n" + dockerLine("stderr", line[150:]+"\n")
		}},
		{"JSON that resembles Docker's", func(line string) string { return `{"log":"` + line + `","level":"info"}` }},
		{"between lines without records", func(line string) string {
			return envoyPrefix + "started\n\n" + line + "\n2026-11-23 neither"
		}},
		{"two on one line", func(line string) string { return line }},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log []string
			for _, line := range conversation(connA) {
				log = append(log, row.shape(line))
			}
			input := logOf(log)
			if row.name == "two on one line" {
				input = strings.Join(log, " ")
			}
			got, stats := decode(t, capture.Options{}, input)
			require.Empty(t, got.faults)
			require.Equal(t, wantConversation.records, got.records)
			require.Equal(t, wantConversation.streams, got.streams)
			require.Equal(t, wantConversation.stats, stats)
		})
	}
}

func TestDamage(t *testing.T) {
	lines := conversation(connA)
	data := lines[1]
	for _, row := range []struct {
		name string
		line string
		want string
	}{
		{"payload changed", strings.Replace(data, "data=47", "data=48", 1), "log:2:1: damaged: record does not match its checksum"},
		{"not hex", strings.Replace(data, "data=47", "data=4G", 1), "log:2:1: damaged: record is malformed"},
		{"cut in the data", data[:len(data)-20], "log:2:1: damaged: record is cut short"},
		{"window cut off", data[10:], "log:2:34: damaged: record does not begin with its window and port"},
		{"part without its end", criLine("stderr", "P", data[:len(data)-1]), "log:2:41: damaged: record is cut short"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, stats := decode(t, capture.Options{}, logOf([]string{lines[0], row.line, lines[2], lines[3], lines[4], lines[5]}))
			const conn = ": connection 9f0c6a1be3d2a417-2a: "
			want := []string{
				row.want,
				"log:3:1" + conn + "record 1 is missing",
				"log:3:1" + conn + "bytes 0-17 of downstream are missing with the lost records",
				"log:6:1" + conn + "the lost records held 18 bytes of downstream",
			}
			require.Equal(t, want, got.faults)
			require.Equal(t, capture.Stats{Records: 5, Connections: 1, Bytes: [2]uint64{0, 28}, Faults: 4}, stats)
		})
	}

	t.Run("another record on the damaged line", func(t *testing.T) {
		got, _ := decode(t, capture.Options{}, logOf([]string{lines[0], data[:50] + data, lines[2], lines[3], lines[4], lines[5]}))
		require.Equal(t, []string{"log:2:1: damaged: record is cut short"}, got.faults)
		require.Equal(t, wantConversation.records, got.records)
	})
	t.Run("a number that no recorder reaches", func(t *testing.T) {
		offset := newRecorder(connB)
		offset.offsets[0] = 1<<63 - 1
		const ofB = "log:7:1: connection 9f0c6a1be3d2a417-2b: record 0 has a number that no recorder reaches: skipped"
		got, _ := decode(t, capture.Options{}, logOf(append(conversation(connA), offset.data(record.Downstream, "x"))))
		require.Equal(t, []string{ofB}, got.faults)
		require.Empty(t, got.own, "no consumer is asked for")

		seq := newRecorder(connB)
		seq.header.Seq = 1<<64 - 1
		got, _ = decode(t, capture.Options{}, logOf(append(conversation(connA), seq.data(record.Downstream, "x"))))
		require.Equal(t, []string{ofB[:len(ofB)-len("0 has a number that no recorder reaches: skipped")] +
			"18446744073709551615 has a number that no recorder reaches: skipped"}, got.faults)
	})
	t.Run("a number that a recorder could reach", func(t *testing.T) {
		r := newRecorder(connB)
		r.offsets[0] = 1<<63 - 2
		got, _ := decode(t, capture.Options{LossTimeout: 1}, r.open()+r.data(record.Downstream, "x")+"\n"+logOf(conversation(connA)))
		require.Equal(t, []string{"bytes 0-9223372036854775805 of downstream are not recorded: dropped by the recorder"}, texts(got.faults))
		require.Equal(t, got.faults, got.own)
		require.Len(t, got.records, 8)
	})
}

func TestOtherLines(t *testing.T) {
	var other strings.Builder
	lines := conversation(connA)
	input := "first\n" + logOf(lines[:3]) + "\nbetween\r\n" + logOf(lines[3:]) + criLine("stderr", "F", "inner") + "\nlast"
	var c collector
	source := dumplog.NewSource(dumplog.Options{Other: &other}, streamOf(strings.NewReader(input)))
	_, err := c.read(t.Context(), source, capture.Options{})
	require.NoError(t, err)
	require.Empty(t, c.faults)
	require.Equal(t, "first\n\nbetween\r\n"+criLine("stderr", "F", "inner")+"\nlast\n", other.String())

	t.Run("that cannot be written", func(t *testing.T) {
		source := dumplog.NewSource(dumplog.Options{Other: failingWriter{}}, streamOf(strings.NewReader("x\n")))
		_, err := new(collector).read(t.Context(), source, capture.Options{})
		require.EqualError(t, err, "write a line without a record: disk full")
	})
}

var errDisk = errors.New("disk full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errDisk }

func TestLayottoLines(t *testing.T) {
	const id = "01a20600-4250-801e-ac34-64756d700000"
	for _, row := range []struct {
		name string
		line string
		want []string
	}{
		{"alone", "[" + id + "][8080]68 65 6c", []string{`log:1:1 ` + id + ` 8080 "hel"`}},
		{"one byte", "[" + id + "][80]0a", []string{`log:1:1 ` + id + ` 80 "\n"`}},
		{"in Envoy's log", envoyPrefix + "[" + id + "][8080]68 65", []string{`log:1:128 ` + id + ` 8080 "he"`}},
		{"in Envoy's log with CRLF", envoyPrefix + "[" + id + "][8080]68 65\r", []string{`log:1:128 ` + id + ` 8080 "he"`}},
		{"in Istio's log", istioPrefix + "[" + id + "][8080]68 65" + istioSuffix, []string{`log:1:140 ` + id + ` 8080 "he"`}},
		{"in JSON", `{"msg":"[` + id + `][8080]68 65","thread":"1"}`, []string{`log:1:9 ` + id + ` 8080 "he"`}},
		{"in Docker's log", dockerLine("stderr", "["+id+"][8080]68 65\n"), []string{`log:1:9 ` + id + ` 8080 "he"`}},
		{"in Istio's log in Docker's", dockerLine("stderr", "["+id+"][8080]68 65"+istioSuffix+"\n"), []string{`log:1:9 ` + id + ` 8080 "he"`}},
		{"in JSON in Docker's log", dockerLine("stderr", `{"msg":"[`+id+`][8080]68 65"}`+"\n"), []string{`log:1:20 ` + id + ` 8080 "he"`}},
		{"another text", "id=[" + id + "][8080] upstream reset", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, _ := decode(t, capture.Options{}, row.line+"\n")
			require.Empty(t, got.faults)
			require.Equal(t, row.want, got.layotto)
			require.Equal(t, uint64(len(row.want)), got.layottoLines)
		})
	}
	t.Run("filtered", func(t *testing.T) {
		line := "[" + id + "][8080]68\n"
		got, _ := decode(t, capture.Options{Filter: capture.Filter{Ports: []uint16{8081}}}, line)
		require.Empty(t, got.layotto)
		got, _ = decode(t, capture.Options{Filter: capture.Filter{Windows: []record.UUID{windowA}}}, line)
		require.Len(t, got.layotto, 1)
	})
}

// TestLiveInput holds that records show at once, and that a missing one does not stop those after it for long.
func TestLiveInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := conversation(connA)
		var c collector
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := c.read(t.Context(), dumplog.NewSource(dumplog.Options{}, streamOf(r)), capture.Options{LossTimeout: 2 * time.Second})
			done <- err
		}()
		write := func(text string) {
			_, err := io.WriteString(w, text)
			require.NoError(t, err)
			synctest.Wait()
		}
		seen := func(records, faults int) {
			t.Helper()
			got := c.seen()
			require.Equal(t, []int{records, faults}, got[:2])
		}

		synctest.Wait()
		require.Equal(t, [3]int{0, 0, 1}, c.seen())
		write(lines[0] + "\n")
		require.Equal(t, [3]int{1, 0, 1}, c.seen(), "more may come at once")
		time.Sleep(50*time.Millisecond - time.Nanosecond)
		synctest.Wait()
		require.Equal(t, [3]int{1, 0, 1}, c.seen())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, [3]int{1, 0, 2}, c.seen(), "flushed, as there is no more")

		write(lines[1][:30])
		seen(1, 0)
		write(lines[1][30:] + "\n")
		seen(2, 0)

		write(lines[3] + "\n") // lines[2] is late
		seen(2, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		flushes := c.seen()[2]
		write(lines[2] + "\n")
		require.Equal(t, [3]int{4, 0, flushes + 1}, c.seen(), "flushed at once after a pause")

		write(lines[5] + "\n") // lines[4] is lost
		time.Sleep(2*time.Second - time.Nanosecond)
		synctest.Wait()
		seen(4, 0)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		seen(5, 1)

		write(lines[4] + "\n" + conversation(connB)[0] + "\n")
		require.NoError(t, w.Close())
		require.NoError(t, <-done)
		require.Equal(t, []string{
			"log:5:1: connection 9f0c6a1be3d2a417-2a: record 4 is missing",
			"log:6:1: connection 9f0c6a1be3d2a417-2a: record 4 comes after it was declared missing: skipped",
		}, c.faults, "a live input leaves connections open")
	})
}

// TestBusyLiveInput holds that an input without a pause does not keep what waits from being given up.
func TestBusyLiveInput(t *testing.T) {
	lines := conversation(connA)
	now := time.Unix(0, startTime)
	var c collector
	source := dumplog.NewSource(dumplog.Options{Now: func() time.Time { return now }})
	a := capture.NewAssembler(&c, capture.Options{LossTimeout: 2 * time.Second, Reporter: reports{&c}})
	for _, row := range []struct {
		after   time.Duration
		text    string
		records int
	}{
		{0, lines[0] + "\n" + lines[2] + "\n", 1},
		{time.Second, lines[4] + "\n", 1},
		{2*time.Second - 1, "busy\n", 1},
		{2 * time.Second, "busy\n", 2}, // without lines[1]; it waits anew for lines[3]
		{4*time.Second - 1, "busy\n", 2},
		{4 * time.Second, "busy\n", 3},
	} {
		now = time.Unix(0, startTime).Add(row.after)
		require.NoError(t, source.Decode(a, []byte(row.text)))
		require.Len(t, c.records, row.records, "after %s", row.after)
	}
}

// TestWaitOfAReleasedConnection holds that a wait begins anew with each record that is missing.
func TestWaitOfAReleasedConnection(t *testing.T) {
	lines := conversation(connA)
	now := time.Unix(0, startTime)
	var c collector
	source := dumplog.NewSource(dumplog.Options{Now: func() time.Time { return now }})
	a := capture.NewAssembler(&c, capture.Options{LossTimeout: 2 * time.Second, Reporter: reports{&c}})
	require.NoError(t, source.Decode(a, []byte(logOf([]string{lines[0], lines[2], lines[4]}))))
	now = now.Add(time.Second)
	require.NoError(t, source.Decode(a, []byte(lines[1]+"\n")))
	require.Len(t, c.records, 3)
	now = now.Add(2*time.Second - 1)
	require.NoError(t, source.Decode(a, []byte("busy\n")))
	require.Len(t, c.records, 3)
	now = now.Add(1)
	require.NoError(t, source.Decode(a, []byte("busy\n")))
	require.Len(t, c.records, 4)
}

func TestRunEnds(t *testing.T) {
	t.Run("when it is canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := new(collector).read(ctx, dumplog.NewSource(dumplog.Options{}, streamOf(r)), capture.Options{})
			done <- err
		}()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.NoError(t, w.Close())
	})
	t.Run("when the input fails", func(t *testing.T) {
		r, w := io.Pipe()
		w.CloseWithError(errDisk)
		_, err := new(collector).read(t.Context(), dumplog.NewSource(dumplog.Options{}, streamOf(r)), capture.Options{})
		require.EqualError(t, err, "read log: disk full")
	})
	t.Run("when the consumer fails", func(t *testing.T) {
		input := streamOf(strings.NewReader(logOf(conversation(connA))))
		c := collector{fail: errDisk}
		_, err := c.read(t.Context(), dumplog.NewSource(dumplog.Options{}, input), capture.Options{})
		require.Equal(t, errDisk, err)
	})
}

// TestAllocations holds decoding to no allocation for each line, and counts what was written, so that doing nothing
// fails.
func TestAllocations(t *testing.T) {
	dump := string(benchmarkDump(t))
	for _, row := range []struct {
		name   string
		writer func(w *counter) capture.Writer
		least  int // bytes that are written
	}{
		{"json", func(w *counter) capture.Writer { return capture.NewJSONWriter(w) }, len(dump) / 2},
		{"text", func(w *counter) capture.Writer { return capture.NewTextWriter(w, true) }, len(dump) * 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := new(counter)
			var faults failures
			sink := row.writer(w)
			allocations := testing.AllocsPerRun(1, func() {
				w.n = 0
				source := dumplog.NewSource(dumplog.Options{}, streamOf(strings.NewReader(dump)))
				_, err := capture.Read(t.Context(), sink, capture.Options{Reporter: &faults}, source)
				require.NoError(t, err)
			})
			require.Less(t, allocations, 512.0, "for 4096 data records")
			require.Greater(t, w.n, row.least)
			require.Empty(t, faults)
		})
	}
}

// counter is an io.Writer that counts bytes.
type counter struct{ n int }

func (c *counter) Write(b []byte) (int, error) {
	c.n += len(b)
	return len(b), nil
}

// FuzzDecode holds that no input makes the reading panic, or write what a terminal obeys.
func FuzzDecode(f *testing.F) {
	for _, line := range conversation(connA) {
		f.Add([]byte(line+"\n"), uint8(7))
		f.Add([]byte(criLine("stderr", "P", line[:40])+"\n"+criLine("stderr", "F", line[40:])+"\n"), uint8(40))
	}
	f.Add([]byte(logOf(conversation(connA))), uint8(1))
	f.Add([]byte(dockerLine("stderr", `\"`)+dockerLine("stderr", "x\n")), uint8(9))
	f.Add([]byte("[01a20600-4250-801e-ac34-64756d700000][80]1b 5b"), uint8(255))
	limits := capture.Limits{HeldRecords: 3, HeldBytes: 64, OpenConnections: 2, ClosedConnections: 1, HistoryRecords: 4}
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		var text, json strings.Builder
		w := capture.NewTextWriter(&text, false)
		var faults failures
		options := dumplog.Options{
			Layotto: func(window record.UUID, port uint16, payload []byte, _ capture.Place) error {
				return w.WriteLayotto(window, port, payload)
			},
		}
		for _, sink := range []capture.Sink{w, capture.NewJSONWriter(&json)} {
			source := dumplog.NewSource(options, streamOf(&pieces{text: string(input), size: int(size) + 1}))
			_, err := capture.Read(t.Context(), sink, capture.Options{Limits: limits, Reporter: &faults}, source)
			require.NoError(t, err)
		}
		for _, out := range []string{text.String(), json.String(), strings.Join(faults, "\n")} {
			require.NotRegexp(t, `[^\n -~]`, out)
		}
	})
}
