package e2e

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/chaos"
)

// application is a small service with JSON bodies, in which each answer has an identifier that is drawn and a time.
type application struct {
	change string // what this version does otherwise; empty: nothing
	served atomic.Int64
}

// cutEach is at how many requests the version "a cut now and then" cuts a connection.
const cutEach = 500

// startApplication starts a version of the application, and returns its address.
func startApplication(t *testing.T, change string) string {
	t.Helper()
	server := httptest.NewServer(&application{change: change})
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// user is what the application answers about a user.
type user struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	About    string `json:"about"`
	Score    any    `json:"score"`
	Email    string `json:"email,omitempty"`
	Discount *int   `json:"discount,omitempty"`
	Request  string `json:"request"`
	At       string `json:"at"`
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := a.served.Add(1)
	var id int
	_, _ = fmt.Sscanf(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], "%d", &id)
	switch {
	case a.change == "a cut of one request" && r.URL.Path == "/users/77", a.change == "a cut now and then" && n%cutEach == 0:
		panic(http.ErrAbortHandler)
	case a.change == "slower by half":
		time.Sleep(3 * slowness / 2)
	case strings.HasPrefix(a.change, "slow"):
		time.Sleep(slowness)
	}
	if a.change != "a header gone" {
		w.Header().Set("Cache-Control", "no-store")
	}
	switch route, _, _ := strings.Cut(r.URL.Path[1:], "/"); route {
	case "users":
		a.user(w, id)
	case "missing":
		status := http.StatusNotFound
		if a.change == "200 for 404" {
			status = http.StatusOK
		}
		text := fmt.Sprintf("user %d is unknown", id)
		if a.change == "an error's text" {
			text = fmt.Sprintf("no user %d", id)
		}
		a.answer(w, status, map[string]any{"error": text, "code": "unknown_user"})
	case "reports":
		body := randomBytes(uint64(id), 1<<20)
		if a.change == "a byte of a megabyte" {
			body[700_000]++
		}
		_, _ = w.Write(body)
	case "orders":
		var order map[string]any
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
			a.answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
			return
		}
		a.answer(w, http.StatusCreated, map[string]any{"order": order, "state": "new", "note": strings.Repeat("we will tell you. ", 20)})
	default:
		http.NotFound(w, r)
	}
}

func (a *application) user(w http.ResponseWriter, id int) {
	u := user{
		ID: id, Name: fmt.Sprintf("user %d", id), About: strings.Repeat("likes to walk. ", 40), Score: 17.5, Email: fmt.Sprintf("%d@example.com", id),
		Request: drawn(), At: time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"),
	}
	status := http.StatusOK
	switch a.change {
	case "404 for 200":
		if id%10 == 2 {
			status = http.StatusNotFound
		}
	case "a field added":
		u.Discount = new(int)
	case "a field removed":
		u.Email = ""
	case "a field retyped":
		u.Score = "17.5"
	case "a value":
		u.Score = 17.25
	}
	a.answer(w, status, u)
}

// answer answers with JSON. The length is known unless the version is the one with chunks.
func (a *application) answer(w http.ResponseWriter, status int, of any) {
	body, _ := json.Marshal(of)
	w.Header().Set("Content-Type", "application/json")
	if a.change != "chunks for a length" {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body[:len(body)/2])
	if a.change == "chunks for a length" {
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = w.Write(body[len(body)/2:])
}

func drawn() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// What one recording of the application has: connections at a time, each with requests one after another.
const (
	appConnections = 10
	appRequests    = 10
)

// useApplication sends what the application's clients send.
func useApplication(t *testing.T, address string) {
	t.Helper()
	var clients sync.WaitGroup
	for c := range appConnections {
		clients.Go(func() {
			transport := &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}
			defer transport.CloseIdleConnections()
			for i := range appRequests {
				id, method, route, body := c*appRequests+i, http.MethodGet, "users", ""
				switch i % 5 {
				case 1:
					route = "missing"
				case 3:
					method, route, body = http.MethodPost, "orders", fmt.Sprintf(`{"item": %d, "count": 2}`, id)
				}
				if c == 0 && i == 9 {
					route, method, body = "reports", http.MethodGet, ""
				}
				if !ask(t, transport, method, fmt.Sprintf("http://%s/%s/%d", address, route, id), body) {
					return
				}
			}
		})
	}
	clients.Wait()
}

// ask sends a request, with headers in pairs, and reads its answer.
func ask(t *testing.T, by http.RoundTripper, method, url, body string, header ...string) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return false
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] != "" {
			request.Header.Set(header[i], header[i+1])
		}
	}
	response, err := by.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return false
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		t.Error(err)
		return false
	}
	return true
}

// slowness is how long the versions with "slow" take to answer.
const slowness = 20 * time.Millisecond

// TestReplayApplication has versions of an application that differ in one thing each. It is found each time, with its
// class, place and kind, by a version beside it and by the recording alone; and nothing else is.
func TestReplayApplication(t *testing.T) {
	t.Parallel()
	log := recordTraffic(t, subjects(t)[0], startApplication(t, ""), appConnections, func(address string) { useApplication(t, address) })
	old := startApplication(t, "")
	noise := filepath.Join(t.TempDir(), "noise.yaml")
	for range rounds() {
		replay(t, log, "--baseline", old, "--target", startApplication(t, ""), "--noise-out", noise, "--force").requireSame(t, appConnections)
		replay(t, log, "--target", old, "--noise", noise, "--frozen").requireSame(t, appConnections)
	}
	// inBody is a byte of the stream of the only connection with a body of a megabyte.
	const inBody = 500_000
	for _, row := range []struct {
		change string
		proxy  chaos.Alteration
		want   []string
	}{
		{"a byte of a megabyte", chaos.Alteration{}, []string{"GET /reports/{} | body | value"}},
		{"a header gone", chaos.Alteration{}, []string{
			"GET /missing/{} | header:cache-control | removed field", "GET /reports/{} | header:cache-control | removed field",
			"GET /users/{} | header:cache-control | removed field", "POST /orders/{} | header:cache-control | removed field",
		}},
		{"404 for 200", chaos.Alteration{}, []string{"GET /users/{} |  | error", "GET /users/{} | status | value"}},
		{"200 for 404", chaos.Alteration{}, []string{"GET /missing/{} |  | no error", "GET /missing/{} | status | value"}},
		{"a field added", chaos.Alteration{}, []string{"GET /users/{} | body:$.discount | added field"}},
		{"a field removed", chaos.Alteration{}, []string{"GET /users/{} | body:$.email | removed field"}},
		{"a field retyped", chaos.Alteration{}, []string{"GET /users/{} | body:$.score | type"}},
		{"a value", chaos.Alteration{}, []string{"GET /users/{} | body:$.score | value"}},
		{"an error's text", chaos.Alteration{}, []string{"GET /missing/{} | body:$.error | value"}},
		{"chunks for a length", chaos.Alteration{}, nil},
		{"a cut of one request", chaos.Alteration{}, []string{"GET /users/{} |  | no answer"}},
		{"", chaos.Alteration{Kind: chaos.Flip, Offset: inBody}, []string{"GET /reports/{} | body | value"}},
		{"", chaos.Alteration{Kind: chaos.Truncate, Offset: inBody}, []string{"GET /reports/{} |  | early end"}},
		{"", chaos.Alteration{Kind: chaos.Reset, Offset: inBody}, []string{"GET /reports/{} |  | early end"}},
		{"", chaos.Alteration{Kind: chaos.Resegment, Length: 999}, nil},
	} {
		t.Run(cmp.Or(row.change, row.proxy.Kind.String()), func(t *testing.T) {
			proxy, err := chaos.Start(startApplication(t, row.change), chaos.Server(row.proxy))
			require.NoError(t, err)
			defer proxy.Close()
			for range rounds() {
				for _, against := range [][]string{{"--baseline", old}, {"--noise", noise, "--frozen"}} {
					r := replay(t, log, append([]string{"--target", proxy.Address()}, against...)...)
					if row.want == nil {
						r.requireSame(t, appConnections)
						continue
					}
					require.Equal(t, row.want, r.found(), "%s: %v", against, r.Reasons)
					require.Equal(t, "changed", r.Outcome)
					for _, f := range r.Findings {
						require.Equal(t, []int{3, 3}, []int{f.Reruns, f.Seen})
					}
				}
			}
		})
	}
}

// TestReplayApplicationCuts has a version that cuts a connection at each 500th request, whichever that is: it is found
// though it is not found again where it was, as the version beside it never does it.
func TestReplayApplicationCuts(t *testing.T) {
	t.Parallel()
	log := recordTraffic(t, subjects(t)[0], startApplication(t, ""), appConnections, func(address string) { useApplication(t, address) })
	old, changed := startApplication(t, ""), startApplication(t, "a cut now and then")
	const copies = 60        // 6000 requests, without those that a cut connection does not come to
	for range rounds() / 3 { // each is long
		r := replay(t, log, "--baseline", old, "--target", changed, "--copies", fmt.Sprint(copies))
		require.Equal(t, "changed", r.Outcome, "%v", r.Reasons)
		require.NotEmpty(t, r.Findings)
		connections := uint64(0)
		for _, f := range r.Findings {
			require.Equal(t, "no answer", f.Kind)
			connections += f.Connections
		}
		require.InDelta(t, 6000/cutEach, connections, 2, "%v", r.found())
	}
}

// TestReplayApplicationSlower has a version that takes half as long again to answer, and one that does not. It runs alone:
// on a machine that is busy with something else, what differs by half may be chance, and is then said to be the same.
func TestReplayApplicationSlower(t *testing.T) {
	log := recordTraffic(t, subjects(t)[0], startApplication(t, ""), appConnections, func(address string) { useApplication(t, address) })
	slow := startApplication(t, "slow")
	for range min(rounds(), 6) {
		replay(t, log, "--margin", "20", "--baseline", slow, "--target", startApplication(t, "slow, too")).requireSame(t, appConnections)
		r := replay(t, log, "--margin", "20", "--baseline", slow, "--target", startApplication(t, "slower by half"))
		require.Equal(t, "slower", r.Outcome, "%v", r.Reasons)
		require.Empty(t, r.found())
	}
}
