package replay_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/http1"
	. "l4dump/internal/replay"
)

var spoken = []protocol.Protocol{http1.Protocol{}}

var detected = playbook.Options{Detector: &protocol.Detector{Protocols: spoken}}

const (
	getA     = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	getB     = "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
	okay     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	proceed  = "HTTP/1.1 100 Continue\r\n\r\n"
	expect   = "POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	notFound = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
)

// TestFramed plays HTTP to targets that answer otherwise than the recorded one.
func TestFramed(t *testing.T) {
	two := func() *playbooktest.Client {
		return playbooktest.NewClient(1).Open().Data(down, getA).Data(up, okay).Data(down, getB).Data(up, okay).Close("downstream")
	}
	const longer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlonge"
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
	for _, row := range []struct {
		name   string
		client *playbooktest.Client
		serve  func(conn *net.TCPConn)
		want   []string
	}{
		{"same", two(), answers("/a", okay, "/b", okay), []string{
			fmt.Sprintf("0: turn 0 %q", okay), fmt.Sprintf("0: turn 1 %q", okay), "0: finished after 3 steps, by downstream",
		}},
		{"other lengths", two(), answers("/a", longer, "/b", chunked), []string{
			fmt.Sprintf("0: turn 0 %q", longer), fmt.Sprintf("0: turn 1 %q", chunked), "0: finished after 3 steps, by downstream",
		}},
		{"no answer", two(), answers("/a", okay), []string{
			fmt.Sprintf("0: turn 0 %q", okay), `0: turn 1 "" not answered`, "0: stalled after 2 steps, by downstream",
		}},
		{"half an answer", two(), answers("/a", okay, "/b", okay[:len(okay)-1]), []string{
			fmt.Sprintf("0: turn 0 %q", okay), fmt.Sprintf("0: turn 1 %q not answered", okay[:len(okay)-1]), "0: stalled after 2 steps, by downstream",
		}},
		{"one answer too many", two(), answers("/a", okay+notFound, "/b", okay), []string{
			fmt.Sprintf("0: turn 0 %q", okay), fmt.Sprintf("0: turn 1 %q", okay),
			fmt.Sprintf("0: finished after 3 steps, by downstream, unasked %q", notFound),
		}},
		{"no HTTP", two(), answers("/a", okay, "/b", "who are you?\r\n\r\n"), []string{
			fmt.Sprintf("0: turn 0 %q", okay), `0: turn 1 "who are you?\r\n\r\n"`,
			"0: finished after 3 steps, by downstream, diverged, raw: http1: status line",
		}},
		{
			"pipelined", playbooktest.NewClient(1).Open().Data(down, getA+getB).Data(up, okay).Data(down, getA).Data(up, okay+okay).Close("downstream"),
			answers("/a", okay, "/b", longer),
			[]string{
				fmt.Sprintf("0: turn 0 %q", okay), fmt.Sprintf("0: turn 1 %q", longer), fmt.Sprintf("0: turn 2 %q", okay),
				"0: finished after 3 steps, by downstream",
			},
		},
		{
			"expect, and continue", playbooktest.NewClient(1).Open().Data(down, expect).Data(up, proceed).Data(down, "body").Data(up, okay).Close("downstream"),
			answers("Expect", proceed, "body", okay),
			[]string{fmt.Sprintf("0: turn 0 %q", proceed+okay), "0: finished after 3 steps, by downstream"},
		},
		{
			"expect, and no", playbooktest.NewClient(1).Open().Data(down, expect).Data(up, proceed).Data(down, "body").Data(up, okay).Close("downstream"),
			answers("Expect", notFound),
			[]string{fmt.Sprintf("0: turn 0 %q", notFound), "0: finished after 3 steps, by downstream"},
		},
		{
			"the end of the stream ends the answer",
			playbooktest.NewClient(1).Open().Data(down, getA).Data(up, "HTTP/1.1 200 OK\r\n\r\nall").End(up).Close("upstream"),
			func(conn *net.TCPConn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nsome")
				}
			},
			[]string{`0: turn 0 "HTTP/1.1 200 OK\r\n\r\nsome"`, "0: finished after 2 steps, by upstream"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := newBook(t, detected, row.client)
			require.Equal(t, map[string]uint64{"http1": 1}, book.Totals.Protocols)
			options := quick
			options.Protocols = spoken
			seen, _, err := play(t, book, options, serve(t, row.serve))
			require.NoError(t, err)
			last := len(seen.lines) - 1
			if before, _, ok := strings.Cut(seen.lines[last], "raw: http1: "); ok {
				seen.lines[last] = before + "raw: http1: status line"
			}
			require.Equal(t, row.want, seen.lines)
		})
	}
}

// TestHTTPServer plays connections of many requests to a server of net/http, over and over.
func TestHTTPServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/missing":
			http.NotFound(w, r)
		case "/stream":
			for range 3 {
				fmt.Fprint(w, strings.Repeat("x", 5000))
				w.(http.Flusher).Flush()
			}
		default:
			fmt.Fprintf(w, "%s has %d bytes", r.Method, len(body))
		}
	}))
	defer server.Close()
	requests := []string{
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /none HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "GET /missing HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	var clients []*playbooktest.Client
	for i := range 5 {
		clients = append(clients, record(t, uint64(i+1), server.Listener.Addr().String(), requests))
	}
	book := newBook(t, detected, clients...)
	require.Equal(t, map[string]uint64{"http1": 5}, book.Totals.Protocols)
	require.Equal(t, uint64(len(requests)*5), book.Totals.Turns)
	target := Target{Dial: func(ctx context.Context, _ *playbook.Info) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}
	seen, stats, err := play(t, book, Options{Copies: 4, Protocols: spoken}, target)
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"finished": 20}, stats.Ends)
	require.Empty(t, stats.Fallbacks)
	require.Equal(t, 4*book.Totals.Turns, stats.Answered)
	require.Zero(t, stats.Failed)
	failed := 0
	for _, turn := range seen.turns {
		require.Equal(t, turn.Turn.Failed, turn.Failed)
		if turn.Failed {
			failed++
		}
		require.Equal(t, turn.AnswerBytes(), turn.Answer.Length, "turn %d", turn.Index)
	}
	require.Equal(t, 20, failed)
}

// record makes a recording of requests that are answered one after another.
func record(t *testing.T, number uint64, address string, requests []string) *playbooktest.Client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	c := playbooktest.NewClient(number).Open()
	var answer strings.Builder
	reader := bufio.NewReader(io.TeeReader(conn, &answer))
	for _, request := range requests {
		_, err := io.WriteString(conn, request)
		require.NoError(t, err)
		c.Data(down, request)
		method, _, _ := strings.Cut(request, " ")
		response, err := http.ReadResponse(reader, &http.Request{Method: method})
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, errors.Join(err, response.Body.Close()))
		c.Data(up, answer.String())
		answer.Reset()
	}
	return c.Close("downstream")
}
