package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// wantConversation is what conversation(connA) decodes to.
var wantConversation = struct {
	records []string
	streams map[rawFile]string
	stats   Stats
}{
	records: []string{
		"9f0c6a1be3d2a417-2a #0 open", "9f0c6a1be3d2a417-2a #1 data", "9f0c6a1be3d2a417-2a #2 end",
		"9f0c6a1be3d2a417-2a #3 data", "9f0c6a1be3d2a417-2a #4 end", "9f0c6a1be3d2a417-2a #5 close",
	},
	streams: map[rawFile]string{
		{connA, record.Downstream}: "GET / HTTP/1.0\r\n\r\n",
		{connA, record.Upstream}:   "HTTP/1.0 200 OK\r\n\r\n\x00\x1b[31mred",
	},
	stats: Stats{Records: 6, Connections: 1, Bytes: [2]uint64{18, 28}},
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
			got, stats := decode(t, Options{}, input)
			require.Empty(t, got.faults)
			require.Equal(t, wantConversation.records, got.records)
			require.Equal(t, wantConversation.streams, got.streams)
			require.Equal(t, wantConversation.stats, stats)
		})
	}
}

// TestPartsAtEveryByte cuts a line into two parts and into three at each place.
func TestPartsAtEveryByte(t *testing.T) {
	lines := conversation(connA)
	data := istioPrefix + lines[1] + istioSuffix
	check := func(t *testing.T, parts ...string) {
		t.Helper()
		got, _ := decode(t, Options{}, logOf([]string{lines[0], strings.Join(parts, "\n")})+logOf(lines[2:]))
		require.Empty(t, got.faults)
		require.Equal(t, wantConversation.records, got.records)
		require.Equal(t, wantConversation.streams, got.streams)
	}
	for i := range len(data) + 1 {
		check(t, criLine("stderr", "P", data[:i]), criLine("stdout", "F", "other"), criLine("stderr", "F", data[i:]))
		check(t, dockerLine("stderr", data[:i]), dockerLine("stdout", "other\n"), dockerLine("stderr", data[i:]+"\n"))
		check(t, criLine("stdout", "P", data[:i/2]), criLine("stderr", "F", "whole"),
			criLine("stdout", "P", data[i/2:i]), criLine("stdout", "F", data[i:]))
	}
}

// TestContainerLines holds what is taken for a container runtime's line, and what is not.
func TestContainerLines(t *testing.T) {
	for _, row := range []struct {
		name, line, want string
		last             bool
	}{
		{"last part", criLine("stdout", "F", "x y"), "x y", true},
		{"other part", criLine("stdout", "P", "x y"), "x y", false},
		{"tags", criLine("stdout", "P:a:b", "x"), "x", false},
		{"another tag", criLine("stdout", "FX", "x"), criLine("stdout", "FX", "x"), true},
		{"no tag", criTime + " stdout ", criTime + " stdout ", true},
		{"another stream", criLine("stdnull", "P", "x"), criLine("stdnull", "P", "x"), true},
		{"no time", "2026-11-23 stdout P x", "2026-11-23 stdout P x", true},
		{"Docker, last part", dockerLine("stdout", "x\n"), "x", true},
		{"Docker, other part", dockerLine("stdout", "x"), "x", false},
		{"Docker, quotes", dockerLine("stdout", `"x\"`+"\n"), `\"x\\\"`, true},
		{"Docker, a backslash and n at the end", dockerLine("stdout", `x\n`), `x\\n`, false},
		{"Docker, without an end", `{"log":"x\"`, `{"log":"x\"`, true},
		{"Docker, another stream", dockerLine("x", "x"), dockerLine("x", "x"), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := cutContainer([]byte(row.line))
			require.Equal(t, row.want, row.line[got.start:got.end])
			require.Equal(t, row.last, got.last)
		})
	}
}

func TestStreamsOfAContainerAreApart(t *testing.T) {
	a, b := conversation(connA), conversation(connB)
	var log []string
	for i := range a {
		half := len(a[i]) / 2
		log = append(log, criLine("stdout", "P", a[i][:half]), criLine("stderr", "P", b[i][:100]),
			criLine("stdout", "F", a[i][half:]), criLine("stderr", "F", b[i][100:]))
	}
	got, stats := decode(t, Options{}, logOf(log))
	require.Empty(t, got.faults)
	require.Equal(t, Stats{Records: 12, Connections: 2, Bytes: [2]uint64{36, 56}}, stats)
	require.Equal(t, wantConversation.streams[rawFile{connA, 0}], got.streams[rawFile{connB, 0}])
	require.Equal(t, []string{"log:1:41", "log:2:41"}, got.places[:2], "of the first parts")
}

// TestPlaces holds the line and the column that are told of a record and of damage.
func TestPlaces(t *testing.T) {
	lines := conversation(connA)
	bad := strings.Replace(lines[1], "data=47", "data=48", 1)
	log := []string{
		envoyPrefix + lines[0],
		"nothing",
		istioPrefix + bad + istioSuffix,
		criLine("stderr", "P", istioPrefix[:10]),
		criLine("stderr", "P", istioPrefix[10:]+lines[1][:5]),
		criLine("stderr", "F", lines[1][5:]),
		criLine("stderr", "P", "x"),
		criLine("stderr", "F", bad),
		lines[2], lines[3], lines[4], lines[5],
	}
	got, _ := decode(t, Options{}, logOf(log))
	require.Equal(t, []string{
		fmt.Sprintf("log:1:%d", len(envoyPrefix)+1),
		fmt.Sprintf("log:5:%d", len(criLine("stderr", "P", istioPrefix[10:]))+1),
		"log:9:1", "log:10:1", "log:11:1", "log:12:1",
	}, got.places)
	require.Equal(t, []string{
		fmt.Sprintf("log:3:%d: damaged: record does not match its checksum", len(istioPrefix)+1),
		fmt.Sprintf("log:8:%d: damaged: record does not match its checksum", len(criLine("stderr", "F", ""))+1),
	}, got.faults)
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
		{"part without its end", criLine("stderr", "P", data), "log:2:41: the rest of a partial line is missing"},
		{"too long", strings.Repeat("x", MaxLineBytes) + data, "log:2: line is longer than 1048576 bytes: skipped"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, stats := decode(t, Options{}, logOf([]string{lines[0], row.line, lines[2], lines[3], lines[4], lines[5]}))
			const conn = ": connection 9f0c6a1be3d2a417-2a: "
			want := []string{
				row.want,
				"log:3:1" + conn + "record 1 is missing",
				"log:3:1" + conn + "bytes 0-17 of downstream are missing with the lost records",
				"log:6:1" + conn + "the lost records held 18 bytes of downstream",
			}
			require.Equal(t, want, got.faults)
			require.Equal(t, Stats{Records: 5, Connections: 1, Bytes: [2]uint64{0, 28}, Faults: 4}, stats)
		})
	}

	t.Run("another record on the damaged line", func(t *testing.T) {
		got, _ := decode(t, Options{}, logOf([]string{lines[0], data[:50] + data, lines[2], lines[3], lines[4], lines[5]}))
		require.Equal(t, []string{"log:2:1: damaged: record is cut short"}, got.faults)
		require.Equal(t, wantConversation.records, got.records)
	})
	t.Run("a number that no recorder reaches", func(t *testing.T) {
		offset := newRecorder(connB)
		offset.offsets[0] = 1<<63 - 1
		const ofB = "log:7:1: connection 9f0c6a1be3d2a417-2b: record 0 has a number that no recorder reaches: skipped"
		got, _ := decode(t, Options{}, logOf(append(conversation(connA), offset.data(record.Downstream, "x"))))
		require.Equal(t, []string{ofB}, got.faults)
		require.Empty(t, got.own, "no consumer is asked for")

		seq := newRecorder(connB)
		seq.header.Seq = 1<<64 - 1
		got, _ = decode(t, Options{}, logOf(append(conversation(connA), seq.data(record.Downstream, "x"))))
		require.Equal(t, []string{ofB[:len(ofB)-len("0 has a number that no recorder reaches: skipped")] +
			"18446744073709551615 has a number that no recorder reaches: skipped"}, got.faults)
	})
	t.Run("a number that a recorder could reach", func(t *testing.T) {
		r := newRecorder(connB)
		r.offsets[0] = 1<<63 - 2
		got, _ := decode(t, Options{LossTimeout: 1}, r.open()+r.data(record.Downstream, "x")+"\n"+logOf(conversation(connA)))
		require.Equal(t, []string{"bytes 0-9223372036854775805 of downstream are not recorded: dropped by the recorder"}, texts(got.faults))
		require.Equal(t, got.faults, got.own)
		require.Len(t, got.records, 8)
	})
}

// TestManyDamagedRecordsOnALine holds that one line cannot flood the report.
func TestManyDamagedRecordsOnALine(t *testing.T) {
	record := conversation(connA)[0]
	damaged := record[:strings.Index(record, "open")] + "x"
	full := (MaxLineBytes - len(record)) / len(damaged)
	for _, row := range []struct {
		name    string
		damaged int
		more    string
	}{
		{"at the maximum", maxLineDamages, ""},
		{"exceeds the maximum by 1", maxLineDamages + 1, "1 more damaged record on this line"},
		{"exceeds the maximum by 2", maxLineDamages + 2, "2 more damaged records on this line"},
		{"a full line", full, fmt.Sprintf("%d more damaged records on this line", full-maxLineDamages)},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := make([]string, 0, maxLineDamages+1)
			for i := range maxLineDamages {
				want = append(want, fmt.Sprintf("log:1:%d: damaged: record is cut short", 1+i*len(damaged)))
			}
			if row.more != "" {
				want = append(want, fmt.Sprintf("log:1:%d: %s", 1+maxLineDamages*len(damaged), row.more))
			}
			want = append(want, "log:2:1: damaged: record is cut short")
			got, stats := decode(t, Options{LossTimeout: time.Hour}, strings.Repeat(damaged, row.damaged)+record+"\n"+damaged+"\n")
			require.Equal(t, want, got.faults)
			require.Equal(t, Stats{Records: 1, Connections: 1, Faults: uint64(len(want))}, stats)
		})
	}
	t.Run("marks without a head", func(t *testing.T) {
		got, _ := decode(t, Options{}, strings.Repeat("] L4D1 ", maxLineDamages+2)+"\n")
		require.Len(t, got.faults, maxLineDamages+1)
		require.Equal(t, "log:1:1: damaged: record does not begin with its window and port", got.faults[0])
		require.Equal(t, fmt.Sprintf("log:1:%d: 2 more damaged records on this line", 1+7*maxLineDamages), got.faults[maxLineDamages])
	})
}

// TestLastLineIsCut cuts the log's end at each byte of its last line.
func TestLastLineIsCut(t *testing.T) {
	lines := conversation(connA)
	head, last := logOf(lines[:5]), lines[5]
	mark := strings.Index(last, "] L4D1 ") + len("] L4D1 ")
	for i := range len(last) + 1 {
		got, _ := decode(t, Options{}, head+last[:i])
		open := "log:5:1: connection 9f0c6a1be3d2a417-2a: no close record: it was still open, or the log ends early"
		switch {
		case i == len(last):
			require.Empty(t, got.faults)
			require.Equal(t, wantConversation.records, got.records)
		case i < mark:
			require.Equal(t, []string{open}, got.faults, "cut to %d bytes", i)
		default:
			require.Equal(t, []string{"log:6:1: damaged: record is cut short", open}, got.faults, "cut to %d bytes", i)
		}
	}
}

func TestLineLength(t *testing.T) {
	record := conversation(connA)[0]
	for _, row := range []struct {
		name   string
		length int
		faults int
	}{
		{"at the maximum", MaxLineBytes, 0},
		{"exceeds the maximum by 1", MaxLineBytes + 1, 1},
		{"twice the maximum", 2 * MaxLineBytes, 1},
	} {
		for _, size := range []int{1 << 10, 1 << 20, 1 << 22} {
			t.Run(fmt.Sprintf("%s, read by %d", row.name, size), func(t *testing.T) {
				pad := strings.Repeat("x", row.length-len(record))
				var c collector
				d := newDecoder(&c, LogOptions{Options: Options{LossTimeout: time.Hour}})
				input := record + pad + "\n" + conversation(connB)[0] + "\n"
				require.NoError(t, d.Run(context.Background(), &pieces{text: input, size: size}, "log"))
				require.NoError(t, d.Finish())
				require.Len(t, c.faults, row.faults)
				require.Len(t, c.records, 2-row.faults)
				require.Equal(t, "log:2:1", c.places[len(c.places)-1])
			})
		}
	}
	t.Run("parts that exceed it together", func(t *testing.T) {
		half := strings.Repeat("x", MaxLineBytes/2)
		got, _ := decode(t, Options{LossTimeout: time.Hour}, logOf([]string{
			criLine("stderr", "P", half), criLine("stderr", "P", half), criLine("stderr", "F", record),
			criLine("stderr", "F", record),
		}))
		require.Equal(t, []string{"log:1:41: line is longer than 1048576 bytes: skipped"}, got.faults)
		require.Equal(t, []string{"log:4:41"}, got.places)
	})
}

// TestSeveralInputs cuts a line in two, the parts of which stand in two inputs: they are one in a file that was rotated
// only.
func TestSeveralInputs(t *testing.T) {
	lines := conversation(connA)
	half := len(lines[2]) / 2
	first := logOf(lines[:2]) + criLine("stderr", "P", lines[2][:half])
	second := criLine("stderr", "F", lines[2][half:]) + "\n" + logOf(lines[3:])
	for _, row := range []struct {
		first, second string
		joined        bool
	}{
		{"0.log", "0.log", true},
		{"0.log.20261123-012345", "0.log", true},
		{"0.log.20261122-012345", "0.log.20261123-012345", true},
		{"/a/0.log.2", "/a/0.log.1", true},
		{"/a/0.log.1", "/b/0.log", false},
		{"0.log.1", "1.log", false},
		{"0.log", "0.log.1", false},
		{"0.log.", "0.log", false},
		{"0.log.old", "0.log", false},
		{"10.0.0.7", "10.0.0.8", false},
		{"first", "second", false},
	} {
		t.Run(row.first+", "+row.second, func(t *testing.T) {
			var c collector
			d := newDecoder(&c, LogOptions{})
			require.NoError(t, d.Run(t.Context(), strings.NewReader(first), row.first))
			require.NoError(t, d.Run(t.Context(), strings.NewReader(second), row.second))
			require.NoError(t, d.Finish())
			if row.joined {
				require.Empty(t, c.faults)
				require.Equal(t, []string{
					row.first + ":1:1", row.first + ":2:1", row.first + ":3:41",
					row.second + ":2:1", row.second + ":3:1", row.second + ":4:1",
				}, c.places)
				return
			}
			require.Equal(t, []string{
				row.first + ":3:41: the rest of a partial line is missing",
				row.second + ":2:1: connection 9f0c6a1be3d2a417-2a: record 2 is missing",
			}, c.faults)
		})
	}
	t.Run("parts of other inputs are forgotten", func(t *testing.T) {
		var c collector
		d := newDecoder(&c, LogOptions{Options: Options{LossTimeout: time.Hour}})
		require.NoError(t, d.Run(t.Context(), strings.NewReader(criLine("stderr", "P", "x")), "first"))
		require.NoError(t, d.Run(t.Context(), strings.NewReader(criLine("stderr", "F", lines[0])), "second"))
		require.NoError(t, d.Finish())
		require.Equal(t, []string{"first:1:41: the rest of a partial line is missing"}, c.faults)
		require.Equal(t, []string{"second:1:41"}, c.places)
	})
}

// TestEmptyParts holds that parts without bytes are parts too, and that they take no room.
func TestEmptyParts(t *testing.T) {
	lines := conversation(connA)
	empty := criLine("stderr", "P", "")
	t.Run("before the first byte", func(t *testing.T) {
		got, _ := decode(t, Options{LossTimeout: time.Hour}, logOf([]string{empty, criLine("stderr", "F", lines[0])}))
		require.Empty(t, got.faults)
		require.Equal(t, []string{"log:2:41"}, got.places)
	})
	t.Run("alone", func(t *testing.T) {
		got, _ := decode(t, Options{}, logOf([]string{empty}))
		require.Equal(t, []string{"log:1:41: the rest of a partial line is missing"}, got.faults)
	})
	t.Run("many", func(t *testing.T) {
		u := unwrapper{max: MaxLineBytes}
		for range 100 {
			_, whole := u.unwrap([]byte(empty), Place{Number: 1})
			require.False(t, whole)
		}
		require.Len(t, u.streams[streamCRIStderr].parts, 1)
	})
}

func TestOtherLines(t *testing.T) {
	var other strings.Builder
	lines := conversation(connA)
	input := "first\n" + logOf(lines[:3]) + "\nbetween\r\n" + logOf(lines[3:]) + criLine("stderr", "F", "inner") + "\nlast"
	var c collector
	d := newDecoder(&c, LogOptions{Other: &other})
	require.NoError(t, d.Run(t.Context(), strings.NewReader(input), "log"))
	require.NoError(t, d.Finish())
	require.Empty(t, c.faults)
	require.Equal(t, "first\n\nbetween\r\ninner\nlast\n", other.String())

	t.Run("that cannot be written", func(t *testing.T) {
		d := newDecoder(&collector{}, LogOptions{Other: failingWriter{}})
		err := d.Run(context.Background(), strings.NewReader("x\n"), "log")
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
			got, _ := decode(t, Options{}, row.line+"\n")
			require.Empty(t, got.faults)
			require.Equal(t, row.want, got.layotto)
			require.Equal(t, uint64(len(row.want)), got.layottoLines)
		})
	}
	t.Run("filtered", func(t *testing.T) {
		line := "[" + id + "][8080]68\n"
		got, _ := decode(t, Options{Filter: Filter{Ports: []uint16{8081}}}, line)
		require.Empty(t, got.layotto)
		got, _ = decode(t, Options{Filter: Filter{Windows: []record.UUID{windowA}}}, line)
		require.Len(t, got.layotto, 1)
	})
}

// TestLiveInput holds that records show at once, and that a missing one does not stop those behind it for long.
func TestLiveInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := conversation(connA)
		var c collector
		d := newDecoder(&c, LogOptions{Options: Options{LossTimeout: 2 * time.Second}})
		r, w := io.Pipe()
		done := make(chan error)
		go func() { done <- d.Run(context.Background(), r, "log") }()
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
		require.Equal(t, [3]int{1, 0, 2}, c.seen(), "flushed as soon as there is no more")

		write(lines[1][:30])
		seen(1, 0)
		write(lines[1][30:] + "\n")
		seen(2, 0)

		write(lines[3] + "\n") // lines[2] is late
		seen(2, 0)
		time.Sleep(time.Second)
		write(lines[2] + "\n")
		seen(4, 0)

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
		require.NoError(t, d.Finish())
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
	d := newDecoder(&c, LogOptions{Options: Options{LossTimeout: 2 * time.Second}, Now: func() time.Time { return now }})
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
		require.NoError(t, d.decode([]byte(row.text)))
		require.Len(t, c.records, row.records, "after %s", row.after)
	}
}

// TestWaitOfAReleasedConnection holds that a wait begins anew with each record that is missing.
func TestWaitOfAReleasedConnection(t *testing.T) {
	lines := conversation(connA)
	now := time.Unix(0, startTime)
	var c collector
	d := newDecoder(&c, LogOptions{Options: Options{LossTimeout: 2 * time.Second}, Now: func() time.Time { return now }})
	require.NoError(t, d.decode([]byte(logOf([]string{lines[0], lines[2], lines[4]}))))
	now = now.Add(time.Second)
	require.NoError(t, d.decode([]byte(lines[1]+"\n")))
	require.Len(t, c.records, 3)
	now = now.Add(2*time.Second - 1)
	require.NoError(t, d.decode([]byte("busy\n")))
	require.Len(t, c.records, 3)
	now = now.Add(1)
	require.NoError(t, d.decode([]byte("busy\n")))
	require.Len(t, c.records, 4)
}

func TestRunEnds(t *testing.T) {
	t.Run("when it is canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		r, w := io.Pipe()
		done := make(chan error)
		go func() { done <- newDecoder(&collector{}, LogOptions{}).Run(ctx, r, "log") }()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.NoError(t, w.Close())
	})
	t.Run("when the input fails", func(t *testing.T) {
		r, w := io.Pipe()
		w.CloseWithError(errDisk)
		err := newDecoder(&collector{}, LogOptions{}).Run(context.Background(), r, "log")
		require.EqualError(t, err, "read log: disk full")
	})
	t.Run("when the handler fails", func(t *testing.T) {
		d := newDecoder(&collector{fail: errDisk}, LogOptions{})
		require.Equal(t, errDisk, d.Run(context.Background(), strings.NewReader(logOf(conversation(connA))), "log"))
	})
}

// TestAllocations holds decoding to no allocation for each line, and counts what was written, so that doing nothing
// fails.
func TestAllocations(t *testing.T) {
	dump := string(benchmarkDump(t))
	for _, row := range []struct {
		name   string
		writer func(w *counter) Writer
		least  int // bytes that are written
	}{
		{"json", func(w *counter) Writer { return NewJSONWriter(w) }, len(dump) / 2},
		{"text", func(w *counter) Writer { return NewTextWriter(w, true) }, len(dump) * 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := new(counter)
			var faults failures
			sink := row.writer(w)
			d := NewDecoder(sink, LogOptions{})
			allocations := testing.AllocsPerRun(1, func() {
				w.n = 0
				d.assembler = NewAssembler(sink, Options{Reporter: &faults})
				require.NoError(t, d.Run(t.Context(), strings.NewReader(dump), "log"))
				require.NoError(t, d.Finish())
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

// FuzzDecode holds that no input makes the decoder panic, hold more than it may, or write what a terminal obeys.
func FuzzDecode(f *testing.F) {
	for _, line := range conversation(connA) {
		f.Add([]byte(line+"\n"), uint8(7))
		f.Add([]byte(criLine("stderr", "P", line[:40])+"\n"+criLine("stderr", "F", line[40:])+"\n"), uint8(40))
	}
	f.Add([]byte(logOf(conversation(connA))), uint8(1))
	f.Add([]byte(dockerLine("stderr", `\"`)+dockerLine("stderr", "x\n")), uint8(9))
	f.Add([]byte("[01a20600-4250-801e-ac34-64756d700000][80]1b 5b"), uint8(255))
	limits := Limits{HeldRecords: 3, HeldBytes: 64, OpenConnections: 2, ClosedConnections: 1, HistoryRecords: 4}
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		var text, json strings.Builder
		w := NewTextWriter(&text, false)
		h := &checking{t: t, sinks: []Sink{w, NewJSONWriter(&json)}}
		d := NewDecoder(h, LogOptions{
			Options: Options{Limits: limits, Reporter: &h.faults},
			Layotto: func(window record.UUID, port uint16, payload []byte, _ Place) error {
				return w.WriteLayotto(window, port, payload)
			},
		})
		h.assembler = d.assembler
		require.NoError(t, d.Run(t.Context(), &pieces{text: string(input), size: int(size) + 1}, "log"))
		require.NoError(t, d.Finish())
		require.Zero(t, d.assembler.heldRecords)
		require.Zero(t, d.assembler.heldBytes)
		require.Zero(t, h.open, "every connection that began has its end")
		for _, out := range []string{text.String(), json.String(), strings.Join(h.faults, "\n")} {
			require.NotRegexp(t, `[^\n -~]`, out)
		}
	})
}
