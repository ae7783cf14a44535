package http1

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol/framertest"
)

// TestDeduplicator has what Envoy's HTTP connection manager made of pipelined requests: what is left is what the clients
// sent.
func TestDeduplicator(t *testing.T) {
	post := "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("x", 5000)
	want := []string{
		strings.Repeat(get("/a.html"), 5),
		get("/a.html") + get("/items.json") + get("/none"),
		get("/upload") + get("/a.html") + get("/items.json"),
		strings.Repeat(get("/local"), 3) + get("/a.html") + get("/local") + get("/a.html") + get("/a.html"),
		get("/upload") + post + post + get("/a.html"),
		get("/a.html") + get("/a.html"),
	}
	for i, c := range framertest.Recording(t, "testdata/repeats.log.gz")[:len(want)] {
		u := NewDeduplicator()
		var got bytes.Buffer
		for _, chunk := range c.Chunks {
			skip, err := u.Next(chunk.Direction, []byte(chunk.Bytes))
			require.NoError(t, err)
			if chunk.Direction == capture.Downstream {
				got.WriteString(chunk.Bytes[skip:])
			} else {
				require.Zero(t, skip)
			}
		}
		require.Equal(t, want[i], got.String(), "connection %d", i)
	}
}

func TestDeduplicatorAlone(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	a, b, c := get("/a"), get("/b"), get("/c")
	tunnel := "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"
	for _, row := range []struct {
		name   string
		chunks []framertest.Chunk
		want   string
		err    string
	}{
		{"nothing pipelined", []framertest.Chunk{down(a), up(ok), down(a), up(ok)}, a + a, ""},
		{"equal ones", []framertest.Chunk{down(a + a), up(ok), down(a), up(ok), down(a), up(ok)}, a + a + a, ""},
		{"in parts", []framertest.Chunk{down(a + b), up(ok), down(b[:5]), down(b[5:] + c), up(ok), down(c), up(ok)}, a + b + c, ""},
		{"a part of a request", []framertest.Chunk{down(a + b[:5]), up(ok), down(b), up(ok), down(c)}, a + b + c, ""},
		{"answered by the connection manager", []framertest.Chunk{down(a + b), up(ok + ok), down(c)}, a + b + c, ""},
		{"answered by it, then a part", []framertest.Chunk{down(a + b[:5]), up(ok), down(b[5:])}, a + b, ""},
		{"an interim answer", []framertest.Chunk{down(a + b), up("HTTP/1.1 100 Continue\r\n\r\n"), up(ok), down(b)}, a + b, ""},
		{"an answer too early", []framertest.Chunk{down("PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), up(ok), down("abc")}, "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabcabc", ""},
		{"an upgrade", []framertest.Chunk{down(tunnel), up("HTTP/1.1 101 A\r\n\r\n"), down("a"), down("a")}, tunnel + "aa", ""},
		{"half of it", []framertest.Chunk{down(a + b), up(ok), down(b[:5]), down(c)}, "", errOther.Error()},
		{"half of it, then an answer", []framertest.Chunk{down(a + b), up(ok), down(b[:5]), up(ok)}, "", errOther.Error()},
		{"no HTTP", []framertest.Chunk{down("a\n")}, "", "frame HTTP/1 request: a line ends without CR"},
		{"too much", []framertest.Chunk{down(a + "PUT / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + strings.Repeat("a", maxRest))}, "", errRest.Error()},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := NewDeduplicator()
			got := ""
			for _, chunk := range row.chunks {
				skip, err := u.Next(chunk.Direction, []byte(chunk.Bytes))
				if err != nil {
					require.EqualError(t, err, row.err)
					_, err = u.Next(capture.Upstream, nil)
					require.EqualError(t, err, row.err, "an error is final")
					return
				}
				if chunk.Direction == capture.Downstream {
					got += chunk.Bytes[skip:]
				}
			}
			require.Empty(t, row.err)
			require.Equal(t, row.want, got)
		})
	}
}

// FuzzDeduplicator has it skip no more than there is.
func FuzzDeduplicator(f *testing.F) {
	f.Add([]byte(get("/a")+get("/b")), []byte("HTTP/1.1 204 A\r\n\r\n"), []byte(get("/b")))
	f.Fuzz(func(t *testing.T, first, answer, second []byte) {
		u := NewDeduplicator()
		skip, _ := u.Next(capture.Downstream, first)
		require.Zero(t, skip)
		skip, _ = u.Next(capture.Upstream, answer)
		require.Zero(t, skip)
		skip, _ = u.Next(capture.Downstream, second)
		require.True(t, skip <= len(second) && skip <= len(first))
	})
}
