package http1

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framertest"
)

// TestFramerErrors has what two implementations may read in two ways, and what is no HTTP.
func TestFramerErrors(t *testing.T) {
	const question, answer = "frame HTTP/1 request: ", "frame HTTP/1 answer: "
	post := func(lines string) []framertest.Chunk { return []framertest.Chunk{down("POST / HTTP/1.1\r\n" + lines)} }
	reply := func(b string) []framertest.Chunk { return []framertest.Chunk{down(get("/")), up(b)} }
	for _, row := range []struct {
		name   string
		chunks []framertest.Chunk
		want   string
		raw    bool
	}{
		{"both lengths", post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), question + "Content-Length and Transfer-Encoding are both there", false},
		{"both lengths, the other order", post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"), question + "Content-Length and Transfer-Encoding are both there", false},
		{"two lengths", post("Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), question + "Content-Length stands twice", false},
		{"a list of lengths", post("Content-Length: 1, 1\r\n\r\n"), question + "Content-Length is no number of bytes", false},
		{"a signed length", post("Content-Length: +1\r\n\r\n"), question + "Content-Length is no number of bytes", false},
		{"a negative length", post("Content-Length: -1\r\n\r\n"), question + "Content-Length is no number of bytes", false},
		{"an empty length", post("Content-Length: \r\n\r\n"), question + "Content-Length is no number of bytes", false},
		{"a hexadecimal length", post("Content-Length: 0x1\r\n\r\n"), question + "Content-Length is no number of bytes", false},
		{"a length that no number holds", post("Content-Length: 18446744073709551617\r\n\r\n"), question + "Content-Length is no number of bytes", false},
		{"a continued header", post("A: b\r\n Content-Length: 1\r\n\r\n"), question + "a header continues on a second line", false},
		{"LF only", []framertest.Chunk{down("GET / HTTP/1.1\nHost: a\n\n")}, question + "a line ends without CR", false},
		{"LF only in the middle", post("A: b\nContent-Length: 1\r\n\r\n"), question + "a line ends without CR", false},
		{"LF only at the end", post("A: b\r\n\n"), question + "a line ends without CR", false},
		{"CR within a header", post("A: b\rContent-Length: 1\r\n\r\n"), question + "a header has a control character", false},
		{"a zero byte in a header", post("A: \x00\r\n\r\n"), question + "a header has a control character", false},
		{"a space before the colon", post("Content-Length : 1\r\n\r\n"), question + "the name of a header is none", false},
		{"no colon", post("Content-Length 1\r\n\r\n"), question + "a header has no colon", false},
		{"chunked twice", post("Transfer-Encoding: chunked, chunked\r\n\r\n"), question + "Transfer-Encoding has something after chunked", false},
		{"chunked in two headers", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), question + "Transfer-Encoding has something after chunked", false},
		{"chunked first", post("Transfer-Encoding: chunked, gzip\r\n\r\n"), question + "Transfer-Encoding has something after chunked", false},
		{"not chunked", post("Transfer-Encoding: gzip\r\n\r\n"), question + "Transfer-Encoding is not chunked", false},
		{"an unknown coding", post("Transfer-Encoding: xchunked\r\n\r\n"), question + "Transfer-Encoding is not known", false},
		{"identity", post("Transfer-Encoding: identity\r\n\r\n"), question + "Transfer-Encoding is not known", false},
		{"an empty coding", post("Transfer-Encoding: \r\n\r\n"), question + "Transfer-Encoding is empty", false},
		{"chunked in HTTP/1.0", []framertest.Chunk{down("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")}, question + "Transfer-Encoding is there in HTTP/1.0", false},
		{"a chunk with a sign", post("Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n"), question + "the size of a chunk is no hexadecimal number", false},
		{"a chunk with 0x", post("Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n"), question + "the size of a chunk is no hexadecimal number", false},
		{"a chunk without a size", post("Transfer-Encoding: chunked\r\n\r\n;a\r\na\r\n"), question + "the size of a chunk is no hexadecimal number", false},
		{"a chunk of too many digits", post("Transfer-Encoding: chunked\r\n\r\n0000000000000001\r\na\r\n"), question + "the size of a chunk is no hexadecimal number", false},
		{"a chunk that ends with LF", post("Transfer-Encoding: chunked\r\n\r\n1\na\r\n"), question + "a line ends without CR", false},
		{"a chunk that is longer", post("Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"), question + "a chunk is longer than it says", false},
		{"a control character in an extension", post("Transfer-Encoding: chunked\r\n\r\n1;\x00\r\na\r\n"), question + "the size of a chunk is no hexadecimal number", false},
		{"a long line of a chunk", post("Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("a", maxChunkLine)), question + "the line of a chunk is longer than 4096 bytes", false},
		{"a bad trailer", post("Transfer-Encoding: chunked\r\n\r\n0\r\na b: c\r\n\r\n"), question + "the name of a header is none", false},
		{"long trailers", post("Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("a: b\r\n", maxHead/6+1)), question + "the list of trailers is longer than 4 bytes", false},
		{"HTTP/2", []framertest.Chunk{down("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}, question + "the request line does not end with HTTP/1.0 or HTTP/1.1", false},
		{"HTTP/0.9", []framertest.Chunk{down("GET /\r\n\r\n")}, question + "the request line has no target", false},
		{"two spaces", []framertest.Chunk{down("GET  / HTTP/1.1\r\n\r\n")}, question + "the request line has no target", false},
		{"a space in the target", []framertest.Chunk{down("GET /a b HTTP/1.1\r\n\r\n")}, question + "the request line does not end with HTTP/1.0 or HTTP/1.1", false},
		{"a tab in the target", []framertest.Chunk{down("GET /a\tb HTTP/1.1\r\n\r\n")}, question + "the target has a control character", false},
		{"no method", []framertest.Chunk{down(" / HTTP/1.1\r\n\r\n")}, question + "the request line has no method", false},
		{"two empty lines before a request", []framertest.Chunk{down("\r\n\r\n" + get("/"))}, question + "the request line has no method", false},
		{"a long head", []framertest.Chunk{down("GET / HTTP/1.1\r\nA: " + strings.Repeat("a", maxHead))}, question + "the head is longer than 262144 bytes", false},
		{"cut in the head", []framertest.Chunk{down("GET / HT"), downEnd}, question + "the stream ends within a message", false},
		{"cut in the body", append(post("Content-Length: 2\r\n\r\na"), downEnd), question + "the stream ends within a message", false},
		{"cut before the body", append(post("Content-Length: 2\r\n\r\n"), downEnd), question + "the stream ends within a message", false},
		{"cut in a chunk", append(post("Transfer-Encoding: chunked\r\n\r\n2\r\na"), downEnd), question + "the stream ends within a message", false},
		{"cut after a chunk", append(post("Transfer-Encoding: chunked\r\n\r\n1\r\na"), downEnd), question + "the stream ends within a message", false},
		{"cut in the trailers", append(post("Transfer-Encoding: chunked\r\n\r\n0\r\n"), downEnd), question + "the stream ends within a message", false},
		{"no answer", reply("hello\r\n\r\n"), answer + "the status line does not begin with HTTP/1.0 or HTTP/1.1", false},
		{"a short status", reply("HTTP/1.1 20\r\n\r\n"), answer + "the status is not of three digits", false},
		{"a long status", reply("HTTP/1.1 2000\r\n\r\n"), answer + "the status is not of three digits", false},
		{"a status of letters", reply("HTTP/1.1 2xx OK\r\n\r\n"), answer + "the status is not of three digits", false},
		{"a low status", reply("HTTP/1.1 099 OK\r\n\r\n"), answer + "the status is not from 100 to 599", false},
		{"a high status", reply("HTTP/1.1 600 OK\r\n\r\n"), answer + "the status is not from 100 to 599", false},
		{"a status with a control character", reply("HTTP/1.1 200 \x01\r\n\r\n"), answer + "the status line has a control character", false},
		{"an empty line before an answer", reply("\r\nHTTP/1.1 200 OK\r\n\r\n"), answer + "the status line does not begin with HTTP/1.0 or HTTP/1.1", false},
		{"204 with a body", reply("HTTP/1.1 204 OK\r\nContent-Length: 1\r\n\r\n"), answer + "204 has a body", false},
		{"100 with a body", reply("HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n"), answer + "100 has a body", false},
		{"101 unasked", reply("HTTP/1.1 101 Switching Protocols\r\n\r\n"), answer + "101 Switching Protocols answers no Upgrade", false},
		{
			"upgraded",
			[]framertest.Chunk{down("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"), up("HTTP/1.1 101 A\r\n\r\n"), down("hello")},
			"the rest of the connection is raw: it switched protocols", true,
		},
		{
			"connected",
			[]framertest.Chunk{down("CONNECT a:1 HTTP/1.1\r\n\r\n"), up("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")},
			"the rest of the connection is raw: it switched protocols", true,
		},
		{
			"too many requests",
			[]framertest.Chunk{down(strings.Repeat("A / HTTP/1.1\r\n\r\n", maxWaiting+1))},
			question + "more than 8192 requests wait for an answer", false,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := framertest.AnyCut(t, create, row.chunks...)
			require.EqualError(t, err, row.want)
			require.Equal(t, row.raw, errors.Is(err, protocol.ErrRaw))
		})
	}
}

// TestErrorIsFinal has an error come again, in both directions.
func TestErrorIsFinal(t *testing.T) {
	f := create()
	_, want := f.Next(capture.Downstream, []byte("\n"), false)
	require.Error(t, want)
	for _, d := range []capture.Direction{capture.Downstream, capture.Upstream} {
		_, err := f.Next(d, []byte(get("/")), false)
		require.Equal(t, want, err)
	}
}

// TestHeadLimit has the longest head.
func TestHeadLimit(t *testing.T) {
	b := []byte("GET / HTTP/1.1\r\nA: " + strings.Repeat("a", maxHead-23) + "\r\n\r\n")
	p, err := create().Next(capture.Downstream, b, false)
	require.NoError(t, err)
	require.Equal(t, maxHead, p.Size)
	b = append([]byte("GET / HTTP/1.1\r\nA: a"), b[len("GET / HTTP/1.1\r\nA: "):]...)
	_, err = create().Next(capture.Downstream, b, false)
	require.EqualError(t, err, "frame HTTP/1 request: the head is longer than 262144 bytes")
}
