package http1

import (
	"testing"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// BenchmarkFramer has a small request and its answer, as load tests send them.
func BenchmarkFramer(b *testing.B) {
	question := []byte("GET /v1/users/17 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	answer := []byte("HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 25 Nov 2026 16:53:14 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\nhello, world\n")
	c := protocol.NewCutter(create())
	emit := func(protocol.Piece, []byte) {}
	b.SetBytes(int64(len(question) + len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Cut(capture.Downstream, question, false, emit); err != nil {
			b.Fatal(err)
		}
		if err := c.Cut(capture.Upstream, answer, false, emit); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFields has an answer of a few headers, as nginx gives it.
func BenchmarkFields(b *testing.B) {
	answer := []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Wed, 25 Nov 2026 16:53:14 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nLast-Modified: Wed, 25 Nov 2026 16:53:14 GMT\r\nConnection: keep-alive\r\nETag: \"6746a2da-40\"\r\nAccept-Ranges: bytes\r\n\r\nhello, world\n")
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Protocol{}).Fields(capture.Upstream, "GET /", answer); err != nil {
			b.Fatal(err)
		}
	}
}
