package capture

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// foreignEvents is a Source of one connection that l4dump has not recorded.
type foreignEvents struct {
	skip   uint64
	events []Event
}

func (s *foreignEvents) Read(_ context.Context, a *Assembler) error {
	if err := a.Skip(connA, s.skip); err != nil {
		return err
	}
	if err := a.Foreign(connA); err != nil {
		return err
	}
	for i := range s.events {
		e := s.events[i]
		e.Header = Header{Port: 8080, Conn: connA, Seq: s.skip + uint64(i), Time: startTime}
		if err := a.Add(&e, Fingerprint{Sum: uint64(i), Length: 1}, Place{Input: Name("tap"), Number: int64(i + 1)}, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

func foreignData(offset uint64, payload string, cut bool) Event {
	return Event{Kind: KindData, Offset: offset, Payload: []byte(payload), Cut: cut}
}

var (
	foreignOpen  = Event{Kind: KindOpen, Open: &Open{Unit: "connections"}}
	foreignClose = Event{Kind: KindClose, Close: &Close{By: "unknown"}}
)

// TestForeign holds what is said of a connection whose source counts no bytes that it did not record.
func TestForeign(t *testing.T) {
	const about = ": connection 9f0c6a1be3d2a417-2a: "
	for _, row := range []struct {
		name    string
		skip    uint64
		events  []Event
		faults  []string
		verdict string
	}{
		{"whole", 0, []Event{foreignOpen, foreignData(0, "ab", false), foreignClose}, nil, "whole"},
		{
			"a gap", 0,
			[]Event{foreignOpen, foreignData(0, "ab", false), foreignData(3, "d", false), foreignClose},
			[]string{"tap:3" + about + "byte 2 of downstream is not in the capture"},
			"certain up to byte 2 of downstream and 0 of upstream: byte 2 of downstream is not in the capture",
		},
		{
			"its beginning is missing", 1,
			[]Event{foreignData(0, "ab", false), foreignClose},
			[]string{"tap:1" + about + "its beginning is missing: it began before the capture did"},
			"broken: its beginning is missing: it began before the capture did",
		},
		{
			"its end is missing", 0,
			[]Event{foreignOpen, foreignData(0, "ab", false)},
			[]string{"tap:2" + about + "its end is missing: it was still open, or the capture ends early"},
			"still open at the end of the input",
		},
		{
			"bytes are missing, and how many is not known", 0,
			[]Event{foreignOpen, foreignData(0, "ab", true), foreignData(2, "d", false), foreignClose},
			[]string{"tap:2" + about + "bytes of downstream may be missing from byte 2 on, and how many is not known"},
			"certain up to byte 2 of downstream and 0 of upstream: " +
				"bytes of downstream may be missing from byte 2 on, and how many is not known",
		},
		{
			"not even the first byte is certain", 0,
			[]Event{foreignOpen, foreignData(0, "", true), foreignData(0, "d", false), foreignClose},
			[]string{"tap:2" + about + "bytes of downstream may be missing from byte 0 on, and how many is not known"},
			"broken: bytes of downstream may be missing from byte 0 on, and how many is not known",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var faults failures
			var got *Conversation
			_, err := Read(t.Context(), SinkFunc(func(c *Connection) Consumer {
				require.True(t, c.Foreign)
				return NewConversation(c, 1<<20, func(c *Conversation) error { got = c; return nil })
			}), Options{Reporter: &faults}, &foreignEvents{row.skip, row.events})
			require.NoError(t, err)
			require.Equal(t, row.faults, []string(faults))
			require.Equal(t, row.verdict, got.Verdict.String())
		})
	}
	t.Run("once more after its close", func(t *testing.T) {
		var faults failures
		source := &foreignEvents{0, []Event{foreignOpen, foreignClose}}
		stats, err := Read(t.Context(), SinkFunc(func(*Connection) Consumer { return nil }), Options{Reporter: &faults}, source, source)
		require.NoError(t, err)
		require.Equal(t, Stats{Records: 2, Connections: 1, Faults: 2}, stats)
	})
}

// TestCut holds that nothing joins what stands on either side of bytes that may be missing, and how the writers say so.
func TestCut(t *testing.T) {
	var turns []string
	_, err := Read(t.Context(), SinkFunc(func(c *Connection) Consumer {
		return NewConversation(c, 1<<20, func(c *Conversation) error {
			for _, turn := range c.Turns {
				turns = append(turns, string(turn.Bytes))
			}
			return nil
		})
	}), Options{}, &foreignEvents{0, []Event{
		foreignOpen, foreignData(0, "a", false), foreignData(1, "b", true), foreignData(2, "", false), foreignData(2, "c", false),
		foreignData(3, "", true), foreignData(3, "d", false), foreignData(4, "e", false), foreignClose,
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"ab", "c", "de"}, turns)

	e := foreignData(1, "b", true)
	require.Contains(t, string(appendHeadline(nil, &e)), "downstream at 1, 1 byte, more may be missing")
	require.Contains(t, string(appendJSON(nil, &e)), `"length":1,"cut":true,"data":"Yg=="`)
}

// TestDetached holds that an event comes back from its text and its payload.
func TestDetached(t *testing.T) {
	h := Header{Window: windowA, Port: 8080, Conn: connA, Seq: 3, Time: startTime}
	for _, row := range []struct {
		name    string
		event   Event
		foreign bool
	}{
		{"open", Event{Kind: KindOpen, Header: h, Open: &Open{Unit: "connections", Source: "10.0.0.7:40112"}}, false},
		{"data", Event{Kind: KindData, Header: h, Direction: Upstream, Offset: 7, Payload: []byte("a\x00"), Masked: 1}, false},
		{"data, cut", Event{Kind: KindData, Header: h, Payload: []byte{}, Cut: true}, true},
		{"end", Event{Kind: KindEnd, Header: h, Direction: Upstream, Offset: 7}, true},
		{"close", Event{Kind: KindClose, Header: h, Close: &Close{By: "proxy", HasLedger: true, Ledger: [2]Ledger{{Seen: 1, Kept: 1}, {}}}}, false},
		{"close without a ledger", Event{Kind: KindClose, Header: h, Close: &Close{By: "unknown"}}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := AppendDetached([]byte("before "), &row.event, row.foreign)[len("before "):]
			got, err := ParseDetached(text, row.event.Payload)
			require.NoError(t, err)
			require.Equal(t, row.event, got.Event)
			require.Equal(t, row.foreign, got.Foreign)
			require.Positive(t, got.Print.Length)
		})
	}
	_, err := ParseDetached([]byte("no record"), nil)
	require.Error(t, err)
}
