package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// drainPoll is how often a draining Envoy is asked for its connections.
const drainPoll = 100 * time.Millisecond

// drainEnvoy tells an Envoy to accept no more connections, and waits until those that it has have ended, for patience at
// most, or until ctx ends. admin is the URL of its administration; without one there is nothing to wait for.
func drainEnvoy(ctx context.Context, admin string, patience time.Duration, stderr io.Writer) {
	if admin == "" || patience <= 0 {
		return
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := askEnvoy(limited, http.MethodPost, admin+"/drain_listeners"); err != nil {
		return // it is not serving, or not any more
	}
	for said := false; ; said = true {
		n, err := envoyConnections(limited, admin)
		if err != nil || n == 0 {
			return
		}
		if !said {
			fmt.Fprintf(stderr, "l4dump: stopping; %s may continue for %s, another interrupt ends them\n", connections(uint64(n)), patience)
		}
		select {
		case <-limited.Done():
			return
		case <-time.After(drainPoll):
		}
	}
}

// envoyConnections returns how many connections the listeners of an Envoy have, without its administration's.
func envoyConnections(ctx context.Context, admin string) (int, error) {
	body, err := askEnvoy(ctx, http.MethodGet, admin+"/stats?format=json&filter=^listener.*downstream_cx_active$")
	if err != nil {
		return 0, err
	}
	var answer struct {
		Stats []struct {
			Name  string `json:"name"`
			Value int    `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, err
	}
	n := 0
	for _, s := range answer.Stats {
		if !strings.HasPrefix(s.Name, "listener.admin.") && !strings.Contains(s.Name, ".worker_") { // which are parts of the others
			n += s.Value
		}
	}
	return n, nil
}

// askEnvoy returns the answer to a request to Envoy's administration.
func askEnvoy(ctx context.Context, method, url string) ([]byte, error) {
	const maxAnswer = 1 << 20
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Close = true // Envoy ends soon
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s", method, url, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxAnswer))
}
