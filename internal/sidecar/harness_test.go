package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/poll"
)

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.FileBodyDecoder)
	goleak.VerifyTestMain(m)
}

// deadline bounds what a test waits for; it decides nothing.
const deadline = 10 * time.Second

// epoch is the start of a window of 30 s, and of every other whole minute's.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// epochWindow is the identifier of the window of 30 s that starts at epoch.
const epochWindow = "019ca945-0a00-801e-ac34-64756d700000"

// clock is a time that only a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// meter is usage that a test sets.
type meter struct {
	mu          sync.Mutex
	cpu, memory Figure
	note        string
	failure     string
	ok          bool
}

func (m *meter) Latest() (Measurement, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Measurement{CPU: m.cpu, Memory: m.memory, Note: m.note, Failure: m.failure}, m.ok
}

func (m *meter) set(cpu, memory float64, taken time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cpu = Figure{Percent: cpu, Source: "host:/proc/stat", Taken: taken}
	m.memory = Figure{Percent: memory, Source: "host:/proc/meminfo", Taken: taken}
	m.ok = true
}

// logBuffer is a log that several goroutines write.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// sidecar is a Server under test, on a Unix socket, with a client whose answers are held against openapi.yaml.
type sidecar struct {
	t      *testing.T
	server *Server
	dir    string
	clock  *clock
	meter  *meter
	log    *logBuffer
	client *http.Client
}

// start starts a sidecar whose clock stands at epoch and whose usage is 10 % and 20 %, measured 100 ms before.
func start(t *testing.T, change func(o *Options)) *sidecar {
	t.Helper()
	c := &sidecar{t: t, dir: t.TempDir(), clock: &clock{now: epoch}, meter: &meter{}, log: &logBuffer{}}
	c.meter.set(10, 20, epoch.Add(-100*time.Millisecond))
	o := Options{
		Dir: c.dir, Listen: []Endpoint{{Network: "unix", Address: socketPath(t)}},
		Usage: c.meter, Now: c.clock.Now, Logger: slog.New(slog.NewTextHandler(c.log, nil)),
	}
	o.limits.shutdown = 100 * time.Millisecond
	o.limits.retry = 5 * time.Millisecond
	o.limits.filePoll = 20 * time.Millisecond
	o.limits.fileQuiet = time.Millisecond
	if change != nil {
		change(&o)
	}
	c.dir = o.Dir
	c.server = mustStart(t, o)
	c.client = newTestClient(t, c.server.Endpoints()[0])
	return c
}

// mustStart starts a server that ends with the test.
func mustStart(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// socketPath returns a path that is short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "l4dump") //nolint:usetesting // T.TempDir's paths are too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "s")
}

// newTestClient returns a client of an endpoint without TLS. It sends what URL it is given to that endpoint.
func newTestClient(t *testing.T, e Endpoint) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	if e.Network == "unix" {
		transport.DialContext = dialUnix(e.Address)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: &checkedTransport{t: t, next: transport, router: apiRouter(t)}, Timeout: deadline}
}

// checkedTransport holds each answer against openapi.yaml.
type checkedTransport struct {
	t      *testing.T
	next   http.RoundTripper
	router routers.Router
}

// loadAPI reads openapi.yaml once for all tests: it is only read from then on.
var loadAPI = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

var loadRouter = sync.OnceValues(func() (routers.Router, error) {
	doc, err := loadAPI()
	if err != nil {
		return nil, err
	}
	anywhere := *doc
	anywhere.Servers = nil
	return gorillamux.NewRouter(&anywhere)
})

func apiDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := loadAPI()
	require.NoError(t, err)
	return doc
}

func apiRouter(t *testing.T) routers.Router {
	t.Helper()
	router, err := loadRouter()
	require.NoError(t, err)
	return router
}

func (c *checkedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	known := req.Clone(req.Context())
	known.URL = &url.URL{Path: req.URL.Path, RawQuery: req.URL.RawQuery}
	route, params, err := c.router.FindRoute(known)
	if err != nil {
		return resp, nil // no such operation: a test of just that
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	err = openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: known, PathParams: params, Route: route},
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		c.t.Errorf("%s %s: %d does not match openapi.yaml: %v\n%s", req.Method, req.URL.Path, resp.StatusCode, err, body)
	}
	return resp, nil
}

// reply is an answer that has been read.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request; header are names and values in turn.
func (c *sidecar) do(method, path, body string, header ...string) reply {
	c.t.Helper()
	return send(c.t, c.client, method, "http://localhost"+path, body, header...)
}

func send(t *testing.T, client *http.Client, method, address, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{status: resp.StatusCode, header: resp.Header, body: string(text)}
}

// into reads the body of an answer with this status.
func into[T any](t *testing.T, status int, r reply) T {
	t.Helper()
	require.Equal(t, status, r.status, r.body)
	var value T
	require.NoError(t, json.Unmarshal([]byte(r.body), &value), r.body)
	return value
}

// problem reads the refusal of an answer with this status and returns its reason.
func problem(t *testing.T, status int, r reply) string {
	t.Helper()
	return into[Problem](t, status, r).Reason
}

func (c *sidecar) state() State {
	c.t.Helper()
	return into[State](c.t, http.StatusOK, c.do(http.MethodGet, statePath, ""))
}

// setGlobal sets the global strategy.
func (c *sidecar) setGlobal(text string) Global {
	c.t.Helper()
	return into[Global](c.t, http.StatusOK, c.do(http.MethodPut, globalPath, text))
}

// poll is a plugin's poll with its reports.
func (c *sidecar) poll(list ...poll.Report) State {
	c.t.Helper()
	report := string(poll.AppendReports(nil, list))
	return into[State](c.t, http.StatusOK, c.do(http.MethodGet, statePath, "", poll.ReportHeader, report))
}

// read returns a file below the sidecar's folder, or "" where there is none.
func (c *sidecar) read(name string) string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(c.t, err)
	return string(text)
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool, message ...any) {
	t.Helper()
	require.Eventually(t, condition, deadline, time.Millisecond, message...)
}

// on is a global strategy whose windows are open for 10 s of every 30 s.
const on = `{"switch":"ON","interval":30,"duration":10}`
