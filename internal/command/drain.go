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

const (
	// tallyPeriod is the longest time between two reports of a plugin to its proxy.
	tallyPeriod = time.Second
	// tallyPatience is how long an Envoy may take to answer what its plugins have counted.
	tallyPatience = 2 * time.Second
)

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
	stats, err := envoyStats(ctx, admin, "^listener.*downstream_cx_active$")
	if err != nil {
		return 0, err
	}
	n := 0
	for name, value := range stats {
		if !strings.HasPrefix(name, "listener.admin.") && !strings.Contains(name, ".worker_") { // which are parts of the others
			n += int(value)
		}
	}
	return n, nil
}

// envoyTally returns what the plugins of an Envoy that is about to end have counted, after they had the period of their
// reports to report the last of it, or until ctx ends; nil if Envoy cannot be asked.
func envoyTally(ctx context.Context, admin string, period time.Duration) tally {
	if admin == "" {
		return nil
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), period+tallyPatience)
	defer cancel()
	counted := func() tally {
		stats, err := envoyStats(limited, admin, tallyPrefix)
		if err != nil {
			return nil
		}
		t := make(tally, len(stats))
		for name, value := range stats {
			if at := strings.Index(name, tallyPrefix); at >= 0 { // Envoy puts "wasmcustom." before
				t[name[at:]] = value
			}
		}
		return t
	}
	t := counted()
	if _, ok := t[tallySeen]; !ok {
		return t
	}
	select {
	case <-ctx.Done():
	case <-time.After(period):
		if last := counted(); last != nil {
			t = last
		}
	}
	return t
}

// envoyStats returns the counters and gauges of an Envoy whose names match a regular expression.
func envoyStats(ctx context.Context, admin, filter string) (map[string]uint64, error) {
	body, err := askEnvoy(ctx, http.MethodGet, admin+"/stats?format=json&filter="+filter)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Stats []struct {
			Name  string `json:"name"`
			Value uint64 `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	stats := make(map[string]uint64, len(answer.Stats))
	for _, s := range answer.Stats {
		stats[s.Name] = s.Value
	}
	return stats, nil
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
