package http1

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

func TestMatch(t *testing.T) {
	for _, row := range []struct {
		name      string
		direction capture.Direction
		first     string
		want      protocol.Match
	}{
		{"nothing", capture.Downstream, "", protocol.Unsure},
		{"half an empty line", capture.Downstream, "\r", protocol.Unsure},
		{"a method", capture.Downstream, "GE", protocol.Unsure},
		{"a method and a space", capture.Downstream, "GET ", protocol.Unsure},
		{"a path", capture.Downstream, "GET /", protocol.Yes},
		{"a URL", capture.Downstream, "GET http:", protocol.Yes},
		{"an unknown method", capture.Downstream, "PURGE /", protocol.Unsure},
		{"an unknown method's line", capture.Downstream, "PURGE / HTTP/1.1\r\n", protocol.Yes},
		{"an empty line before", capture.Downstream, "\r\nGET / HTTP/1.1\r\n", protocol.Yes},
		{"LF only", capture.Downstream, "GET / HTTP/1.1\n", protocol.Yes},
		{"a command", capture.Downstream, "GET key\r\n", protocol.No},
		{"HTTP/2", capture.Downstream, "PRI * HTTP/2.0\r\n", protocol.No},
		{"a long word", capture.Downstream, strings.Repeat("A", 33), protocol.No},
		{"no token", capture.Downstream, "*1\r", protocol.No},
		{"bytes", capture.Downstream, "\x16\x03\x01", protocol.No},
		{"no answer yet", capture.Upstream, "", protocol.Unsure},
		{"an answer begins", capture.Upstream, "HTTP/", protocol.Unsure},
		{"an answer", capture.Upstream, "HTTP/1.1", protocol.Yes},
		{"HTTP/2's answer", capture.Upstream, "\x00\x00", protocol.No},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, Protocol{}.Match(row.direction, []byte(row.first)))
		})
	}
}

func TestClass(t *testing.T) {
	for _, row := range []struct{ name, method, target, want string }{
		{"root", "GET", "/", "GET /"},
		{"star", "OPTIONS", "*", "OPTIONS *"},
		{"a query", "GET", "/a?b=/c", "GET /a"},
		{"a number", "GET", "/users/17/orders/0", "GET /users/{}/orders/{}"},
		{"a version", "GET", "/v1/users", "GET /v1/users"},
		{"a UUID", "GET", "/a/01a20600-4250-801e-ac34-64756d700000", "GET /a/{}"},
		{"a hash", "GET", "/a/deadbeef00", "GET /a/{}"},
		{"a word of such letters", "GET", "/a/facade", "GET /a/facade"},
		{"a date", "GET", "/a/2026-11-25", "GET /a/{}"},
		{"a token", "GET", "/a/dGhpcyBpcyBhIHRva2Vu0", "GET /a/{}"},
		{"a file", "GET", "/static/app.4f2a.js", "GET /static/app.4f2a.js"},
		{"a release", "GET", "/static/1.2.3", "GET /static/1.2.3"},
		{"a slash at the end", "GET", "/a/", "GET /a/"},
		{"two slashes", "GET", "//a", "GET //a"},
		{"a URL", "GET", "http://a:1/b/2?c", "GET /b/{}"},
		{"a URL without a path", "GET", "http://a:1", "GET /"},
		{"a host", "CONNECT", "a:443", "CONNECT a:443"},
		{"long", "GET", "/" + strings.Repeat("a", 300), "GET /" + strings.Repeat("a", 195)},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := appendClass(make([]byte, 0, maxClass), []byte(row.method), []byte(row.target))
			require.Equal(t, row.want, string(got))
		})
	}
}
