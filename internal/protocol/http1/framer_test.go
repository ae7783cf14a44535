package http1

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framertest"
)

type message = framertest.Message

var (
	down, up = framertest.Down, framertest.Up
	upEnd    = framertest.End(capture.Upstream)
	downEnd  = framertest.End(capture.Downstream)
)

func create() protocol.Framer { return Protocol{}.NewFramer() }

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// TestFramer has conversations, cut in every way.
func TestFramer(t *testing.T) {
	request := func(class, b string) message {
		return message{Kind: protocol.Request, Class: class, Bytes: b, Answers: 1}
	}
	answer := func(status, b string) message {
		return message{Kind: protocol.Answer, Class: status, Bytes: b, Failed: status >= "400"}
	}
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, row := range []struct {
		name   string
		chunks []framertest.Chunk
		want   []message
	}{
		{"request and answer", []framertest.Chunk{down(get("/")), up(ok)}, []message{request("GET /", get("/")), answer("200", ok)}},
		{
			"a body of a known length",
			[]framertest.Chunk{down("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" + get("/b"))},
			[]message{request("POST /a", "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), request("GET /b", get("/b"))},
		},
		{
			"a body of no bytes",
			[]framertest.Chunk{down("POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n")},
			[]message{request("POST /a", "POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n")},
		},
		{
			"pipelined",
			[]framertest.Chunk{down(get("/a") + get("/b")), up(ok + ok)},
			[]message{request("GET /a", get("/a")), request("GET /b", get("/b")), answer("200", ok), answer("200", ok)},
		},
		{
			"answers to HEAD have no body",
			[]framertest.Chunk{down("HEAD / HTTP/1.1\r\n\r\n" + get("/")), up("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + ok)},
			[]message{
				request("HEAD /", "HEAD / HTTP/1.1\r\n\r\n"), request("GET /", get("/")),
				answer("200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), answer("200", ok),
			},
		},
		{
			"204 and 304 have no body",
			[]framertest.Chunk{
				down(get("/") + get("/") + get("/")), up("HTTP/1.1 204 No Content\r\n\r\n"),
				up("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" + ok),
			},
			[]message{
				request("GET /", get("/")), request("GET /", get("/")), request("GET /", get("/")),
				answer("204", "HTTP/1.1 204 No Content\r\n\r\n"), answer("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), answer("200", ok),
			},
		},
		{
			"chunked with an extension and trailers",
			[]framertest.Chunk{down(get("/")), up("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA \r\n0123456789\r\n0\r\nSum: 1\r\nB: \r\n\r\n")},
			[]message{
				request("GET /", get("/")),
				answer("200", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA \r\n0123456789\r\n0\r\nSum: 1\r\nB: \r\n\r\n"),
			},
		},
		{
			"gzip, chunked",
			[]framertest.Chunk{down("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")},
			[]message{request("POST /", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")},
		},
		{
			"a body up to the end",
			[]framertest.Chunk{down(get("/")), up("HTTP/1.0 200 OK\r\n\r\nhello"), upEnd},
			[]message{request("GET /", get("/")), answer("200", "HTTP/1.0 200 OK\r\n\r\nhello")},
		},
		{
			"no body up to the end",
			[]framertest.Chunk{down(get("/")), up("HTTP/1.0 200 OK\r\n\r\n"), upEnd, downEnd},
			[]message{request("GET /", get("/")), answer("200", "HTTP/1.0 200 OK\r\n\r\n")},
		},
		{
			"an end that does not come",
			[]framertest.Chunk{down(get("/")), up("HTTP/1.0 200 OK\r\n\r\nhello")},
			[]message{request("GET /", get("/")), {Kind: protocol.Answer, Class: "200", Bytes: "HTTP/1.0 200 OK\r\n\r\nhello", Partial: true}},
		},
		{
			"100-continue",
			[]framertest.Chunk{
				down("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), up("HTTP/1.1 100 Continue\r\n\r\n"), down("ab"), up(ok),
			},
			[]message{
				request("POST /", "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"),
				{Kind: protocol.Milestone, Class: "100", Bytes: "HTTP/1.1 100 Continue\r\n\r\n"},
				answer("200", ok),
			},
		},
		{
			"an answer before the request has ended",
			[]framertest.Chunk{down("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"), up("HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n"), down("ab")},
			[]message{
				request("POST /", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"),
				answer("413", "HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n"),
			},
		},
		{
			"early hints",
			[]framertest.Chunk{down(get("/")), up("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ok)},
			[]message{
				request("GET /", get("/")), {Kind: protocol.Push, Class: "103", Bytes: "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"}, answer("200", ok),
			},
		},
		{
			"unasked",
			[]framertest.Chunk{up("HTTP/1.1 408 Timeout\r\nContent-Length: 1\r\n\r\na"), upEnd},
			[]message{{Kind: protocol.Push, Class: "408", Failed: true, Bytes: "HTTP/1.1 408 Timeout\r\nContent-Length: 1\r\n\r\na"}},
		},
		{
			"an upgrade that is declined",
			[]framertest.Chunk{down("GET / HTTP/1.1\r\nConnection: a, Upgrade\r\nUpgrade: h2c\r\n\r\n"), up(ok), down(get("/"))},
			[]message{
				request("GET /", "GET / HTTP/1.1\r\nConnection: a, Upgrade\r\nUpgrade: h2c\r\n\r\n"), answer("200", ok), request("GET /", get("/")),
			},
		},
		{
			"CONNECT that is declined",
			[]framertest.Chunk{down("CONNECT a:1 HTTP/1.1\r\n\r\n"), up("HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\na"), down(get("/"))},
			[]message{
				request("CONNECT a:1", "CONNECT a:1 HTTP/1.1\r\n\r\n"), answer("403", "HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\na"), request("GET /", get("/")),
			},
		},
		{
			"an empty line before a request", []framertest.Chunk{down("\r\n" + get("/"))}, []message{request("GET /", "\r\n"+get("/"))},
		},
		{
			"a status without text",
			[]framertest.Chunk{down(get("/") + get("/")), up("HTTP/1.1 204\r\n\r\nHTTP/1.1 204 \r\n\r\n")},
			[]message{request("GET /", get("/")), request("GET /", get("/")), answer("204", "HTTP/1.1 204\r\n\r\n"), answer("204", "HTTP/1.1 204 \r\n\r\n")},
		},
		{
			"lengths in any case and with spaces",
			[]framertest.Chunk{down("PUT / HTTP/1.1\r\ncONTENT-lENGTH: \t1 \r\n\r\na")},
			[]message{request("PUT /", "PUT / HTTP/1.1\r\ncONTENT-lENGTH: \t1 \r\n\r\na")},
		},
		{
			"a request after the first byte of the answer",
			[]framertest.Chunk{down(get("/a")), up(ok[:20]), down(get("/b")), up(ok[20:])},
			[]message{request("GET /a", get("/a")), answer("200", ok), request("GET /b", get("/b"))},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := framertest.AnyCut(t, create, row.chunks...)
			require.NoError(t, err)
			if row.name == "a request after the first byte of the answer" { // its order depends on where the head ends
				require.ElementsMatch(t, row.want, got)
				return
			}
			require.Equal(t, row.want, got)
		})
	}
}

// TestRecorded has what curl and nginx sent, in which each byte is in a message, and net/http reads the same ones.
func TestRecorded(t *testing.T) {
	var classes []string
	for _, c := range framertest.Recording(t, "testdata/nginx.log") {
		list, err := framertest.AnyCut(t, create, c.Chunks...)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrRaw)
		}
		for _, m := range list {
			require.False(t, m.Partial)
			classes = append(classes, m.Kind.String()+" "+m.Class)
		}
		requireAsNetHTTP(t, list)
	}
	require.Equal(t, []string{
		"request GET /a.html", "answer 200", "request GET /items.json", "answer 200", "request HEAD /a.html", "answer 200",
		"request GET /none", "answer 404", "request GET /gone", "answer 204", "request GET /move", "answer 302",
		"request POST /upload", "milestone 100", "answer 200", "request POST /upload", "milestone 100", "answer 200",
		"request POST /upload", "answer 200",
		"request GET /a.html", "request HEAD /a.html", "request GET /items.json", "answer 200", "answer 200", "answer 200",
		"request GET /upload", "answer 101",
	}, classes)
}

// requireAsNetHTTP reads each message by net/http, which must read all of it.
func requireAsNetHTTP(t *testing.T, list []message) {
	t.Helper()
	var methods []string
	for _, m := range list {
		if m.Kind == protocol.Request {
			method, _, _ := strings.Cut(m.Class, " ")
			methods = append(methods, method)
			rest, err := readRequest(m.Bytes)
			require.NoError(t, err)
			require.Empty(t, rest, "net/http ends the message before: %q", m.Bytes)
			continue
		}
		rest, err := readAnswer(m.Bytes, methods[0])
		require.NoError(t, err)
		require.Empty(t, rest, "net/http ends the message before: %q", m.Bytes)
		if m.Kind == protocol.Answer {
			methods = methods[1:]
		}
	}
}

// readRequest returns what net/http leaves of a request.
func readRequest(b string) (rest []byte, err error) {
	r := bufio.NewReader(strings.NewReader(b))
	request, err := http.ReadRequest(r)
	if err != nil {
		return nil, err
	}
	return leave(r, request.Body)
}

// readAnswer returns what net/http leaves of an answer to a method.
func readAnswer(b, method string) (rest []byte, err error) {
	r := bufio.NewReader(strings.NewReader(b))
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return leave(r, response.Body)
}

func leave(r io.Reader, body io.Reader) (rest []byte, err error) {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// TestAllocations has requests and answers like those before pass without an allocation, bodies of all forms among them.
func TestAllocations(t *testing.T) {
	chunk := strings.Repeat("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n", 50)
	question := []byte(get("/v1/users/17") + "POST /v1/users HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "0\r\nA: b\r\n\r\n")
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nDate: today\r\n\r\n" + strings.Repeat("y", 100000) +
		"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "0\r\n\r\n")
	framertest.NoAllocations(t, create, question, answer, 3000, 100)
}

// FuzzFramer cuts any bytes, and holds messages against net/http: what it takes too must end where it ends here.
func FuzzFramer(f *testing.F) {
	f.Add([]byte(get("/")), []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"))
	f.Add([]byte("\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\n\r\nabc"))
	f.Add([]byte("HEAD / HTTP/1.1\r\n\r\nPOST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), []byte("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n"))
	f.Fuzz(func(t *testing.T, question, answer []byte) {
		list, _ := framertest.AnyCut(t, create, down(string(question)), up(string(answer)), downEnd, upEnd)
		var methods []string
		for _, m := range list {
			var rest []byte
			var err error
			switch m.Kind {
			case protocol.Request:
				method, _, _ := strings.Cut(m.Class, " ")
				methods = append(methods, method)
				rest, err = readRequest(m.Bytes)
			case protocol.Answer, protocol.Milestone:
				method := methods[0]
				if m.Kind == protocol.Answer {
					methods = methods[1:]
				}
				if method != http.MethodConnect {
					rest, err = readAnswer(m.Bytes, method)
				}
			}
			if err == nil && !m.Partial {
				require.Empty(t, rest, "net/http ends the message before: %q", m.Bytes)
			}
		}
	})
}
