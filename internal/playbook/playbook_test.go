package playbook

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"l4dump/internal/capture"
)

const (
	down = capture.Downstream
	up   = capture.Upstream
)

func TestSteps(t *testing.T) {
	for _, row := range []struct {
		name    string
		client  *client
		options Options
		cut     string
		want    []string
	}{
		{"request and answer", newClient(1).open().data(down, "GET /a").data(up, "alpha").data(down, "GET /b").data(up, "beta").close("downstream"), Options{}, "", []string{
			`1ms send "GET /a" after 0 bytes at 0ms`,
			`3ms send "GET /b" after 5 bytes at 2ms`,
			`5ms close "" after 9 bytes at 4ms`,
			`turn  "GET /a" "alpha"`, `turn  "GET /b" "beta"`,
		}},
		{"server first", newClient(1).open().data(up, "hello").data(down, "hi").data(up, "you").close("downstream"), Options{}, "", []string{
			`2ms send "hi" after 5 bytes at 1ms`,
			`4ms close "" after 8 bytes at 3ms`,
			`turn  "" "hello"`, `turn  "hi" "you"`,
		}},
		{"no answer", newClient(1).open().data(down, "a").data(down, "b").close("downstream"), Options{}, "", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms send "b" after 0 bytes at 0ms`, `3ms close "" after 0 bytes at 0ms`,
			`turn  "ab" ""`,
		}},
		{"half-closed by both", newClient(1).open().data(down, "a").end(down).data(up, "b").end(up).close("upstream"), Options{}, "", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms half-close "" after 0 bytes at 0ms`, `5ms close "" after 1 bytes and end at 4ms`,
			`turn  "a" "b"`,
		}},
		{"the server ends first", newClient(1).open().end(up).data(down, "late").close("downstream"), Options{}, "", []string{
			`2ms send "late" after 0 bytes and end at 1ms`, `3ms close "" after 0 bytes and end at 1ms`,
			`turn  "late" ""`,
		}},
		{"closed by the server without an end", newClient(1).open().data(down, "a").close("upstream"), Options{}, "", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms close "" after 0 bytes and end at 0ms`,
			`turn  "a" ""`,
		}},
		{"nothing", newClient(1).open().close("downstream"), Options{}, "", []string{`1ms close "" after 0 bytes at 0ms`}},
		{"open at the end", newClient(1).open().data(down, "a").data(up, "b").data(down, "c"), Options{}, "still open at the end of the recording", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms close "" after 1 bytes at 2ms`,
			`turn  "a" "b" open`,
		}},
		{"until the gap", withoutEvent(newClient(1).open().data(down, "a").data(up, "b").data(down, "c").data(up, "d").close("downstream"), 4), Options{UntilGap: true}, "records are missing", []string{
			`1ms send "a" after 0 bytes at 0ms`, `2ms close "" after 1 bytes at 2ms`,
			`turn  "a" "b" open`,
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, row.options, row.client.events)
			require.Empty(t, book.Refused)
			require.Equal(t, 1, book.Len())
			s, err := book.Script(0)
			require.NoError(t, err)
			require.Equal(t, row.want, describe(t, s))
			require.Equal(t, row.cut, s.Cut)
		})
	}
}

func withoutEvent(c *client, i int) *client {
	c.events = append(c.events[:i:i], c.events[i+1:]...)
	return c
}

func TestRefusals(t *testing.T) {
	const hello = "\x16\x03\x01\x00\x20\x01hello"
	windows, repeated := newClient(1), newClient(1)
	windows.unit = "bytes"
	repeated.next = "http_connection_manager"
	gap := func() *client {
		return withoutEvent(newClient(1).open().data(down, "a").data(up, "b").data(down, "c").close("downstream"), 3)
	}
	for _, row := range []struct {
		name    string
		client  *client
		options Options
		want    string
	}{
		{"whole", newClient(1).open().data(down, "a").close("downstream"), Options{}, ""},
		{"windows", windows.open().data(down, "a").close("downstream"), Options{}, "recorded in windows (unit=bytes): the beginning or bytes between windows are missing"},
		{"no beginning", withoutEvent(newClient(1).open().data(down, "a").close("downstream"), 0), Options{}, "broken: the beginning is missing"},
		{"gap", gap(), Options{}, "not whole: records are missing"},
		{"until the gap", gap(), Options{UntilGap: true}, ""},
		{"gap before any turn", withoutEvent(newClient(1).open().data(down, "a").data(up, "b").close("downstream"), 2), Options{UntilGap: true}, "cut off before any turn was complete: records are missing"},
		{"dropped", dropped(), Options{}, "not whole: the recorder dropped bytes (budget)"},
		{"masked", newClient(1).open().masked(down, "***").close("downstream"), Options{}, "masked: bytes were overwritten by the recorder"},
		{"masked and taken", newClient(1).open().masked(down, "***").close("downstream"), Options{Masked: true}, ""},
		{"TLS", newClient(1).open().data(down, hello).close("downstream"), Options{}, "TLS: what was recorded is ciphertext"},
		{"TLS later", newClient(1).open().data(down, "STARTTLS\r\n").data(up, "220 ok\r\n").data(down, hello).close("downstream"), Options{}, "TLS after a beginning in plain text: what was recorded is ciphertext"},
		{"open without an answer", newClient(1).open().data(down, "a"), Options{}, "cut off before any turn was complete: still open at the end of the recording"},
		{"pipelined, perhaps twice", repeated.open().data(down, "a").data(down, "ab").close("downstream"), Options{}, "pipelined before an HTTP connection manager: bytes of the client may stand more than once"},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, row.options, row.client.events)
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

func dropped() *client {
	c := newClient(1).open().data(down, "a").data(up, "b")
	c.offsets[0] += 5
	return c.closeDropped("downstream", 5)
}

// TestEveryByteComesBack interleaves connections of any shape and compares what the scripts send and expect.
func TestEveryByteComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "connections")
		clients := make([]*client, n)
		streams := make([][2]strings.Builder, n)
		open := make([]int, 0, n)
		for i := range clients {
			clients[i] = newClient(uint64(i + 1)).open()
			clients[i].events[0].Open.Started += int64(i)
			open = append(open, i)
		}
		var log recorded
		taken := make([]int, n)
		for len(open) > 0 {
			k := rapid.IntRange(0, len(open)-1).Draw(t, "which")
			i := open[k]
			c := clients[i]
			if rapid.IntRange(0, 9).Draw(t, "closes") == 0 {
				c.close("downstream")
				open = append(open[:k], open[k+1:]...)
			} else {
				d := capture.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
				size := rapid.SampledFrom([]int{0, 1, 7, 100, chunkBytes - 1, chunkBytes, 3*chunkBytes + 5}).Draw(t, "size")
				random := rand.New(rand.NewPCG(uint64(size), uint64(len(log))))
				payload := make([]byte, size)
				for j := range payload {
					payload[j] = byte(random.Uint32())
				}
				streams[i][d].Write(payload)
				c.data(d, string(payload))
			}
			log = append(log, c.events[taken[i]:]...)
			taken[i] = len(c.events)
		}
		book := compile(t, Options{}, log)
		defer book.Close()
		require.Equal(t, n, book.Len())
		for i := range n {
			s, err := book.Script(i)
			require.NoError(t, err)
			require.Equal(t, clients[i].header.Conn, s.ID)
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

// TestMemory holds what stays in memory of many and of long connections.
func TestMemory(t *testing.T) {
	spool, err := newSpool(t.TempDir())
	require.NoError(t, err)
	defer spool.close()
	var long stream
	for range 4096 {
		require.NoError(t, spool.append(&long, make([]byte, 1<<14)))
	}
	require.Len(t, long.Extents, 1, "neighbors in the file are one extent")
	streams := make([]stream, 10000)
	for range 20 {
		for i := range streams {
			require.NoError(t, spool.append(&streams[i], make([]byte, 1000)))
			require.LessOrEqual(t, spool.waiting, spoolBytes)
		}
	}
	for i := range streams {
		require.LessOrEqual(t, len(streams[i].Extents), 20*1000*len(streams)/spoolBytes+2)
	}
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
	var log recorded
	const all = 1000
	for i := range all {
		log = append(log, newClient(uint64(i+1)).open().data(down, "a").close("downstream").events...)
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
	var log recorded
	for i := range 3 { // of 2 ms each, a millisecond after each other
		c := newClient(uint64(i + 1))
		c.header.Time += int64(i) * 1e6
		c.open().data(down, "a").close("downstream")
		c.events[0].Open.Started = c.events[0].Time
		log = append(log, c.events...)
	}
	require.Equal(t, 3, compile(t, Options{}, log).Totals.Peak)
	require.Equal(t, 2, compile(t, Options{}, append(log[:3:3], log[3:6]...)).Totals.Peak)
}

func TestClassesAreBounded(t *testing.T) {
	classes := map[string]uint64{}
	for i := range MaxClasses + 5 {
		count(classes, fmt.Sprint(i), 2)
	}
	require.Len(t, classes, MaxClasses+1)
	require.Equal(t, uint64(10), classes[OtherClasses])
}
