package e2e

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/poll"
	"l4dump/internal/sidecar"
)

// goodState is the answer of a sidecar that has just measured an idle machine.
const goodState = `{"version":1,"usage":{"cpu":{"percent":1,"age_ms":0},"memory":{"percent":1,"age_ms":0}},"global":null}`

func answerWell(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(goodState)) }

// fakeSidecar is what listens where the sidecar should.
type fakeSidecar struct {
	mu     sync.Mutex
	answer http.HandlerFunc
	polls  []time.Time
}

// startFake starts a fake sidecar that answers well.
func startFake(t *testing.T, address string) *fakeSidecar {
	t.Helper()
	endpoint, err := sidecar.ParseEndpoint(address)
	require.NoError(t, err)
	listener, err := net.Listen(endpoint.Network, endpoint.Address)
	require.NoError(t, err)
	f := &fakeSidecar{answer: answerWell}
	server := http.Server{Handler: f}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return f
}

// set changes the answer.
func (f *fakeSidecar) set(answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// polled returns when the polls came.
func (f *fakeSidecar) polled() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.polls
}

// ServeHTTP implements http.Handler.
func (f *fakeSidecar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	answer := f.answer
	if r.URL.Path == poll.StatePath {
		f.polls = append(f.polls, time.Now())
	}
	f.mu.Unlock()
	answer(w, r)
}
