package capture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/record"
)

const faultOfA = ": connection 9f0c6a1be3d2a417-2a: "

// TestAnyOrder decodes permutations of a dump: the connections are the same, and nothing is wrong with them.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []string
		want := map[rawFile]string{}
		records := map[record.ConnID][]string{}
		for number := range rapid.IntRange(1, 4).Draw(t, "connections") {
			r := newRecorder(record.ConnID{VM: 7, Number: uint64(number + 1)})
			lines := []string{r.open()}
			for range rapid.IntRange(0, 12).Draw(t, "records") {
				d := record.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
				payload := rapid.StringN(0, 20, 80).Draw(t, "payload")
				lines = append(lines, r.data(d, payload))
				want[rawFile{r.header.Conn, d}] += payload
			}
			lines = append(lines, r.close())
			for seq, line := range lines {
				kind := strings.Fields(line)[2]
				records[r.header.Conn] = append(records[r.header.Conn], fmt.Sprintf("%s #%d %s", r.header.Conn, seq, kind))
			}
			log = append(log, lines...)
		}
		log = rapid.Permutation(log).Draw(t, "order")

		var c collector
		a := NewAssembler(&c, Options{Reporter: reports{&c}})
		require.NoError(t, recordLines(log).Read(context.Background(), a))
		require.NoError(t, a.Finish())
		require.Empty(t, c.faults)
		for id, want := range records {
			got := slices.DeleteFunc(slices.Clone(c.records), func(s string) bool { return !strings.HasPrefix(s, id.String()+" ") })
			require.Equal(t, want, got)
		}
		require.Len(t, c.records, len(log))
		for file, want := range want {
			require.Equal(t, want, c.streams[file])
		}
		require.Empty(t, a.conns)
		require.Zero(t, a.heldRecords)
		require.Zero(t, a.heldBytes)
		require.Zero(t, a.recent.Len())
		require.Zero(t, a.waiting.Len())
	})
}

// TestEachLossIsReported leaves out each record of a connection, alone and with the next one.
func TestEachLossIsReported(t *testing.T) {
	lines := conversation(connA)
	noClose := "no close record: it was still open, or the log ends early"
	for _, row := range []struct {
		name string
		log  []string
		want []string
	}{
		{"nothing", lines, nil},
		{"open", lines[1:], []string{"log:1:1" + faultOfA + "the log begins at its record 1: what came before is missing"}},
		{"open and data", lines[2:], []string{
			"log:1:1" + faultOfA + "the log begins at its record 2: what came before is missing",
			"log:1:1" + faultOfA + "bytes 0-17 of downstream are missing with the lost records",
			"log:4:1" + faultOfA + "the lost records held 18 bytes of downstream",
		}},
		{"data", without(lines, 1), []string{
			"log:2:1" + faultOfA + "record 1 is missing",
			"log:2:1" + faultOfA + "bytes 0-17 of downstream are missing with the lost records",
			"log:5:1" + faultOfA + "the lost records held 18 bytes of downstream",
		}},
		{"data and end", without(lines, 1, 2), []string{
			"log:2:1" + faultOfA + "records 1-2 are missing",
			"log:4:1" + faultOfA + "the lost records held 18 bytes of downstream",
		}},
		{"end", without(lines, 2), []string{"log:3:1" + faultOfA + "record 2 is missing"}},
		{"other data", without(lines, 3), []string{
			"log:4:1" + faultOfA + "record 3 is missing",
			"log:4:1" + faultOfA + "bytes 0-27 of upstream are missing with the lost records",
			"log:5:1" + faultOfA + "the lost records held 28 bytes of upstream",
		}},
		{"two apart", without(lines, 1, 4), []string{
			"log:2:1" + faultOfA + "record 1 is missing",
			"log:2:1" + faultOfA + "bytes 0-17 of downstream are missing with the lost records",
			"log:4:1" + faultOfA + "record 4 is missing",
			"log:4:1" + faultOfA + "the lost records held 18 bytes of downstream",
		}},
		{"close", without(lines, 5), []string{"log:5:1" + faultOfA + noClose}},
		{"everything but the first data", lines[1:2], []string{
			"log:1:1" + faultOfA + "the log begins at its record 1: what came before is missing",
			"log:1:1" + faultOfA + noClose,
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, stats := assemble(t, Options{}, row.log)
			require.Equal(t, row.want, got.faults)
			require.Equal(t, uint64(len(row.want)), stats.Faults)
			require.Len(t, got.records, len(row.log), "all that is there is handed on")
		})
	}
}

func without(lines []string, left ...int) []string {
	var rest []string
	for i, line := range lines {
		if !slices.Contains(left, i) {
			rest = append(rest, line)
		}
	}
	return rest
}

// TestLossInALongDump leaves single records out of a shuffled dump with many connections.
func TestLossInALongDump(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var log, want []string
	for number := range 50 {
		r := newRecorder(record.ConnID{VM: 7, Number: uint64(number + 1)})
		lines := []string{r.open()}
		for range 20 {
			lines = append(lines, r.data(record.Downstream, "bytes"))
		}
		lines = append(lines, r.close())
		lost := 1 + random.IntN(20)
		want = append(want, fmt.Sprintf("connection %s: record %d is missing", r.header.Conn, lost))
		log = append(log, without(lines, lost)...)
	}
	random.Shuffle(len(log), func(i, j int) { log[i], log[j] = log[j], log[i] })
	got, _ := assemble(t, Options{}, log)
	var lost []string
	for _, fault := range got.faults {
		if _, text, _ := strings.Cut(fault, ": "); strings.HasSuffix(text, " is missing") {
			lost = append(lost, text)
		}
	}
	require.ElementsMatch(t, want, lost)
	require.Len(t, got.records, len(log))
}

func TestRepeatedRecords(t *testing.T) {
	lines := conversation(connA)
	r := newRecorder(connA)
	r.open()
	other := r.data(record.Downstream, "GET / HTTP/1.0\r\n\rX")
	r = newRecorder(connA)
	r.open()
	r.data(record.Downstream, "GET / HTTP/1.0\r\n\r\n")
	r.offsets[0] = 0
	again := r.data(record.Downstream, "GET / HTTP/1.0\r\n\r\n")
	r = newRecorder(connA)
	r.open()
	r.data(record.Downstream, "GET / HTTP/1.0\r\n\r\n")
	r.offsets[0] = 0
	changed := r.data(record.Downstream, "GET / HTTP/1.0\r\n\rX")
	r = newRecorder(connA)
	r.open()
	r.data(record.Downstream, "GET / HTTP/1.0\r\n\r\n")
	r.offsets[0] = 17
	overlap := r.data(record.Downstream, "\nmore")
	for _, row := range []struct {
		name string
		log  []string
		want []string
	}{
		{"same line", insert(lines, 2, lines[1]), []string{"record 1 is a duplicate: skipped"}},
		{"same line before its turn", insert(lines, 1, lines[2], lines[2]), []string{
			"record 2 is a duplicate: skipped",
			"record 2 is a duplicate: skipped",
		}},
		{"same line after the close", append(slices.Clone(lines), lines[1]), []string{
			"record 1 is a duplicate: skipped",
		}},
		{"same number, other bytes", insert(lines, 2, other), []string{
			"record 1 contradicts what was recorded before: skipped",
		}},
		{"same number after the close, other bytes", append(slices.Clone(lines), other), []string{
			"record 1 contradicts what was recorded before: skipped",
		}},
		{"same bytes with the next number", []string{lines[0], lines[1], again}, []string{
			"record 2 is a duplicate: skipped",
			"no close record: it was still open, or the log ends early",
		}},
		{"other bytes at the same offset", []string{lines[0], lines[1], changed}, []string{
			"record 2 contradicts what was recorded before: skipped",
			"no close record: it was still open, or the log ends early",
		}},
		{"bytes that overlap", []string{lines[0], lines[1], overlap}, []string{
			"record 2 contradicts what was recorded before: skipped",
			"no close record: it was still open, or the log ends early",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, _ := assemble(t, Options{}, row.log)
			require.Equal(t, row.want, texts(got.faults))
			require.Equal(t, "GET / HTTP/1.0\r\n\r\n", got.streams[rawFile{connA, record.Downstream}])
		})
	}

	t.Run("after the close record", func(t *testing.T) {
		r := newRecorder(connA)
		log := []string{r.open(), r.close(), r.data(record.Downstream, "x")}
		r.step()
		log = append(log, r.data(record.Downstream, "y"))
		for _, log := range [][]string{log, {log[2], log[3], log[0], log[1]}} {
			got, _ := assemble(t, Options{}, log)
			require.Equal(t, []string{"record 2 follows the close record: skipped", "record 4 follows the close record: skipped"},
				texts(got.faults))
			require.Len(t, got.records, 2)
		}
	})
	t.Run("too late to compare", func(t *testing.T) {
		limits := Limits{HistoryRecords: 2}
		got, _ := assemble(t, Options{Limits: limits}, insert(lines, 4, lines[0]))
		require.Equal(t, []string{
			"log:5:1" + faultOfA + "record 0 comes once more, too late to compare it with the first: skipped",
		}, got.faults)
	})
	t.Run("closed connection that is forgotten", func(t *testing.T) {
		log := append(append(conversation(connA), conversation(connB)...), lines[1])
		got, _ := assemble(t, Options{Limits: Limits{ClosedConnections: 2}}, log)
		require.Equal(t, []string{"record 1 is a duplicate: skipped"}, texts(got.faults))

		got, _ = assemble(t, Options{Limits: Limits{ClosedConnections: 1}}, log)
		require.Equal(t, []string{
			"the log begins at its record 1: what came before is missing",
			"no close record: it was still open, or the log ends early",
		}, texts(got.faults))
	})
}

// texts returns faults without their places and connections.
func texts(faults []string) []string {
	var rest []string
	for _, fault := range faults {
		parts := strings.SplitN(fault, ": ", 3)
		rest = append(rest, parts[len(parts)-1])
	}
	return rest
}

func insert(lines []string, at int, more ...string) []string {
	return slices.Insert(slices.Clone(lines), at, more...)
}

// TestReorderBounds has a record wait for one that comes after just as many others as may be held, and one more.
func TestReorderBounds(t *testing.T) {
	r := newRecorder(connA)
	log := []string{r.open()}
	for range 6 {
		log = append(log, r.data(record.Downstream, "0123456789"))
	}
	log = append(log, r.close())
	late := func(at int) []string { // record 1 comes as line at
		return insert(without(log, 1), at-1, log[1])
	}
	want := "0123456789" + strings.Repeat("0123456789", 5)
	for _, row := range []struct {
		name   string
		limits Limits
		at     int
		lost   bool
	}{
		{"records at the bound", Limits{HeldRecords: 3}, 5, false},
		{"records exceed it by 1", Limits{HeldRecords: 3}, 6, true},
		{"bytes at the bound", Limits{HeldBytes: 30}, 5, false},
		{"bytes exceed it by 10", Limits{HeldBytes: 30}, 6, true},
		{"bytes exceed it by 1", Limits{HeldBytes: 29}, 5, true},
		{"one record above the bound", Limits{HeldBytes: 9}, 3, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, _ := assemble(t, Options{Limits: row.limits}, late(row.at))
			if !row.lost {
				require.Empty(t, got.faults)
				require.Equal(t, want, got.streams[rawFile{connA, record.Downstream}])
				return
			}
			require.Equal(t, []string{
				"record 1 is missing",
				"bytes 0-9 of downstream are missing with the lost records",
				"record 1 comes after it was declared missing: skipped",
				"the lost records held 10 bytes of downstream",
			}, texts(got.faults))
			require.Equal(t, want[10:], got.streams[rawFile{connA, record.Downstream}])
		})
	}

	t.Run("the connection that waits longest continues", func(t *testing.T) {
		a, b := conversation(connA), conversation(connB)
		log := []string{a[0], b[0], a[2], b[2], b[3], a[1], b[1], b[4], b[5], a[3], a[4], a[5]}
		got, _ := assemble(t, Options{Limits: Limits{HeldRecords: 2}}, log)
		require.Equal(t, []string{
			"log:3:1" + faultOfA + "record 1 is missing",
			"log:3:1" + faultOfA + "bytes 0-17 of downstream are missing with the lost records",
			"log:6:1" + faultOfA + "record 1 comes after it was declared missing: skipped",
			"log:12:1" + faultOfA + "the lost records held 18 bytes of downstream",
		}, got.faults)
	})
}

// TestWaitBeginsAnew has a connection wait for a second record when the first has come: another waits longer then.
func TestWaitBeginsAnew(t *testing.T) {
	a, b := conversation(connA), conversation(connB)
	log := []string{a[0], b[0], a[2], a[4], b[2], a[1], b[3], b[4], a[3], a[5], b[5]}
	got, _ := assemble(t, Options{Limits: Limits{HeldRecords: 3}}, log)
	require.Equal(t, []string{
		"log:5:1: connection 9f0c6a1be3d2a417-2b: record 1 is missing",
		"log:5:1: connection 9f0c6a1be3d2a417-2b: bytes 0-17 of downstream are missing with the lost records",
		"log:11:1: connection 9f0c6a1be3d2a417-2b: the lost records held 18 bytes of downstream",
	}, got.faults)
}

func TestOpenConnectionsBound(t *testing.T) {
	conns := [][]string{conversation(connA), conversation(connB), conversation(record.ConnID{VM: 1, Number: 1})}
	interleaved := func(n int) (log []string) {
		for i := range conns[0] {
			for _, lines := range conns[:n] {
				log = append(log, lines[i])
			}
		}
		return log
	}
	got, _ := assemble(t, Options{Limits: Limits{OpenConnections: 2}}, interleaved(2))
	require.Empty(t, got.faults)

	log := []string{conns[0][0], conns[1][0], conns[0][2], conns[0][1], conns[2][0]}
	got, _ = assemble(t, Options{Limits: Limits{OpenConnections: 2}, LossTimeout: 1}, log)
	require.Equal(t, []string{
		"log:2:1: connection 9f0c6a1be3d2a417-2b: forgotten to make room: too many connections are open",
	}, got.faults)

	log = []string{conns[0][0], conns[0][2], conns[1][0]}
	got, _ = assemble(t, Options{Limits: Limits{OpenConnections: 1}}, log)
	require.Equal(t, []string{
		"record 1 is missing", "bytes 0-17 of downstream are missing with the lost records",
		"forgotten to make room: too many connections are open",
		"no close record: it was still open, or the log ends early",
	}, texts(got.faults))
}

// TestLedger holds what the recorder counted against what it wrote.
func TestLedger(t *testing.T) {
	nothing := record.Ledger{}
	for _, row := range []struct {
		name string
		skip uint64 // bytes between the two data records of five bytes
		down record.Ledger
		want []string
	}{
		{"everything kept", 0, record.Ledger{Seen: 10, Kept: 10}, nil},
		{"dropped in the middle", 100, record.Ledger{Seen: 110, Kept: 10, Dropped: []record.Drop{{Reason: "budget", Bytes: 90}, {Reason: "window_closed", Bytes: 10}}}, []string{
			"bytes 5-104 of downstream are not recorded: dropped by the recorder",
			"the recorder dropped 100 bytes of downstream: budget 90, window_closed 10",
		}},
		{"one byte dropped at the end", 0, record.Ledger{Seen: 11, Kept: 10, Dropped: []record.Drop{{Reason: "budget", Bytes: 1}}}, []string{
			"the recorder dropped 1 byte of downstream: budget 1",
		}},
		{"one byte dropped in the middle", 1, record.Ledger{Seen: 11, Kept: 10, Dropped: []record.Drop{{Reason: "budget", Bytes: 1}}}, []string{
			"byte 5 of downstream is not recorded: dropped by the recorder",
			"the recorder dropped 1 byte of downstream: budget 1",
		}},
		{"more kept than there is", 0, record.Ledger{Seen: 11, Kept: 11}, []string{
			"downstream: close record and data records disagree on the bytes that were kept",
		}},
		{"less kept than there is", 0, record.Ledger{Seen: 9, Kept: 9}, []string{
			"downstream: close record and data records disagree on the bytes that were kept",
		}},
		{"numbers that do not add up", 0, record.Ledger{Seen: 11, Kept: 10}, []string{
			"downstream: close record's numbers do not add up: seen is not kept and dropped",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRecorder(connA)
			log := []string{r.open(), r.data(record.Downstream, "12345")}
			r.offsets[0] += row.skip
			log = append(log, r.data(record.Downstream, "67890"), r.closeWith(row.down, nothing))
			got, _ := assemble(t, Options{}, log)
			require.Equal(t, row.want, texts(got.faults))
			require.Len(t, got.records, 4)
		})
	}
	t.Run("end after what was recorded", func(t *testing.T) {
		r := newRecorder(connA)
		log := []string{r.open(), r.data(record.Downstream, "12345")}
		r.offsets[0]++
		log = append(log, r.end(record.Downstream))
		log = append(log, r.closeWith(
			record.Ledger{Seen: 6, Kept: 5, Dropped: []record.Drop{{Reason: "budget", Bytes: 1}}}, nothing))
		got, _ := assemble(t, Options{}, log)
		require.Equal(t, []string{"the recorder dropped 1 byte of downstream: budget 1"}, texts(got.faults))
	})
	t.Run("bytes before the end that follow it", func(t *testing.T) {
		r := newRecorder(connA)
		log := []string{r.open(), r.data(record.Downstream, "12345")}
		r.offsets[0]++
		log = append(log, r.end(record.Downstream))
		r.offsets[0]--
		log = append(log, r.data(record.Downstream, "6"))
		got, _ := assemble(t, Options{LossTimeout: 1}, log)
		require.Equal(t, []string{"record 3 contradicts what was recorded before: skipped"}, texts(got.faults))
	})
	t.Run("bytes at the end that follow it", func(t *testing.T) {
		r := newRecorder(connA)
		log := []string{r.open(), r.data(record.Downstream, "12345")}
		r.offsets[0]++
		log = append(log, r.end(record.Downstream), r.data(record.Downstream, "7"))
		got, _ := assemble(t, Options{LossTimeout: 1}, log)
		require.Empty(t, got.faults)
	})
	t.Run("end before what was recorded", func(t *testing.T) {
		r := newRecorder(connA)
		log := []string{r.open(), r.data(record.Downstream, "12345")}
		r.offsets[0]--
		log = append(log, r.end(record.Downstream))
		got, _ := assemble(t, Options{LossTimeout: 1}, log)
		require.Equal(t, []string{"downstream: end record lies before bytes that were recorded"}, texts(got.faults))
	})
	t.Run("first record that is not the open record", func(t *testing.T) {
		got, _ := assemble(t, Options{LossTimeout: 1}, []string{newRecorder(connA).data(record.Downstream, "x")})
		require.Equal(t, []string{"record 0 is not its open record"}, texts(got.faults))
	})
}

// TestUnwantedBytes holds that what the configuration leaves out is not taken for missing.
func TestUnwantedBytes(t *testing.T) {
	drops := func(reasons ...string) (l record.Ledger) {
		for _, reason := range reasons {
			l.Dropped = append(l.Dropped, record.Drop{Reason: reason, Bytes: 10})
			l.Seen += 10
		}
		return l
	}
	everything := drops("switch_off", "forced_off", "window_closed", "usage_unknown", "cpu", "memory", "direction",
		"connection_limit", "budget", "log_level", "unreadable")
	for _, row := range []struct {
		unit string
		want []string
	}{
		{"bytes", []string{
			"byte 5 of downstream is not recorded: dropped by the recorder", // within a window
			"the recorder dropped 70 bytes of upstream: usage_unknown 10, cpu 10, memory 10, connection_limit 10, " +
				"budget 10, log_level 10, unreadable 10",
		}},
		{"connections", []string{
			"bytes 0-1 of downstream are not recorded: dropped by the recorder",
			"byte 3 of downstream is not recorded: dropped by the recorder",
			"byte 5 of downstream is not recorded: dropped by the recorder",
			"the recorder dropped 40 bytes of downstream: window_closed 40",
			"the recorder dropped 100 bytes of upstream: switch_off 10, forced_off 10, window_closed 10, usage_unknown 10, " +
				"cpu 10, memory 10, connection_limit 10, budget 10, log_level 10, unreadable 10",
		}},
	} {
		t.Run(row.unit, func(t *testing.T) {
			r := newRecorder(connA)
			log := []string{string(record.AppendOpen(nil, &r.header, &record.Open{Unit: row.unit}))}
			r.step()
			r.offsets[0] = 2
			log = append(log, r.data(record.Downstream, "2"))
			r.offsets[0]++
			r.header.Window = windowB
			log = append(log, r.data(record.Downstream, "4"))
			r.offsets[0]++
			log = append(log, r.data(record.Downstream, "6"), r.closeWith(
				record.Ledger{Seen: 43, Kept: 3, Dropped: []record.Drop{{Reason: "window_closed", Bytes: 40}}}, everything))
			got, _ := assemble(t, Options{}, log)
			require.Equal(t, row.want, texts(got.faults))
		})
	}
}

// TestUnitOfALogThatBeginsTooLate holds that what lies between windows is not taken for missing where the open record,
// which says so, is.
func TestUnitOfALogThatBeginsTooLate(t *testing.T) {
	const late = "the log begins at its record 1: what came before is missing"
	dropped := func(reason string) record.Ledger {
		return record.Ledger{Seen: 16, Kept: 6, Dropped: []record.Drop{{Reason: reason, Bytes: 10}}}
	}
	for _, row := range []struct {
		name   string
		second record.UUID // the window after the gap
		skip   uint64      // bytes in the gap of each direction
		ledger record.Ledger
		want   []string
	}{
		{"window changes", windowB, 10, dropped("window_closed"), []string{late}},
		{"window changes, switched off between", windowB, 10, dropped("switch_off"), []string{late}},
		{"window changes, over the budget", windowB, 10, dropped("budget"), []string{
			late,
			"the recorder dropped 10 bytes of downstream: budget 10",
			"the recorder dropped 10 bytes of upstream: budget 10",
		}},
		{"ledger names windows", windowA, 0, dropped("window_closed"), []string{late}},
		{"neither", windowA, 10, dropped("switch_off"), []string{
			late,
			"bytes 3-12 of downstream are not recorded: dropped by the recorder",
			"bytes 3-12 of upstream are not recorded: dropped by the recorder",
			"the recorder dropped 10 bytes of downstream: switch_off 10",
			"the recorder dropped 10 bytes of upstream: switch_off 10",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRecorder(connA)
			r.step()
			log := []string{r.data(record.Downstream, "123"), r.data(record.Upstream, "456")}
			r.header.Window = row.second
			r.offsets[0] += row.skip
			r.offsets[1] += row.skip
			log = append(log, r.data(record.Downstream, "789"), r.data(record.Upstream, "abc"))
			log = append(log, r.closeWith(row.ledger, row.ledger))
			got, _ := assemble(t, Options{}, log)
			require.Equal(t, row.want, texts(got.faults))
			require.Len(t, got.records, len(log))
		})
	}
	t.Run("only the other direction's ledger names windows", func(t *testing.T) {
		r := newRecorder(connA)
		r.step()
		log := []string{r.data(record.Downstream, "123456"), r.closeWith(dropped("switch_off"), record.Ledger{
			Seen: 1, Dropped: []record.Drop{{Reason: "window_closed", Bytes: 1}},
		})}
		got, _ := assemble(t, Options{}, log)
		require.Equal(t, []string{late}, texts(got.faults))
	})
}

// TestGapAfterALoss holds that a loss explains the next gap of a direction only.
func TestGapAfterALoss(t *testing.T) {
	r := newRecorder(connA)
	log := []string{r.open(), r.data(record.Downstream, "0")}
	r.data(record.Upstream, "lost")
	log = append(log, r.data(record.Downstream, "1"))
	r.offsets[0]++
	log = append(log, r.data(record.Downstream, "3"), r.data(record.Upstream, "4"))
	r.offsets[1]++
	log = append(log, r.data(record.Upstream, "6"))
	got, _ := assemble(t, Options{LossTimeout: 1}, log)
	require.Equal(t, []string{
		"record 2 is missing",
		"byte 2 of downstream is not recorded: dropped by the recorder",
		"bytes 0-3 of upstream are missing with the lost records",
		"byte 5 of upstream is not recorded: dropped by the recorder",
	}, texts(got.faults))
}

// TestManyLosses holds that what is remembered of lost records is bounded.
func TestManyLosses(t *testing.T) {
	r := newRecorder(connA)
	log := []string{r.open()}
	for range 2*maxSpans + 1 {
		r.step()
		log = append(log, r.data(record.Downstream, "x"))
	}
	var c collector
	a := NewAssembler(&c, Options{Limits: Limits{HeldRecords: 1}})
	require.NoError(t, recordLines(log).Read(t.Context(), a))
	require.Len(t, a.conns[connA].lost, maxSpans)
	require.NoError(t, a.Finish())
}

// TestPayloadIsCopied holds that a source may change an event's payload when Add has returned, also of one that waits.
func TestPayloadIsCopied(t *testing.T) {
	var c collector
	a := NewAssembler(&c, Options{})
	buffer := []byte("first")
	add := func(e Event) {
		e.Conn = connA
		require.NoError(t, a.Add(&e, Fingerprint{Length: 1}, Place{}, time.Time{}))
	}
	add(Event{Kind: KindData, Header: Header{Seq: 1}, Payload: buffer})
	copy(buffer, "other")
	add(Event{Kind: KindOpen, Open: &Open{}})
	require.NoError(t, a.Finish())
	require.Equal(t, "first", c.streams[rawFile{connA, Downstream}])
}

// TestFilter selects after ordering, so that what is left out is not taken for lost.
func TestFilter(t *testing.T) {
	r := newRecorder(connA)
	log := []string{r.open(), r.data(record.Downstream, "one")}
	r.header.Window = windowB
	log = append(log, r.data(record.Downstream, "two"), r.data(record.Downstream, "three"))
	r.header.Window = windowA
	log = append(log, r.data(record.Downstream, "four"), r.close())
	log = append(log, conversation(connB)...)
	for _, row := range []struct {
		name    string
		filter  Filter
		records []string
		stats   Stats
	}{
		{
			"window",
			Filter{Windows: []record.UUID{windowB}},
			[]string{"9f0c6a1be3d2a417-2a #2 data", "9f0c6a1be3d2a417-2a #3 data"},
			Stats{Records: 2, Connections: 1, Bytes: [2]uint64{8, 0}},
		},
		{
			"window and connection",
			Filter{Windows: []record.UUID{windowA}, Conns: []record.ConnID{connA}},
			[]string{
				"9f0c6a1be3d2a417-2a #0 open", "9f0c6a1be3d2a417-2a #1 data", "9f0c6a1be3d2a417-2a #4 data",
				"9f0c6a1be3d2a417-2a #5 close",
			},
			Stats{Records: 4, Connections: 1, Bytes: [2]uint64{7, 0}},
		},
		{"port", Filter{Ports: []uint16{8081}}, nil, Stats{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, stats := assemble(t, Options{Filter: row.filter}, log)
			require.Empty(t, got.faults)
			require.Equal(t, row.records, got.records)
			require.Equal(t, row.stats, stats)
		})
	}
	t.Run("faults", func(t *testing.T) {
		lossy := append(log[:1:1], log[2:]...)
		got, stats := assemble(t, Options{Filter: Filter{Conns: []record.ConnID{connB}}}, lossy)
		require.Empty(t, got.faults)
		require.Equal(t, Stats{Records: 6, Connections: 1, Bytes: [2]uint64{18, 28}}, stats)

		got, _ = assemble(t, Options{Filter: Filter{Conns: []record.ConnID{connA}}}, lossy)
		require.Len(t, got.faults, 3)
	})
}

// failures is a Reporter that keeps the faults.
type failures []string

func (f *failures) Fault(fault *Fault) { f.InputFault(fault) }

func (f *failures) InputFault(fault fmt.Stringer) { *f = append(*f, fault.String()) }

// checking is a Sink that holds the assembler to its limits, and each connection to its order and to one end.
type checking struct {
	t         *testing.T
	assembler *Assembler
	sinks     []Sink
	faults    failures
	open      int
}

func (c *checking) Begin(connection *Connection) Consumer {
	c.open++
	checked := &checkedConnection{checking: c}
	for _, sink := range c.sinks {
		checked.consumers = append(checked.consumers, sink.Begin(connection))
	}
	return checked
}

func (c *checking) Flush() error {
	for _, sink := range c.sinks {
		require.NoError(c.t, sink.Flush())
	}
	return nil
}

type checkedConnection struct {
	*checking
	consumers []Consumer
	next      uint64
	ended     bool
	streams   [2]uint64
}

func (c *checkedConnection) Event(e *Event, at Place) error {
	if a := c.assembler; a != nil {
		require.LessOrEqual(c.t, a.heldRecords, a.limits.HeldRecords+1)
		require.LessOrEqual(c.t, len(a.conns), a.limits.OpenConnections)
		require.LessOrEqual(c.t, len(a.closed.conns), a.limits.ClosedConnections)
	}
	require.False(c.t, c.ended)
	require.GreaterOrEqual(c.t, e.Seq, c.next)
	c.next = e.Seq + 1
	if e.Kind == KindData {
		require.GreaterOrEqual(c.t, e.Offset, c.streams[e.Direction])
		c.streams[e.Direction] = e.Offset + uint64(len(e.Payload))
	}
	for _, consumer := range c.consumers {
		require.NoError(c.t, consumer.Event(e, at))
	}
	return nil
}

func (c *checkedConnection) Fault(f *Fault) {
	require.False(c.t, c.ended)
	for _, consumer := range c.consumers {
		consumer.Fault(f)
	}
}

func (c *checkedConnection) End(v *Verdict) error {
	require.False(c.t, c.ended)
	c.ended = true
	c.open--
	require.NotEmpty(c.t, v.String())
	require.Equal(c.t, v.Cause == nil, v.State == Whole || v.State == Unfinished)
	require.LessOrEqual(c.t, v.UptoSeq, c.next)
	for _, consumer := range c.consumers {
		require.NoError(c.t, consumer.End(v))
	}
	return nil
}
