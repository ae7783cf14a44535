package capture

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// conversationOf returns the only connection of a log.
func conversationOf(t *testing.T, max int, log []string) *Conversation {
	t.Helper()
	var got *Conversation
	_, err := Read(t.Context(), SinkFunc(func(c *Connection) Consumer {
		return NewConversation(c, max, func(c *Conversation) error { got = c; return nil })
	}), Options{Limits: Limits{HeldRecords: 1}}, recordLines(log))
	require.NoError(t, err)
	return got
}

func TestConversation(t *testing.T) {
	r := newRecorder(connA)
	log := []string{
		r.open(), r.data(0, "ab"), r.data(0, ""), r.data(0, "c"), r.data(1, "de"), r.data(0, "f"), r.end(0),
	}
	r.offsets[1] += 4
	log = append(log, r.data(1, "g"), r.closeWith(record.Ledger{Seen: 4, Kept: 4}, record.Ledger{
		Seen: 7, Kept: 3, Dropped: []record.Drop{{Reason: "budget", Bytes: 4}},
	}))
	at := func(seq uint64) int64 { return startTime + int64(seq)*1_000_000 }
	turns := []Turn{
		{Direction: 0, Offset: 0, First: at(1), Last: at(3), FirstSeq: 1, LastSeq: 3, Bytes: []byte("abc")},
		{Direction: 1, Offset: 0, First: at(4), Last: at(4), FirstSeq: 4, LastSeq: 4, Bytes: []byte("de")},
		{Direction: 0, Offset: 3, First: at(5), Last: at(5), FirstSeq: 5, LastSeq: 5, Bytes: []byte("f")},
		{Direction: 1, Offset: 6, First: at(7), Last: at(7), FirstSeq: 7, LastSeq: 7, Bytes: []byte("g")},
	}
	got := conversationOf(t, 7, log)
	require.Equal(t, turns, got.Turns)
	require.Equal(t, uint64(4), *got.Ends[Downstream])
	require.Nil(t, got.Ends[Upstream])
	require.False(t, got.Truncated)
	require.Equal(t, Connection{
		ID: connA, Port: 8080, Window: windowA, Time: startTime, Open: &Open{
			Unit: "connections", Started: startTime - 1000, ProxyConn: 12, HasProxyConn: true, Source: "10.0.0.7:40112",
			Destination: "10.0.0.9:8080", SNI: "db.example", Peer: "spiffe://cluster.local/ns/demo", MTLS: true,
		},
	}, *got.Connection)
	require.Len(t, got.Faults, 2)
	require.Equal(t, Prefix, got.Verdict.State)
	require.Equal(t, [2]uint64{3, 2}, got.Verdict.Upto, "the gap may lie anywhere after upstream's last bytes before it")
	require.Equal(t, "downstream", got.Verdict.Close.By)

	for _, row := range []struct {
		name string
		max  int
		want string
	}{
		{"at the bound", 7, "abc de f g"},
		{"exceeds it by 1", 6, "abc de f"},
		{"ends in a turn", 2, "ab"},
		{"nothing", 0, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := conversationOf(t, row.max, log)
			var turns []string
			for _, turn := range got.Turns {
				turns = append(turns, string(turn.Bytes))
			}
			require.Equal(t, row.want, strings.Join(turns, " "))
			require.Equal(t, row.max < 7, got.Truncated)
			require.Equal(t, Prefix, got.Verdict.State, "of the recording, whatever is kept of it")
		})
	}
	t.Run("faults are bounded", func(t *testing.T) {
		for _, row := range []struct {
			name  string
			count int
		}{{"at the bound", maxFaults}, {"exceeds it by 1", maxFaults + 1}} {
			log := []string{conversation(connA)[0]}
			for range row.count - 1 {
				log = append(log, log[0])
			}
			got := conversationOf(t, 0, log) // and one: no close record
			require.Len(t, got.Faults, maxFaults, row.name)
			require.Equal(t, row.count > maxFaults, got.Truncated, row.name)
		}
	})
}

// memory is a Source that has its events already.
type memory []Event

func (m memory) String() string { return "memory" }

func (m memory) Read(ctx context.Context, a *Assembler) error {
	for i := range m {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := Place{Input: m, Number: int64(i + 1)}
		if err := a.Add(&m[i], Fingerprint{Length: 1, Sum: uint64(i)}, at, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// recording is a connection that a source without a ledger saw, in the order in which it came.
func recording() memory {
	header := func(seq uint64) Header { return Header{Conn: ID{VM: 1, Number: 1}, Port: 6379, Seq: seq} }
	return memory{
		{Kind: KindOpen, Header: header(0), Open: &Open{Source: "10.0.0.7:40112"}},
		{Kind: KindData, Header: header(2), Direction: Upstream, Payload: []byte("+PONG\r\n")},
		{Kind: KindData, Header: header(1), Direction: Downstream, Payload: []byte("PING\r\n")},
		{Kind: KindClose, Header: header(3), Close: &Close{By: "downstream"}},
	}
}

// A connection is asked for once it begins, and judged when it ends.
func ExampleRead() {
	const maxBytes = 1 << 20
	sink := SinkFunc(func(c *Connection) Consumer {
		return NewConversation(c, maxBytes, func(c *Conversation) error {
			fmt.Printf("%s from %s: %s\n", c.Connection.ID, c.Connection.Open.Source, c.Verdict)
			for _, turn := range c.Turns {
				fmt.Printf("%s: %q\n", turn.Direction, turn.Bytes)
			}
			return nil
		})
	})
	stats, err := Read(context.Background(), sink, Options{}, recording())
	fmt.Println(stats, err)
	// Output:
	// 0000000000000001-1 from 10.0.0.7:40112: whole
	// downstream: "PING\r\n"
	// upstream: "+PONG\r\n"
	// 4 records of 1 connection: 6 bytes downstream, 7 bytes upstream; 0 faults <nil>
}

// What is missing is said to the Reporter as it shows, and in the Verdict.
func ExampleVerdict() {
	source := recording()[1:]
	sink := SinkFunc(func(c *Connection) Consumer {
		return NewConversation(c, 0, func(c *Conversation) error {
			fmt.Println(c.Verdict.State == Broken, c.Verdict.Cause.Kind == FaultNoOpen)
			fmt.Println(c.Verdict)
			return nil
		})
	})
	_, err := Read(context.Background(), sink, Options{}, source)
	fmt.Println(err)
	// Output:
	// true true
	// broken: the log begins at its record 1: what came before is missing
	// <nil>
}

// TestRead holds what a source's error does.
func TestRead(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var ended int
	sink := SinkFunc(func(c *Connection) Consumer {
		return NewConversation(c, 0, func(*Conversation) error { ended++; return errDisk })
	})
	_, err := Read(ctx, sink, Options{}, recording())
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, ended)

	_, err = Read(t.Context(), sink, Options{}, recording())
	require.Equal(t, errDisk, err, "of the consumer's end")
	require.Equal(t, 1, ended)

	var faults failures
	_, err = Read(t.Context(), sink, Options{Reporter: &faults}, recording()[:3])
	require.Equal(t, errDisk, err)
	require.Equal(t, failures{
		"memory:3: connection 0000000000000001-1: no close record: it was still open, or the log ends early",
	}, faults)
}

// TestSeveralSources holds that sources are one recording.
func TestSeveralSources(t *testing.T) {
	var got []string
	sink := SinkFunc(func(c *Connection) Consumer {
		return NewConversation(c, 100, func(c *Conversation) error {
			got = append(got, fmt.Sprint(c.Verdict, len(c.Turns)))
			return nil
		})
	})
	events := recording()
	stats, err := Read(t.Context(), sink, Options{}, events[2:], events[:2])
	require.NoError(t, err)
	require.Equal(t, []string{"whole 2"}, got)
	require.Equal(t, Stats{Records: 4, Connections: 1, Bytes: [2]uint64{6, 7}}, stats)
}

// TestWithoutALedger writes a connection of a source that counts no bytes.
func TestWithoutALedger(t *testing.T) {
	var text, json strings.Builder
	for _, w := range []Writer{NewTextWriter(&text, false), NewJSONWriter(&json)} {
		_, err := Read(t.Context(), w, Options{}, recording())
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	require.Contains(t, text.String(), " #3 close by downstream\n")
	require.Contains(t, json.String(), `,"by":"downstream"}`+"\n")
}
