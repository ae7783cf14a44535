package playbook_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/internal/capture"
	. "l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/http1"
	"l4dump/internal/protocol/resp"
)

// chunk is as long as what a stream keeps in memory.
const chunk = 16 << 10

const (
	down = capture.Downstream
	up   = capture.Upstream
)

func TestSteps(t *testing.T) {
	for _, row := range []struct {
		name    string
		client  *playbooktest.Client
		options Options
		cut     string
		want    []string
	}{
		{"request and answer", playbooktest.NewClient(1).Open().Data(down, "GET /a").Data(up, "alpha").Data(down, "GET /b").Data(up, "beta").Close("downstream"), Options{}, "", []string{
			`1ms send "GET /a" after 0 bytes at 0ms`,
			`3ms send "GET /b" after 5 bytes at 2ms`,
			`5ms close "" after 9 bytes at 4ms`,
			`turn  "GET /a" "alpha"`, `turn  "GET /b" "beta"`,
		}},
		{"server first", playbooktest.NewClient(1).Open().Data(up, "hello").Data(down, "hi").Data(up, "you").Close("downstream"), Options{}, "", []string{
			`2ms send "hi" after 5 bytes at 1ms`,
			`4ms close "" after 8 bytes at 3ms`,
			`turn  "" "hello"`, `turn  "hi" "you"`,
		}},
		{"no answer", playbooktest.NewClient(1).Open().Data(down, "a").Data(down, "b").Close("downstream"), Options{}, "", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms send "b" after 0 bytes at 0ms`, `3ms close "" after 0 bytes at 0ms`,
			`turn  "ab" ""`,
		}},
		{"half-closed by both", playbooktest.NewClient(1).Open().Data(down, "a").End(down).Data(up, "b").End(up).Close("upstream"), Options{}, "", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms half-close "" after 0 bytes at 0ms`, `5ms close "" after 1 bytes and end at 4ms`,
			`turn  "a" "b"`,
		}},
		{"the server ends first", playbooktest.NewClient(1).Open().End(up).Data(down, "late").Close("downstream"), Options{}, "", []string{
			`2ms send "late" after 0 bytes and end at 1ms`, `3ms close "" after 0 bytes and end at 1ms`,
			`turn  "late" ""`,
		}},
		{"closed by the server without an end", playbooktest.NewClient(1).Open().Data(down, "a").Close("upstream"), Options{}, "", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms close "" after 0 bytes and end at 0ms`,
			`turn  "a" ""`,
		}},
		{"nothing", playbooktest.NewClient(1).Open().Close("downstream"), Options{}, "", []string{`1ms close "" after 0 bytes at 0ms`}},
		{"open at the end", playbooktest.NewClient(1).Open().Data(down, "a").Data(up, "b").Data(down, "c"), Options{}, "still open at the end of the recording", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms close "" after 1 bytes at 2ms`,
			`turn  "a" "b" open`,
		}},
		{"until the gap", withoutEvent(playbooktest.NewClient(1).Open().Data(down, "a").Data(up, "b").Data(down, "c").Data(up, "d").Close("downstream"), 4), Options{UntilGap: true}, "records are missing", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms close "" after 1 bytes at 2ms`,
			`turn  "a" "b" open`,
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, row.options, row.client.Events)
			require.Empty(t, book.Refused)
			require.Equal(t, 1, book.Len())
			s, err := book.Script(0)
			require.NoError(t, err)
			require.Equal(t, row.want, describe(t, s))
			require.Equal(t, row.cut, s.Cut)
		})
	}
}

func withoutEvent(c *playbooktest.Client, i int) *playbooktest.Client {
	c.Events = append(c.Events[:i:i], c.Events[i+1:]...)
	return c
}

func TestRefusals(t *testing.T) {
	const hello = "\x16\x03\x01\x00\x20\x01hello"
	windows := playbooktest.NewClient(1)
	windows.Unit = "bytes"
	gap := func() *playbooktest.Client {
		return withoutEvent(playbooktest.NewClient(1).Open().Data(down, "a").Data(up, "b").Data(down, "c").Close("downstream"), 3)
	}
	for _, row := range []struct {
		name    string
		client  *playbooktest.Client
		options Options
		want    string
	}{
		{"whole", playbooktest.NewClient(1).Open().Data(down, "a").Close("downstream"), Options{}, ""},
		{"windows", windows.Open().Data(down, "a").Close("downstream"), Options{}, "recorded in windows (unit=bytes): the beginning or bytes between windows are missing"},
		{"no beginning", withoutEvent(playbooktest.NewClient(1).Open().Data(down, "a").Close("downstream"), 0), Options{}, "broken: the beginning is missing"},
		{"gap", gap(), Options{}, "not whole: records are missing"},
		{"until the gap", gap(), Options{UntilGap: true}, ""},
		{"gap before any turn", withoutEvent(playbooktest.NewClient(1).Open().Data(down, "a").Data(up, "b").Close("downstream"), 2), Options{UntilGap: true}, "cut off before any turn was complete: records are missing"},
		{"dropped", dropped(), Options{}, "not whole: the recorder dropped bytes (budget)"},
		{"masked", playbooktest.NewClient(1).Open().Masked(down, "***").Close("downstream"), Options{}, "masked: bytes were overwritten by the recorder"},
		{"masked and taken", playbooktest.NewClient(1).Open().Masked(down, "***").Close("downstream"), Options{Masked: true}, ""},
		{"TLS", playbooktest.NewClient(1).Open().Data(down, hello).Close("downstream"), Options{}, "TLS: what was recorded is ciphertext"},
		{"TLS later", playbooktest.NewClient(1).Open().Data(down, "STARTTLS\r\n").Data(up, "220 ok\r\n").Data(down, hello).Close("downstream"), Options{}, "TLS after a beginning in plain text: what was recorded is ciphertext"},
		{"open without an answer", playbooktest.NewClient(1).Open().Data(down, "a"), Options{}, "cut off before any turn was complete: still open at the end of the recording"},
		{"before a connection manager", before("GET / HTTP/1.1\r\nhost: a\r\n\r\n").Close("downstream"), Options{}, ""},
		{"before a connection manager, no HTTP/1", before("a").Close("downstream"), Options{}, ""},
		{"before a connection manager, malformed", before("GET / HTTP/1.1\r\nhost a\r\n\r\n").Close("downstream"), Options{}, "before an HTTP connection manager: bytes of the client may stand more than once"},
		{"HTTP/2", playbooktest.NewClient(1).Open().Data(down, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").Close("downstream"), Options{}, "HTTP/2: its bytes are valid only in the connection in which they were sent"},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, row.options, row.client.Events)
			require.Equal(t, uint64(1), book.Recorded)
			if row.want == "" {
				require.Empty(t, book.Refused)
				require.Equal(t, 1, book.Len())
				return
			}
			require.Equal(t, []Refusal{{row.want, 1, capture.ID{VM: 7, Number: 1}}}, book.Refused)
			require.Zero(t, book.Len())
		})
	}
}

// before makes a connection before an HTTP connection manager.
func before(request string) *playbooktest.Client {
	c := playbooktest.NewClient(1)
	c.Next = capture.NextRepeats
	return c.Open().Data(down, request)
}

// TestDestroyers has a connection that would empty a Redis.
func TestDestroyers(t *testing.T) {
	log := playbooktest.NewClient(1).Open().Data(down, "GET a\r\nflushall async\r\nCONFIG SET a b\r\n").Data(up, "$-1\r\n+OK\r\n+OK\r\n").Close("downstream")
	for _, row := range []struct {
		name    string
		allowed []string
		want    string
	}{
		{"none is allowed", nil, "holds FLUSHALL, which is played only if it is allowed"},
		{"one is allowed", []string{"FLUSHALL"}, "holds CONFIG SET, which is played only if it is allowed"},
		{"all are allowed", []string{"FLUSHALL", "CONFIG SET"}, ""},
		{"by verb", []string{"FLUSHALL", "CONFIG"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, Options{Classes: row.allowed, Detector: &protocol.Detector{Only: resp.Protocol{}}}, log.Events)
			if row.want == "" {
				require.Equal(t, 1, book.Len())
				require.Empty(t, book.Refused)
				return
			}
			require.Equal(t, []Refusal{{row.want, 1, log.Header.Conn}}, book.Refused)
			require.Empty(t, book.Totals.Classes)
		})
	}
}

// TestDestroyersWithoutEnd has one that stops to speak Redis after that.
func TestDestroyersWithoutEnd(t *testing.T) {
	log := playbooktest.NewClient(1).Open().Data(down, "SHUTDOWN\r\n").Data(up, "what?\r\n").Close("downstream")
	book := compile(t, Options{Detector: &protocol.Detector{Only: resp.Protocol{}}}, log.Events)
	require.Equal(t, []Refusal{{"holds SHUTDOWN, which is played only if it is allowed", 1, log.Header.Conn}}, book.Refused)
}

func TestClass(t *testing.T) {
	for _, row := range []struct {
		class            Class
		writes, destroys bool
	}{
		{Class{"http1", "GET /a"}, false, false},
		{Class{"http1", "POST /a"}, true, false},
		{Class{"redis", "GET"}, false, false},
		{Class{"redis", "SET"}, true, false},
		{Class{"redis", "CONFIG GET"}, false, false},
		{Class{"redis", "CONFIG SET"}, true, true},
		{Class{"redis", "SHUTDOWN"}, true, true},
		{Class{"other", "SHUTDOWN"}, true, false},
	} {
		t.Run(row.class.Name, func(t *testing.T) {
			require.Equal(t, []bool{row.writes, row.destroys}, []bool{row.class.Writes(), row.class.Destroys()})
		})
	}
}

// TestRefusalsAreBounded has a recording with reasons of its own.
func TestRefusalsAreBounded(t *testing.T) {
	var log playbooktest.Events
	for i := range 150 {
		c := playbooktest.NewClient(uint64(i+1)).Open().Data(down, "a").Data(up, "b")
		c.Offsets[0] += 5
		c.CloseDropped("downstream", 5)
		c.Events[3].Close.Ledger[0].Dropped[0].Reason = "r" + strings.Repeat("x", i)
		log = append(log, c.Events...)
	}
	book := compile(t, Options{}, log)
	require.Len(t, book.Refused, 101)
	require.Equal(t, Refusal{"another reason", 50, capture.ID{VM: 7, Number: 101}}, book.Refused[0])
}

// TestRepetition has pipelined requests that a connection manager left unread: each is sent once.
func TestRepetition(t *testing.T) {
	const a, b, answer = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n", "GET /b HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"
	log := before(a+b).Data(up, answer).Data(down, b+a).Data(up, answer).Data(down, a).Data(up, answer).Close("downstream")
	book := compile(t, Options{Detector: &protocol.Detector{Protocols: []protocol.Protocol{http1.Protocol{}}}}, log.Events)
	require.Empty(t, book.Refused)
	s, err := book.Script(0)
	require.NoError(t, err)
	sent, err := s.ReadSpans(nil, down, Span{0, s.Bytes[down]})
	require.NoError(t, err)
	require.Equal(t, a+b+a, string(sent))
	require.Equal(t, map[Class]uint64{{"http1", "GET /a"}: 2, {"http1", "GET /b"}: 1}, book.Totals.Classes)
}

func dropped() *playbooktest.Client {
	c := playbooktest.NewClient(1).Open().Data(down, "a").Data(up, "b")
	c.Offsets[0] += 5
	return c.CloseDropped("downstream", 5)
}

// TestEveryByteComesBack interleaves connections of any shape and compares what the scripts send and expect.
func TestEveryByteComesBack(t *testing.T) {
	noise := make([]byte, 5*chunk)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "connections")
		clients := make([]*playbooktest.Client, n)
		streams := make([][2]strings.Builder, n)
		open := make([]int, 0, n)
		for i := range clients {
			clients[i] = playbooktest.NewClient(uint64(i + 1)).Open()
			clients[i].Events[0].Open.Started += int64(i)
			open = append(open, i)
		}
		var log playbooktest.Events
		taken := make([]int, n)
		for len(open) > 0 {
			k := rapid.IntRange(0, len(open)-1).Draw(t, "which")
			i := open[k]
			c := clients[i]
			if rapid.IntRange(0, 9).Draw(t, "closes") == 0 {
				c.Close("downstream")
				open = append(open[:k], open[k+1:]...)
			} else {
				d := capture.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
				size := rapid.SampledFrom([]int{0, 1, 7, 100, chunk - 1, chunk, 3*chunk + 5}).Draw(t, "size")
				payload := noise[len(log)%chunk:][:size]
				streams[i][d].Write(payload)
				c.Data(d, string(payload))
			}
			log = append(log, c.Events[taken[i]:]...)
			taken[i] = len(c.Events)
		}
		book := compile(t, Options{}, log)
		defer book.Close()
		require.Equal(t, n, book.Len())
		for i := range n {
			s, err := book.Script(i)
			require.NoError(t, err)
			require.Equal(t, clients[i].Header.Conn, s.ID)
			var sent, request, answer []byte
			steps := s.Steps()
			for {
				step, err := steps.Next()
				require.NoError(t, err)
				if step.Kind == Close {
					break
				}
				require.Equal(t, uint64(len(sent)), step.Span.From)
				sent, err = s.ReadSpans(sent, down, step.Span)
				require.NoError(t, err)
			}
			turns := s.Turns()
			for range s.Info.Turns {
				turn, err := turns.Next()
				require.NoError(t, err)
				request, err = s.ReadSpans(request, down, turn.Request)
				require.NoError(t, err)
				answer, err = s.ReadSpans(answer, up, turn.Answer...)
				require.NoError(t, err)
			}
			require.True(t, streams[i][down].String() == string(sent), "what is sent")
			require.True(t, string(sent) == string(request), "requests")
			require.True(t, streams[i][up].String() == string(answer), "answers")
		}
	})
}

func TestNoFileIsLeft(t *testing.T) {
	dir := t.TempDir()
	c, err := NewCompiler(Options{Dir: dir})
	require.NoError(t, err)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
}

func TestShards(t *testing.T) {
	var log playbooktest.Events
	const all = 1000
	for i := range all {
		log = append(log, playbooktest.NewClient(uint64(i+1)).Open().Data(down, "a").Close("downstream").Events...)
	}
	got := map[capture.ID]int{}
	for shard := range 3 {
		book := compile(t, Options{Shard: shard, Shards: 3}, log)
		require.InDelta(t, all/3, book.Len(), all/10)
		for i := range book.Len() {
			s, err := book.Script(i)
			require.NoError(t, err)
			got[s.ID]++
		}
	}
	require.Len(t, got, all, "each connection is in one shard")
}

func TestPeak(t *testing.T) {
	var log playbooktest.Events
	for i := range 3 { // of 2 ms each, a millisecond after each other
		c := playbooktest.NewClient(uint64(i + 1))
		c.Header.Time += int64(i) * 1e6
		c.Open().Data(down, "a").Close("downstream")
		c.Events[0].Open.Started = c.Events[0].Time
		log = append(log, c.Events...)
	}
	require.Equal(t, 3, compile(t, Options{}, log).Totals.Peak)
	require.Equal(t, 2, compile(t, Options{}, append(log[:3:3], log[3:6]...)).Totals.Peak)
}
