package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// largeBody is as many bytes as a read buffer of the proxy does not hold.
const largeBody = 3 << 20

// startHTTPService starts a service that answers with the request's body, and returns its address.
func startHTTPService(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client sees it too
		}
		w.Header().Set("Path", r.URL.Path)
		_, _ = w.Write(body) // who asked may have gone
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// httpClient speaks HTTP on one connection.
type httpClient struct {
	*client
	http.Client
	wire *wire
}

// dialHTTP returns a client that speaks HTTP/1.1, or HTTP/2 with prior knowledge, on one connection to an address.
func dialHTTP(t *testing.T, address string, version int) *httpClient {
	t.Helper()
	c := &httpClient{client: dial(t, address)}
	c.wire = newWire(c.TCPConn)
	unused := make(chan net.Conn, 1)
	unused <- c.wire
	transport := &http.Transport{
		MaxConnsPerHost: 1, DisableCompression: true, Protocols: new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case connection := <-unused:
				return connection, nil
			default:
				return nil, fmt.Errorf("dial %s: there is one connection only", address)
			}
		},
	}
	transport.Protocols.SetHTTP1(version == 1)
	transport.Protocols.SetUnencryptedHTTP2(version == 2)
	t.Cleanup(transport.CloseIdleConnections)
	c.Client = http.Client{Transport: transport, Timeout: deadline}
	return c
}

// exchange sends a request whose body must come back.
func (c *httpClient) exchange(ctx context.Context, path string, body []byte) error {
	method := http.MethodPost
	if len(body) == 0 {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+serverName+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK || response.Header.Get("Path") != path || !bytes.Equal(body, got):
		return fmt.Errorf("%s %s: status %d, %d bytes of the answer to %s", method, path, response.StatusCode, len(got), response.Header.Get("Path"))
	}
	return nil
}

// finish ends the client's stream when all answers are there, and waits until the proxy has ended its own.
func (c *httpClient) finish() {
	c.t.Helper()
	require.NoError(c.t, c.CloseWrite())
	<-c.wire.ended // the connection has a deadline
}

// TestHTTP records in front of an HTTP connection manager: requests one after another, large bodies, and HTTP/2 with
// requests at once. What is recorded is what passed, but for pipelined requests. The engine has no HTTP connection manager.
func TestHTTP(t *testing.T) {
	t.Parallel()
	const requests = 20
	inTurn := func(c *httpClient, bodies [][]byte) error {
		for i, body := range bodies {
			if err := c.exchange(c.t.Context(), fmt.Sprintf("/%d", i), body); err != nil {
				return err
			}
		}
		return nil
	}
	atOnce := func(c *httpClient, bodies [][]byte) error {
		var wait sync.WaitGroup
		faults := make(chan error, len(bodies))
		for i, body := range bodies {
			wait.Go(func() { faults <- c.exchange(c.t.Context(), fmt.Sprintf("/%d", i), body) })
		}
		wait.Wait()
		close(faults)
		for err := range faults {
			if err != nil {
				return err
			}
		}
		return nil
	}
	rows := []struct {
		name    string
		version int
		body    int // bytes of each
		count   int // of requests
		send    func(*httpClient, [][]byte) error
	}{
		{"HTTP/1.1, kept alive, without bodies", 1, 0, requests, inTurn},
		{"HTTP/1.1, kept alive, small bodies", 1, 1_000, requests, inTurn},
		{"HTTP/1.1, large bodies", 1, largeBody, 2, inTurn},
		{"HTTP/2, in turn", 2, 1_000, requests, inTurn},
		{"HTTP/2, at once", 2, 10_000, requests, atOnce},
		{"HTTP/2, large bodies at once", 2, largeBody, 2, atOnce},
	}
	onEnvoys(t, func(t *testing.T, s subject) {
		capture := strings.Replace(everything, "{", `{"next_filter": "http_connection_manager", `, 1)
		c := newConfig(t, startHTTPService(t), plugins{listenerName: pluginConfig(openStrategy(t), capture, `{}`)})
		c.speakHTTP(t, listenerName)
		p := start(t, s, c)
		for i, row := range rows {
			bodies := make([][]byte, row.count)
			for j := range bodies {
				bodies[j] = randomBytes(uint64(i<<8|j), row.body)
			}
			client := dialHTTP(t, p.address(listenerName), row.version)
			require.NoError(t, row.send(client, bodies), row.name)
			client.finish()

			recorded := p.waitForCloses(i+1).of(t, client.source())
			sent, received := client.wire.passed()
			require.Equal(t, "http_connection_manager", recorded.open.Next, row.name)
			require.Equal(t, ledger(uint64(len(sent)), uint64(len(sent)), 0), recorded.closed.Downstream, row.name)
			require.Equal(t, digestOf(sent), recorded.streams[record.Downstream].digest(t), row.name)
			require.Equal(t, ledger(uint64(len(received)), uint64(len(received)), 0), recorded.closed.Upstream, row.name)
			require.Equal(t, digestOf(received), recorded.streams[record.Upstream].digest(t), row.name)
			recorded.streams = [2]stream{} // not to hold all of it
		}
		requirePipelined(t, p)
	})
}

// requirePipelined sends HTTP/1.1 requests before the answers to those before: while one is answered, the next ones wait
// in the proxy's buffer, and the plugin sees them again with each read. docs/FORMAT.md says so, in "Bytes that stand in
// a dump more than once".
func requirePipelined(t *testing.T, p *proxy) {
	t.Helper()
	closes := p.dump().closes
	client := dial(t, p.address(listenerName))
	var requests []string
	for _, name := range []string{"first", "second", "third"} {
		requests = append(requests, fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n", name, serverName))
	}
	// One write, and so one read of the proxy.
	_, err := client.Write([]byte(strings.Join(requests, "")))
	require.NoError(t, err)
	w := newWire(client.TCPConn)
	answers := newAnswers(w)
	for _, name := range []string{"first", "second", "third"} {
		require.Equal(t, "/"+name, answers.next(t))
	}
	require.NoError(t, client.CloseWrite())
	answers.end(t)

	recorded := p.waitForCloses(closes+1).of(t, client.source())
	require.Equal(t, "http_connection_manager", recorded.open.Next)
	_, received := w.passed()
	require.Equal(t, string(received), string(recorded.streams[record.Upstream].bytes(t, 0)), "what the proxy sends stands once")
	want := strings.Join(requests, "") + strings.Join(requests[1:], "") + requests[2]
	require.Equal(t, want, string(recorded.streams[record.Downstream].bytes(t, 0)))
	require.Equal(t, ledger(uint64(len(want)), uint64(len(want)), 0), recorded.closed.Downstream, "counted as often as it stands")
}

// answers are HTTP/1.1 responses on one connection.
type answers struct{ text *bufio.Reader }

func newAnswers(r io.Reader) *answers { return &answers{text: bufio.NewReader(r)} }

// next returns the path that the next response answers.
func (a *answers) next(t *testing.T) string {
	t.Helper()
	response, err := http.ReadResponse(a.text, nil)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	return response.Header.Get("Path")
}

// end requires that nothing else comes.
func (a *answers) end(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(a.text)
	require.NoError(t, err)
	require.Empty(t, rest)
}
