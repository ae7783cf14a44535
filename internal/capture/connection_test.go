package capture

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/record"
)

// verdicts decodes a log and returns the verdict of each connection, in the order in which they ended.
func verdicts(t *testing.T, options Options, log []string) []Verdict {
	t.Helper()
	var got []Verdict
	_, err := Read(t.Context(), SinkFunc(func(c *Connection) Consumer {
		return NewConversation(c, 1<<20, func(c *Conversation) error {
			got = append(got, *c.Verdict)
			return nil
		})
	}), options, recordLines(log))
	require.NoError(t, err)
	return got
}

// TestVerdict holds what is said of a connection from which records are left out, or of which bytes were not recorded.
func TestVerdict(t *testing.T) {
	lines := conversation(connA)
	drop := func(seen, kept uint64, drops ...record.Drop) record.Ledger {
		return record.Ledger{Seen: seen, Kept: kept, Dropped: drops}
	}
	nothing := record.Ledger{}
	open := func(r *recorder, o record.Open) string {
		defer r.step()
		return string(record.AppendOpen(nil, &r.header, &o))
	}
	type verdict struct {
		text     string
		uptoSeq  uint64
		upto     [2]uint64
		received [2]uint64
	}
	for _, row := range []struct {
		name    string
		options Options
		log     func() []string
		want    verdict
	}{
		{"whole", Options{}, func() []string { return lines }, verdict{
			"whole", 6, [2]uint64{18, 28}, [2]uint64{18, 28},
		}},
		{"masked bytes", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{
				r.open(), r.masked(record.Downstream, "a**"), r.masked(record.Upstream, "*"),
				r.closeWith(record.Ledger{Seen: 3, Kept: 3, Masked: 2}, record.Ledger{Seen: 1, Kept: 1, Masked: 1}),
			}
		}, verdict{
			"whole; not exact: 3 bytes masked", 4, [2]uint64{3, 1}, [2]uint64{3, 1},
		}},
		{"records in another order", Options{}, func() []string {
			return []string{lines[5], lines[3], lines[4], lines[0], lines[2], lines[1]}
		}, verdict{
			"whole", 6, [2]uint64{18, 28}, [2]uint64{18, 28},
		}},
		{"a record twice", Options{}, func() []string { return insert(lines, 3, lines[1]) }, verdict{
			"whole", 6, [2]uint64{18, 28}, [2]uint64{18, 28},
		}},
		{"close missing", Options{}, func() []string { return lines[:5] }, verdict{
			"still open at the end of the input", 5, [2]uint64{18, 28}, [2]uint64{18, 28},
		}},
		{"close missing, live", Options{LossTimeout: 1}, func() []string { return lines[:5] }, verdict{
			"still open at the end of the input", 5, [2]uint64{18, 28}, [2]uint64{18, 28},
		}},
		{"open missing", Options{}, func() []string { return lines[1:] }, verdict{
			"broken: the log begins at its record 1: what came before is missing", 0, [2]uint64{}, [2]uint64{18, 28},
		}},
		{"first bytes missing", Options{}, func() []string { return without(lines, 1) }, verdict{
			"broken: record 1 is missing", 1, [2]uint64{}, [2]uint64{0, 28},
		}},
		{"record missing", Options{}, func() []string { return without(lines, 3) }, verdict{
			"certain up to byte 18 of downstream and 0 of upstream: record 3 is missing", 3, [2]uint64{18, 0}, [2]uint64{18, 0},
		}},
		{"contradiction", Options{}, func() []string {
			r := newRecorder(connA)
			r.open()
			return insert(lines, 3, r.data(record.Downstream, "other"))
		}, verdict{
			"broken: record 1 contradicts what was recorded before: skipped", 0, [2]uint64{}, [2]uint64{18, 28},
		}},
		// The bytes 5 to 6 of downstream were dropped somewhere between records 1 and 4: what upstream sent meanwhile
		// may answer bytes that are not there.
		{"dropped between records", Options{}, func() []string {
			r := newRecorder(connA)
			log := []string{r.open(), r.data(0, "12345"), r.data(1, "a"), r.data(1, "b")}
			r.offsets[0] += 2
			return append(log, r.data(0, "8"), r.closeWith(drop(8, 6, record.Drop{Reason: "budget", Bytes: 2}), drop(2, 2)))
		}, verdict{
			"certain up to byte 5 of downstream and 0 of upstream: bytes 5-6 of downstream are not recorded: dropped by the recorder",
			2,
			[2]uint64{5, 0},
			[2]uint64{6, 2},
		}},
		{"dropped before the end record", Options{}, func() []string {
			r := newRecorder(connA)
			log := []string{r.open(), r.data(1, "a"), r.data(0, "12345"), r.data(1, "b")}
			r.offsets[0] += 2
			return append(log, r.end(0), r.closeWith(drop(7, 5, record.Drop{Reason: "budget", Bytes: 2}), drop(2, 2)))
		}, verdict{
			"certain up to byte 5 of downstream and 1 of upstream: bytes 5-6 of downstream are not recorded: dropped by the recorder",
			3,
			[2]uint64{5, 1},
			[2]uint64{5, 2},
		}},
		{"dropped after the last record", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{r.open(), r.data(0, "12345"), r.data(1, "a"), r.closeWith(
				drop(7, 5, record.Drop{Reason: "queue", Bytes: 2}), drop(1, 1))}
		}, verdict{
			"certain up to byte 5 of downstream and 0 of upstream: the recorder dropped 2 bytes of downstream: queue 2",
			2,
			[2]uint64{5, 0},
			[2]uint64{5, 1},
		}},
		{"one byte dropped of each direction", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{r.open(), r.data(0, "12345"), r.data(1, "a"), r.closeWith(
				drop(6, 5, record.Drop{Reason: "budget", Bytes: 1}), drop(2, 1, record.Drop{Reason: "budget", Bytes: 1}))}
		}, verdict{
			"certain up to byte 5 of downstream and 0 of upstream: the recorder dropped 1 byte of downstream: budget 1",
			2,
			[2]uint64{5, 0},
			[2]uint64{5, 1},
		}},
		{"dropped after the end record", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{r.open(), r.data(0, "12345"), r.data(1, "a"), r.end(0), r.data(1, "b"), r.closeWith(
				drop(7, 5, record.Drop{Reason: "budget", Bytes: 2}), drop(2, 2))}
		}, verdict{
			"certain up to byte 5 of downstream and 1 of upstream: the recorder dropped 2 bytes of downstream: budget 2",
			4,
			[2]uint64{5, 1},
			[2]uint64{5, 2},
		}},
		{"bytes that overlap", Options{}, func() []string {
			r := newRecorder(connA)
			log := []string{r.open(), r.data(0, "12345")}
			r.offsets[0] = 4
			return append(log, r.data(0, "x"), r.close())
		}, verdict{
			"broken: record 2 contradicts what was recorded before: skipped", 0, [2]uint64{}, [2]uint64{5, 0},
		}},
		{"a direction that is not captured", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{r.open(), r.data(0, "12345"), r.closeWith(
				drop(5, 5), drop(9, 0, record.Drop{Reason: "direction", Bytes: 9}))}
		}, verdict{
			"broken: the recorder dropped 9 bytes of upstream: direction 9", 1, [2]uint64{}, [2]uint64{5, 0},
		}},
		{"between two windows", Options{}, func() []string {
			r := newRecorder(connA)
			log := []string{open(r, record.Open{Unit: "bytes"}), r.data(0, "12345")}
			r.header.Window = windowB
			r.offsets[0] += 3
			return append(log, r.data(0, "9"), r.closeWith(drop(9, 6, record.Drop{Reason: "window_closed", Bytes: 3}), nothing))
		}, verdict{
			"certain up to byte 5 of downstream and 0 of upstream: bytes 5-7 of downstream are not recorded: dropped by the recorder",
			2,
			[2]uint64{5, 0},
			[2]uint64{6, 0},
		}},
		{"numbers that do not add up", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{r.open(), r.data(0, "12345"), r.closeWith(drop(6, 5), nothing)}
		}, verdict{
			"broken: downstream: close record's numbers do not add up: seen is not kept and dropped",
			0,
			[2]uint64{},
			[2]uint64{5, 0},
		}},
		{"not asked for", Options{Filter: Filter{Windows: []record.UUID{windowA}}}, func() []string {
			r := newRecorder(connA)
			log := []string{open(r, record.Open{Unit: "bytes"}), r.data(0, "12345"), r.data(1, "a")}
			r.header.Window = windowB
			log = append(log, r.data(0, "678"))
			r.header.Window = windowA
			return append(log, r.data(0, "9"), r.close())
		}, verdict{
			"certain up to byte 5 of downstream and 1 of upstream: record 3 was not asked for", 3, [2]uint64{5, 1}, [2]uint64{6, 1},
		}},
		{"made room for another", Options{Limits: Limits{OpenConnections: 1}, LossTimeout: 1}, func() []string {
			return []string{lines[0], lines[1], conversation(connB)[0]}
		}, verdict{
			"certain up to byte 18 of downstream and 0 of upstream: forgotten to make room: too many connections are open",
			2,
			[2]uint64{18, 0},
			[2]uint64{18, 0},
		}},
		{"before an HTTP connection manager", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{open(r, record.Open{Unit: "connections", Next: "http_connection_manager"}), r.data(0, "12345"), r.close()}
		}, verdict{
			"whole; not exact: bytes of downstream may stand more than once before an HTTP connection manager",
			3,
			[2]uint64{5, 0},
			[2]uint64{5, 0},
		}},
		{"before an HTTP connection manager, without bytes", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{open(r, record.Open{Unit: "connections", Next: "http_connection_manager"}), r.data(1, "12345"), r.close()}
		}, verdict{"whole", 3, [2]uint64{0, 5}, [2]uint64{0, 5}}},
		{"before tcp_proxy", Options{}, func() []string {
			r := newRecorder(connA)
			return []string{open(r, record.Open{Unit: "connections", Next: "tcp_proxy"}), r.data(0, "12345"), r.close()}
		}, verdict{"whole", 3, [2]uint64{5, 0}, [2]uint64{5, 0}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := verdicts(t, row.options, row.log())
			require.NotEmpty(t, got)
			v := &got[0]
			require.Equal(t, row.want, verdict{v.String(), v.UptoSeq, v.Upto, v.Received})
		})
	}
}

// TestVerdictIsTrue drops and loses bytes at random, and holds that what a verdict calls certain is what was sent: all
// events before UptoSeq, with exactly the first Upto bytes of each stream.
func TestVerdictIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type sent struct {
			direction record.Direction
			payload   string
			dropped   bool
		}
		r := newRecorder(connA)
		lines := []string{r.open()}
		var history []sent
		var ledgers [2]record.Ledger
		var streams [2]string
		for range rapid.IntRange(0, 12).Draw(t, "passes") {
			s := sent{
				direction: record.Direction(rapid.IntRange(0, 1).Draw(t, "direction")),
				payload:   rapid.StringN(1, 5, 5).Draw(t, "payload"),
				dropped:   rapid.IntRange(0, 5).Draw(t, "dropped") == 0,
			}
			history = append(history, s)
			l, n := &ledgers[s.direction], uint64(len(s.payload))
			l.Seen += n
			streams[s.direction] += s.payload
			if s.dropped {
				if len(l.Dropped) == 0 {
					l.Dropped = []record.Drop{{Reason: "budget"}}
				}
				l.Dropped[0].Bytes += n
				r.offsets[s.direction] += n
				continue
			}
			l.Kept += n
			lines = append(lines, r.data(s.direction, s.payload))
		}
		lines = append(lines, r.closeWith(ledgers[0], ledgers[1]))
		lost := -1
		if rapid.Bool().Draw(t, "loss") {
			lost = rapid.IntRange(0, len(lines)-1).Draw(t, "lost")
			lines = without(lines, lost)
		}
		var c *Conversation
		_, err := Read(t.Context(), SinkFunc(func(info *Connection) Consumer {
			return NewConversation(info, 1<<20, func(got *Conversation) error { c = got; return nil })
		}), Options{}, recordLines(lines))
		require.NoError(t, err)
		if c == nil {
			require.Empty(t, lines)
			return
		}
		v := c.Verdict
		var got [2]string
		for _, turn := range c.Turns {
			if turn.LastSeq < v.UptoSeq {
				got[turn.Direction] += string(turn.Bytes)
			} else if turn.FirstSeq < v.UptoSeq { // part of it
				n := v.Upto[turn.Direction] - turn.Offset
				got[turn.Direction] += string(turn.Bytes[:n])
			}
		}
		for d, text := range got {
			require.Equal(t, streams[d][:v.Upto[d]], text)
		}
		// No byte of the other direction that passed after a dropped one is called certain, unless the close record,
		// which would tell, is missing.
		var passed [2]uint64
		if v.Close == nil {
			return
		}
		for _, s := range history {
			if s.dropped {
				require.LessOrEqual(t, v.Upto[0], passed[0])
				require.LessOrEqual(t, v.Upto[1], passed[1])
				break
			}
			passed[s.direction] += uint64(len(s.payload))
		}
		dropped := len(ledgers[0].Dropped)+len(ledgers[1].Dropped) > 0
		require.Equal(t, lost < 0 && !dropped, v.State == Whole)
	})
}

// TestLateLoss has a recorder move bytes from kept to the reason "sink" when it learns that they were lost.
func TestLateLoss(t *testing.T) {
	sink := func(n uint64) []record.Drop { return []record.Drop{{Reason: "sink", Bytes: n}} }
	const kept = "downstream: close record and data records disagree on the bytes that were kept"
	for _, row := range []struct {
		name  string
		lose  bool // the record with "678"
		down  record.Ledger
		want  []string
		state State
	}{
		{"lost and said", true, record.Ledger{Seen: 8, Kept: 5, Dropped: sink(3)}, []string{
			"record 2 is missing", "the recorder dropped 3 bytes of downstream: sink 3",
		}, Prefix},
		{"all of it came still", false, record.Ledger{Seen: 8, Kept: 5, Dropped: sink(3)}, nil, Whole},
		{"one byte more than it came", false, record.Ledger{Seen: 9, Kept: 5, Dropped: sink(4)}, []string{
			"the recorder dropped 1 byte of downstream: sink 1",
		}, Prefix},
		{"one byte less than accounted for", false, record.Ledger{Seen: 7, Kept: 5, Dropped: sink(2)}, []string{kept}, Broken},
		{"another reason does not account for it", false, record.Ledger{
			Seen: 8, Kept: 5, Dropped: []record.Drop{{Reason: "queue", Bytes: 3}},
		}, []string{"the recorder dropped 3 bytes of downstream: queue 3", kept}, Broken},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRecorder(connA)
			log := []string{r.open(), r.data(record.Downstream, "12345"), r.data(record.Downstream, "678")}
			log = append(log, r.closeWith(row.down, record.Ledger{}))
			if row.lose {
				log = without(log, 2)
			}
			got, _ := assemble(t, Options{}, log)
			require.Equal(t, row.want, texts(got.faults))
			require.Equal(t, row.state, verdicts(t, Options{}, log)[0].State)
		})
	}
}

// TestTLS holds what is taken for the begin of a TLS handshake.
func TestTLS(t *testing.T) {
	const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	for _, row := range []struct {
		name       string
		downstream []string
		upstream   []string
		want       bool
	}{
		{"ClientHello", []string{hello}, nil, true},
		{"ServerHello alone", nil, []string{"\x16\x03\x03\x00\x7a\x02\x00"}, true},
		{"just long enough", []string{hello[:6]}, nil, true},
		{"too short by 1", []string{hello[:5]}, nil, false},
		{"byte by byte", strings.Split(hello, ""), nil, true},
		{"SSL 3.0", []string{"\x16\x03\x00\x02\x00\x01"}, nil, true},
		{"version 4.1", []string{"\x16\x04\x01\x02\x00\x01"}, nil, false},
		{"minor version 5", []string{"\x16\x03\x05\x02\x00\x01"}, nil, false},
		{"alert", []string{"\x15\x03\x01\x00\x02\x01"}, nil, false},
		{"longest record", []string{"\x16\x03\x01\x40\x00\x01"}, nil, true},
		{"record too long by 1", []string{"\x16\x03\x01\x40\x01\x01"}, nil, false},
		{"shortest record", []string{"\x16\x03\x01\x00\x04\x01"}, nil, true},
		{"record too short by 1", []string{"\x16\x03\x01\x00\x03\x01"}, nil, false},
		{"ServerHello from the client", []string{"\x16\x03\x03\x00\x7a\x02\x00"}, nil, false},
		{"later in the stream", []string{"x", hello}, nil, false},
		{"plain text", []string{"GET / HTTP/1.1\r\n"}, []string{"HTTP/1.1 200 OK\r\n"}, false},
		{"nothing", nil, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRecorder(connA)
			log := []string{r.open()}
			for _, payload := range row.downstream {
				log = append(log, r.data(record.Downstream, payload))
			}
			for _, payload := range row.upstream {
				log = append(log, r.data(record.Upstream, payload))
			}
			log = append(log, r.close())
			require.Equal(t, row.want, verdicts(t, Options{}, log)[0].TLS)
			_, stats := assemble(t, Options{}, log)
			require.Equal(t, row.want, stats.TLS == 1)
		})
	}
}
