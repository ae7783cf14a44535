package http1

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framertest"
)

// values returns the values of a message, one per line.
func values(m *protocol.Message) (list []string) {
	m.Walk(func(path protocol.Path, v *protocol.Value) {
		list = append(list, fmt.Sprintf("%s %s %s", path, v.Type, v.Text))
	})
	return list
}

func TestFields(t *testing.T) {
	for _, row := range []struct {
		name      string
		direction capture.Direction
		class     string
		message   string
		want      []string
	}{
		{
			"a request", capture.Downstream, "", "POST /a?b=1&c&b=2&d.e=%20 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
			[]string{
				"method string POST", "path string /a", "version string HTTP/1.1", "query:b[0] string 1", "query:b[1] string 2", "query:c string ",
				"query:'d.e' string %20", "header:host string a", "body string hi",
			},
		},
		{"an empty line before a request", capture.Downstream, "", "\r\nGET / HTTP/1.0\r\n\r\n", []string{"method string GET", "path string /", "version string HTTP/1.0"}},
		{
			"headers are a multiset", capture.Upstream, "GET /", "HTTP/1.1 200 OK\r\nSet-Cookie: b\r\nDate: x\r\nset-cookie:  a \r\n\r\n",
			[]string{"status string 200", "version string HTTP/1.1", "header:set-cookie[0] string b", "header:set-cookie[1] string a", "header:date string x"},
		},
		{
			"JSON", capture.Upstream, "GET /", "HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n {\"items\":[{\"id\":1,\"price\":1.10}]} \r\n",
			[]string{"status string 200", "version string HTTP/1.1", "body:$.items[0].id number 1", "body:$.items[0].price number 1.10"},
		},
		{
			"JSON that is none", capture.Upstream, "GET /", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]",
			[]string{"status string 200", "version string HTTP/1.1", "body string {]"},
		},
		{
			"chunks and trailers", capture.Upstream, "GET /", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n2;a\r\nhe\r\n3\r\nllo\r\n0\r\nSum: 1\r\n\r\n",
			[]string{"status string 200", "version string HTTP/1.1", "trailer:sum string 1", "body string hello"},
		},
		{"up to the end", capture.Upstream, "GET /", "HTTP/1.0 200 OK\r\n\r\nhello", []string{"status string 200", "version string HTTP/1.0", "body string hello"}},
		{
			"the length that an answer to HEAD says", capture.Upstream, "HEAD /a", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			[]string{"status string 200", "version string HTTP/1.1", "header:content-length string 5"},
		},
		{
			"parts", capture.Upstream, "GET /",
			"HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=\"a 1\"\r\n\r\n--a 1\r\n\r\nx--a 1\r\n--a 1--\r\n",
			[]string{
				"status string 206", "version string HTTP/1.1", "header:content-type string multipart/byteranges",
				"body string --\r\n\r\nx--a 1\r\n----\r\n",
			},
		},
		{
			"parts without a boundary", capture.Upstream, "GET /", "HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed\r\n\r\n--a\r\n",
			[]string{"status string 200", "version string HTTP/1.1", "header:content-type string multipart/mixed", "body string --a\r\n"},
		},
		{
			"no parts", capture.Upstream, "GET /", "HTTP/1.1 200 OK\r\nContent-Type: text/plain; boundary=a\r\n\r\n--a\r\n",
			[]string{"status string 200", "version string HTTP/1.1", "header:content-type string text/plain; boundary=a", "body string --a\r\n"},
		},
		{"chunked for HEAD", capture.Upstream, "HEAD /a", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []string{"status string 200", "version string HTTP/1.1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, err := Protocol{}.Fields(row.direction, row.class, []byte(row.message))
			require.NoError(t, err)
			require.Equal(t, row.want, values(m))
			require.Empty(t, m.Undecoded)
		})
	}
}

// TestFieldsClass has the class and failure that the framer says too.
func TestFieldsClass(t *testing.T) {
	for _, c := range framertest.Recording(t, "testdata/nginx.log") {
		list, _ := framertest.Messages(t, create(), c.Chunks...)
		for _, m := range list {
			d := capture.Upstream
			if m.Kind == protocol.Request {
				d = capture.Downstream
			}
			got, err := Protocol{}.Fields(d, "", []byte(m.Bytes))
			require.NoError(t, err)
			require.Equal(t, []any{m.Class, m.Failed, ""}, []any{got.Class, got.Failed, got.Undecoded})
			if strings.Contains(m.Bytes, "application/json") && strings.Contains(m.Bytes, "gzip") {
				require.Contains(t, values(got), "body:$.items[5].price number 1.1")
			}
		}
	}
}

// TestContentEncoding has a body that is sent in each coding, and in two, be the same.
func TestContentEncoding(t *testing.T) {
	compress := func(open func(io.Writer) (io.WriteCloser, error)) func(string) string {
		return func(text string) string {
			var b bytes.Buffer
			w, err := open(&b)
			require.NoError(t, err)
			_, err = io.WriteString(w, text)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			return b.String()
		}
	}
	gz := compress(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	br := compress(func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil })
	large := strings.Repeat("a", maxDecoded)
	for _, row := range []struct {
		name, headers string
		body          func(string) string
		text          string
		undecoded     string
	}{
		{"gzip", "Content-Encoding: GZIP\r\n", gz, "hello", ""},
		{"zlib", "Content-Encoding: deflate\r\n", compress(func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil }), "hello", ""},
		{"deflate", "Content-Encoding: deflate\r\n", compress(func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, 1) }), "hello", ""},
		{"br", "Content-Encoding: br\r\n", br, "hello", ""},
		{"zstd", "Content-Encoding: zstd\r\n", compress(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }), "hello", ""},
		{"two", "Content-Encoding: gzip, br\r\n", func(text string) string { return br(gz(text)) }, "hello", ""},
		{"two headers", "Content-Encoding: gzip\r\nContent-Encoding: br\r\n", func(text string) string { return br(gz(text)) }, "hello", ""},
		{"identity", "Content-Encoding: identity\r\n", func(text string) string { return text }, "hello", ""},
		{"at the limit", "Content-Encoding: gzip\r\n", gz, large, ""},
		{"over the limit", "Content-Encoding: gzip\r\n", gz, large + "a", "decode body of gzip: it has more than 33554432 bytes"},
		{"damaged", "Content-Encoding: gzip\r\n", func(text string) string { return text }, "hello world", "decode body of gzip: gzip: invalid header"},
		{"cut", "Content-Encoding: gzip\r\n", func(text string) string { return gz(text)[:15] }, "hello", "decode body of gzip: unexpected EOF"},
		{"unknown", "Content-Encoding: rot13\r\n", func(text string) string { return text }, "hello", "decode body of rot13: the coding is not known"},
	} {
		t.Run(row.name, func(t *testing.T) {
			body := row.body(row.text)
			m, err := Protocol{}.Fields(capture.Upstream, "GET /", []byte("HTTP/1.1 200 OK\r\n"+row.headers+"\r\n"+body))
			require.NoError(t, err)
			require.Equal(t, row.undecoded, m.Undecoded)
			want := row.text
			if row.undecoded != "" {
				want = body
			}
			last := m.Fields[len(m.Fields)-1]
			require.Equal(t, "body", last.Part)
			require.True(t, last.Value.Text == want)
		})
	}
}

func TestFieldsErrors(t *testing.T) {
	for _, row := range []struct {
		name      string
		direction capture.Direction
		message   string
		want      string
	}{
		{"nothing", capture.Downstream, "", "read HTTP/1 request: the stream ends within a message"},
		{"a part of a head", capture.Upstream, "HTTP/1.1 200 OK\r\n", "read HTTP/1 answer: the stream ends within a message"},
		{"no request", capture.Downstream, "GET\r\n\r\n", "read HTTP/1 request: the request line has no target"},
		{"no answer", capture.Upstream, "GET / HTTP/1.1\r\n\r\n", "read HTTP/1 answer: the status line does not begin with HTTP/1.0 or HTTP/1.1"},
		{"a bad header", capture.Downstream, "GET / HTTP/1.1\r\na\r\n\r\n", "read HTTP/1 request: a header has no colon"},
		{"a cut chunk", capture.Upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc\r\n", "read HTTP/1 answer: the stream ends within a message"},
		{"no last chunk", capture.Upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "read HTTP/1 answer: the stream ends within a message"},
		{"a bad chunk", capture.Upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n", "read HTTP/1 answer: the size of a chunk is no hexadecimal number"},
		{"a long chunk", capture.Upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "read HTTP/1 answer: a chunk is longer than it says"},
		{"cut trailers", capture.Upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n0\r\n", "read HTTP/1 answer: the stream ends within a message"},
		{"a bad trailer", capture.Upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na\r\n\r\n", "read HTTP/1 answer: a header has no colon"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Protocol{}.Fields(row.direction, "", []byte(row.message))
			require.EqualError(t, err, row.want)
		})
	}
}

// FuzzFields has whatever the framer takes as a whole message be readable.
func FuzzFields(f *testing.F) {
	f.Add([]byte(get("/?a")), []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\na:\r\n\r\n"))
	f.Fuzz(func(t *testing.T, question, answer []byte) {
		_, _ = Protocol{}.Fields(capture.Downstream, "", question)
		_, _ = Protocol{}.Fields(capture.Upstream, "", answer)
		list, _ := framertest.Messages(t, create(), down(string(question)), up(string(answer)), upEnd)
		class := ""
		for _, m := range list {
			d := capture.Upstream
			if m.Kind == protocol.Request {
				d, class = capture.Downstream, m.Class
			}
			if !m.Partial {
				_, err := Protocol{}.Fields(d, class, []byte(m.Bytes))
				require.NoError(t, err)
			}
		}
	})
}

// TestFieldsManyNames holds that a header is found again however many there are.
func TestFieldsManyNames(t *testing.T) {
	for _, names := range []int{1, fewNames - 1, fewNames, fewNames + 1, fewNames + 2, 5 * fewNames} {
		t.Run(fmt.Sprint(names), func(t *testing.T) {
			message := "HTTP/1.1 204 No Content\r\n"
			want := []protocol.Field{field("status", "204"), field("version", "HTTP/1.1")}
			all := protocol.Value{Type: protocol.Set, Items: []protocol.Value{{Type: protocol.String, Text: "a"}}}
			for i := range names {
				message += fmt.Sprintf("x-%d: a\r\nX-0: %d\r\n", i, i)
				want = append(want, field(fmt.Sprintf("header:x-%d", i), "a"))
				all.Items = append(all.Items, protocol.Value{Type: protocol.String, Text: fmt.Sprint(i)})
			}
			want[2].Value = all
			m, err := Protocol{}.Fields(capture.Upstream, "GET /", []byte(message+"\r\n"))
			require.NoError(t, err)
			require.Equal(t, want, m.Fields)
		})
	}
}
