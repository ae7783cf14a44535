package dumplog

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/record"
)

// TestPartsAtEveryByte cuts a line into two parts at each place, as runtimes and collectors do.
func TestPartsAtEveryByte(t *testing.T) {
	lines := conversation(connA)
	line := istio(lines[1])
	for _, row := range []struct {
		name        string
		first, last func(part string) string
	}{
		{"plain", func(p string) string { return p }, func(p string) string { return p }},
		{
			"CRI",
			func(p string) string { return criLine("stderr", "P", p) + "\n" + criLine("stdout", "F", "other") },
			func(p string) string { return criLine("stderr", "F", p) },
		},
		{
			"CRI with bytes that would fit in between",
			func(p string) string { return criLine("stderr", "P", p) + "\n" + criLine("stdout", "F", "00") },
			func(p string) string { return criLine("stderr", "F", p) },
		},
		{
			"Docker",
			func(p string) string { return dockerLine("stderr", p) + "\n" + dockerLine("stdout", "other\n") },
			func(p string) string { return dockerLine("stderr", p+"\n") },
		},
		{
			"Docker without the stream",
			func(p string) string { return strings.Replace(dockerLine("x", p), `,"stream":"x"`, "", 1) },
			func(p string) string { return strings.Replace(dockerLine("x", p+"\n"), `,"stream":"x"`, "", 1) },
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			for i := range len(line) + 1 {
				got := scan(t, logOf([]string{lines[0], row.first(line[:i]), row.last(line[i:]), lines[2]}), 1000)
				require.Empty(t, got.faults, "cut at %d", i)
				require.Equal(t, lines[:3], got.records, "cut at %d", i)
			}
		})
	}
}

func TestStreamsAreApart(t *testing.T) {
	a, b := conversation(connA), conversation(connB)
	var log []string
	for i := range a {
		half := len(a[i]) / 2
		log = append(log, criLine("stdout", "P", a[i][:half]), criLine("stderr", "P", b[i][:100]),
			criLine("stdout", "F", a[i][half:]), criLine("stderr", "F", b[i][100:]))
	}
	got := scan(t, logOf(log), 1000)
	require.Empty(t, got.faults)
	require.Len(t, got.records, 2*len(a))
	require.Equal(t, []string{"log:1:41", "log:2:41"}, got.places[:2], "of the first parts")
}

// TestPlaces holds the line and the column that are told of a record and of damage.
func TestPlaces(t *testing.T) {
	lines := conversation(connA)
	bad := strings.Replace(lines[1], "data=47", "data=48", 1)
	const escaped = `{"é":"\u003d","m":"`
	got := scan(t, logOf([]string{
		envoyPrefix + lines[0],
		"nothing",
		istioPrefix + bad + istioSuffix,
		criLine("stderr", "P", istioPrefix[:10]),
		criLine("stderr", "P", istioPrefix[10:]+lines[1][:5]),
		criLine("stderr", "F", lines[1][5:]),
		criLine("stderr", "P", "x"),
		criLine("stderr", "F", bad),
		escaped + lines[2] + `"}`,
		"\x00\x00\x1b[m" + lines[3],
		strings.Repeat("x", 3*windowBytes) + lines[4],
		lines[5],
	}), 1000)
	require.Equal(t, []string{
		fmt.Sprintf("log:1:%d", len(envoyPrefix)+1),
		fmt.Sprintf("log:5:%d", len(criLine("stderr", "P", istioPrefix[10:]))+1),
		fmt.Sprintf("log:9:%d", len(escaped)+1),
		"log:10:6",
		fmt.Sprintf("log:11:%d", 3*windowBytes+1),
		"log:12:1",
	}, got.places)
	require.Equal(t, []string{
		fmt.Sprintf("log:3:%d: damaged: record does not match its checksum", len(istioPrefix)+1),
		fmt.Sprintf("log:8:%d: damaged: record does not match its checksum", len(criLine("stderr", "F", ""))+1),
	}, got.faults)
	require.Equal(t, []string{"log:2 nothing"}, got.texts[:1])
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
		{"cut, and text after it", data[:len(data)-20] + " and text", "log:2:1: damaged: record is malformed"},
		{"window cut off", data[10:], "log:2:34: damaged: record does not begin with its window and port"},
		{"part without its end", criLine("stderr", "P", data[:len(data)-9]), "log:2:41: damaged: record is cut short"},
		{"cut in a string", dockerLine("stderr", data[:len(data)-20]), "log:2:9: damaged: record is cut short"},
		{"another part than its own", criLine("stderr", "P", data[:150]) + "\n" + criLine("stderr", "F", data[151:]), "log:2:41: damaged: record is cut short"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := scan(t, logOf([]string{lines[0], row.line, lines[2], lines[3]}), 1000)
			require.Equal(t, []string{row.want}, got.faults)
			require.Equal(t, []string{lines[0], lines[2], lines[3]}, got.records)
		})
	}
	t.Run("another record on the damaged line", func(t *testing.T) {
		got := scan(t, logOf([]string{data[:50] + data}), 1000)
		require.Equal(t, []string{"log:1:1: damaged: record is cut short"}, got.faults)
		require.Equal(t, []string{data}, got.records)
	})
	t.Run("a part that ends well needs no end", func(t *testing.T) {
		got := scan(t, criLine("stderr", "P", data), 1000)
		require.Empty(t, got.faults)
		require.Equal(t, []string{data}, got.records)
	})
}

// TestManyDamagedRecordsOnALine holds that one line cannot flood the report.
func TestManyDamagedRecordsOnALine(t *testing.T) {
	record := conversation(connA)[0]
	damaged := record[:strings.Index(record, "open")] + "x"
	for _, row := range []struct {
		name    string
		damaged int
		more    string
	}{
		{"at the maximum", MaxLineDamages, ""},
		{"exceeds the maximum by 1", MaxLineDamages + 1, "1 more damaged record on this line"},
		{"exceeds the maximum by 2", MaxLineDamages + 2, "2 more damaged records on this line"},
		{"a long line", 10_000, fmt.Sprintf("%d more damaged records on this line", 10_000-MaxLineDamages)},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := make([]string, 0, MaxLineDamages+1)
			for i := range MaxLineDamages {
				want = append(want, fmt.Sprintf("log:1:%d: damaged: record is cut short", 1+i*len(damaged)))
			}
			if row.more != "" {
				want = append(want, fmt.Sprintf("log:1:%d: %s", 1+MaxLineDamages*len(damaged), row.more))
			}
			want = append(want, "log:2:1: damaged: record is cut short")
			got := scan(t, strings.Repeat(damaged, row.damaged)+record+"\n"+damaged+"\n", 100_000)
			require.Equal(t, want, got.faults)
			require.Equal(t, []string{record}, got.records)
		})
	}
	t.Run("marks without a head", func(t *testing.T) {
		got := scan(t, strings.Repeat("] L4D1 ", MaxLineDamages+2)+"\n", 1000)
		require.Len(t, got.faults, MaxLineDamages+1)
		require.Equal(t, "log:1:1: damaged: record does not begin with its window and port", got.faults[0])
		require.Equal(t, fmt.Sprintf("log:1:%d: 2 more damaged records on this line", 1+7*MaxLineDamages), got.faults[MaxLineDamages])
	})
	t.Run("cut in strings", func(t *testing.T) {
		got := scan(t, strings.Repeat(`"`+record[:len(record)-9]+`",`, 100)+"\n", 1000)
		require.Len(t, got.faults, MaxLineDamages+2)
		require.Contains(t, got.faults[MaxLineDamages], "76 more damaged records on this line")
		require.Contains(t, got.faults[MaxLineDamages+1], "16 more damaged records on this line", "which waited for their continuation")
	})
}

// TestLastLineIsCut cuts the log's end at each byte of its last line.
func TestLastLineIsCut(t *testing.T) {
	last := conversation(connA)[5]
	mark := strings.Index(last, "] L4D1 ") + len("] L4D1 ")
	for i := range len(last) + 1 {
		got := scan(t, last[:i], 1000)
		switch {
		case i == len(last):
			require.Empty(t, got.faults)
			require.Equal(t, []string{last}, got.records)
		case i < mark:
			require.Empty(t, got.faults, "cut to %d bytes", i)
		default:
			require.Equal(t, []string{"log:1:1: damaged: record is cut short"}, got.faults, "cut to %d bytes", i)
		}
	}
}

// TestSeveralInputs cuts a line in two, the parts of which stand in two inputs: they are one in a log that was rotated
// only.
func TestSeveralInputs(t *testing.T) {
	line := conversation(connA)[2]
	for _, row := range []struct {
		first, second string
		joined        bool
	}{
		{"0.log", "0.log", true},
		{"0.log.20261123-012345", "0.log", true},
		{"0.log.20261123-012345.gz", "0.log", true},
		{"0.log.20261122-012345.gz", "0.log.20261123-012345", true},
		{"/a/0.log.2.gz", "/a/0.log.1", true},
		{"envoy.log-20261123.xz", "envoy.log", true},
		{"envoy.log-20261122.zst", "envoy.log-20261123", true},
		{"/a/0.log.1", "/b/0.log", false},
		{"0.log.1", "1.log", false},
		{"0.log", "0.log.1", false},
		{"0.log.", "0.log", false},
		{"0.log-", "0.log", false},
		{"0.log.old", "0.log", false},
		{"0.log.gz", "0.log", false},
		{"10.0.0.7", "10.0.0.8", false},
		{"first", "second", false},
	} {
		t.Run(row.first+", "+row.second, func(t *testing.T) {
			var f found
			s := NewScanner(&f)
			require.NoError(t, s.Begin(row.first))
			require.NoError(t, s.Write([]byte(criLine("stderr", "P", line[:100]))))
			require.NoError(t, s.End())
			require.NoError(t, s.Begin(row.second))
			require.NoError(t, s.Write([]byte(criLine("stderr", "F", line[100:])+"\n")))
			require.NoError(t, s.End())
			require.NoError(t, s.Finish())
			if row.joined {
				require.Equal(t, found{records: []string{line}, places: []string{row.first + ":1:41"}}, f)
				return
			}
			require.Equal(t, []string{row.first + ":1:41: damaged: record is cut short"}, f.faults)
			require.Empty(t, f.records)
		})
	}
}

// TestLine takes lines that come one by one, as from a queue.
func TestLine(t *testing.T) {
	lines := conversation(connA)
	var f found
	s := NewScanner(&f)
	long := strings.Repeat("x", 2*windowBytes) + lines[1]
	require.NoError(t, s.Line([]byte(istioJSON(lines[0])), capture.Place{Input: capture.Name("topic/0"), Number: 17}))
	require.NoError(t, s.Line([]byte(long), capture.Place{Input: capture.Name("topic/0"), Number: 18}))
	require.NoError(t, s.Line([]byte(lines[2]), capture.Place{Input: capture.Name("topic/0"), Number: 19, Column: 100}))
	require.NoError(t, s.Line([]byte("no record"), capture.Place{Input: capture.Name("topic/0"), Number: 20, Column: 100}))
	require.NoError(t, s.Finish())
	require.Equal(t, found{
		records: lines[:3],
		places: []string{
			fmt.Sprintf("topic/0:17:%d", strings.Index(istioJSON(lines[0]), lines[0])+1),
			fmt.Sprintf("topic/0:18:%d", 2*windowBytes+1),
			"topic/0:19:100",
		},
		texts: []string{"topic/0:20 no record"},
	}, f)
}

func TestLayotto(t *testing.T) {
	id := window.String()
	text := func(payload string) string {
		return string(record.AppendLayotto(nil, window, 8080, []byte(payload)))
	}
	is := func(place, payload string) string { return fmt.Sprintf("log:%s %s 8080 %q", place, id, payload) }
	one, two := text("one"), text("two")
	r := conversation(connA)[0]
	for _, row := range []struct {
		name   string
		input  string
		want   []string
		faults int
	}{
		{"alone", one, []string{is("1:1", "one")}, 0},
		{"lines", one + "\n" + two + "\n", []string{is("1:1", "one"), is("2:1", "two")}, 0},
		{"several in a JSON line", `{"a":"` + one + `","b":["` + two + `"]}`, []string{is("1:7", "one"), is("1:67", "two")}, 0},
		{"several in a string", `{"log":"` + one + `\n` + two + `\n"}`, []string{is("1:9", "one"), is("1:63", "two")}, 0},
		{"with a space", one + " " + two, []string{is("1:1", "one"), is("1:54", "two")}, 0},
		{"beside a record", one + "\t" + r + "\t" + two, []string{is("1:1", "one"), is(fmt.Sprintf("1:%d", len(one)+len(r)+3), "two")}, 0},
		{"in CRI parts", criLine("stderr", "P", "x: "+one[:50]) + "\n" + criLine("stdout", "F", "00") + "\n" +
			criLine("stderr", "F", one[50:]+"\tthread=1"), []string{is("1:44", "one")}, 0},
		{"in CRI parts between bytes", criLine("stderr", "P", one[:len(one)-3]) + "\n" + criLine("stderr", "F", one[len(one)-3:]), []string{is("1:41", "one")}, 0},
		{"in CRI parts within the head", criLine("stderr", "P", one[:40]) + "\n" + criLine("stderr", "F", one[40:]), []string{is("1:41", "one")}, 0},
		{"in Docker's parts", dockerLine("stderr", one[:50]) + "\n" + dockerLine("stdout", "00\n") + "\n" + dockerLine("stderr", one[50:]+"\n"), []string{is("1:9", "one")}, 0},
		{"in Docker's lines without line breaks", dockerLine("stderr", one) + "\n" + dockerLine("stderr", two) + "\n" + dockerLine("stderr", "x"), []string{is("1:9", "one"), is("2:9", "two")}, 0},
		{"in CRI, its end lost", criLine("stderr", "P", one[:len(one)-1]) + "\n" + criLine("stderr", "F", "other"), nil, 1},
		{"resembles it", `{"stream":"stderr","log":"[` + id + `][8080]"}`, nil, 0},
		{"a head cut in a record", dockerLine("stderr", r[:41]) + "\n" + dockerLine("stderr", r[41:]+"\n"), nil, 0},
		{"at a window's end", strings.Repeat("x", windowBytes-len(one)) + one + "\t" + one, []string{
			is(fmt.Sprintf("1:%d", windowBytes-len(one)+1), "one"), is(fmt.Sprintf("1:%d", windowBytes+2), "one"),
		}, 0},
		{"across a window's end", strings.Repeat("x", windowBytes-20) + one + "\t" + strings.Repeat("y", windowBytes), []string{is(fmt.Sprintf("1:%d", windowBytes-19), "one")}, 0},
		{"longer than a window", text(strings.Repeat("x", windowBytes)), []string{is("1:1", strings.Repeat("x", windowBytes))}, 0},
		{"too long", text(strings.Repeat("x", MaxRecordBytes)), nil, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, size := range []int{1, 1000, 1 << 22} {
				if size < 1<<22 && len(row.input) > windowBytes*size/500 {
					continue
				}
				got := scan(t, row.input, size)
				require.Equal(t, row.want, got.layotto)
				require.Len(t, got.faults, row.faults)
			}
		})
	}
}

// TestDoubled holds that a record that stands twice in a line is one, and that others are not taken for it.
func TestDoubled(t *testing.T) {
	lines := conversation(connA)
	got := scan(t, strings.Join(lines, ",")+`"`+strings.Join(lines, ",")+"\n"+lines[0], 1000)
	require.Empty(t, got.faults)
	require.Equal(t, append(append([]string(nil), lines...), lines[0]), got.records, "once for each line")
}

func TestHandlerFails(t *testing.T) {
	for _, input := range []string{conversation(connA)[0], "text", string(record.AppendLayotto(nil, window, 80, []byte("x")))} {
		for _, long := range []string{"", strings.Repeat("x", windowBytes+1)} {
			f := found{fail: errors.New("disk full")}
			s := NewScanner(&f)
			require.NoError(t, s.Begin("log"))
			err := s.Write([]byte(long + " " + input + "\n"))
			require.EqualError(t, err, "disk full")
		}
	}
}

// TestLongLine reads a line of 48 MiB with many records, and holds how much memory that takes.
func TestLongLine(t *testing.T) {
	if os.Getenv("HEAVY") != "true" {
		t.Skip("skipped without HEAVY=true: run make test-heavy")
	}
	log := benchmarkLog(t, func(l string) string {
		return `{"body":{"stringValue":"` + strings.ReplaceAll(l, "=", `\u003d`) + `"}},`
	}, 1848)
	log = []byte(strings.ReplaceAll(string(log), "\n", ""))
	var c counter
	s := NewScanner(&c)
	require.NoError(t, s.Begin("log"))
	var before, after runtime.MemStats
	const times = 3
	for i := range times {
		if i == 1 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		for block := log; len(block) > 0; {
			n := min(len(block), 100_000)
			require.NoError(t, s.Write(block[:n]))
			block = block[n:]
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.NoError(t, s.End())
	require.Zero(t, c.faults)
	require.Zero(t, c.texts)
	require.Positive(t, c.records)
	require.LessOrEqual(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(4<<20))
}

func TestChronological(t *testing.T) {
	require.Equal(t,
		[]string{"x", "x", "a/0.log.20261122-000000.gz", "a/0.log.20261123-000000", "a/0.log", "b.log.10.gz", "b.log.2", "b.log.1", "b.log", "y.log"},
		Chronological([]string{
			"x", "a/0.log", "a/0.log.20261122-000000.gz", "a/0.log.20261123-000000", "b.log", "b.log.1", "b.log.10.gz", "b.log.2", "y.log", "x",
		}))
	require.Empty(t, Chronological(nil))
}
