package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParse holds what is read of programs to what they say.
func TestParse(t *testing.T) {
	const head = "Running 1s test @ http://127.0.0.1:80/\n  2 threads and 64 connections\n"
	for _, test := range []struct {
		name           string
		parse          func([]byte) (float64, float64, error)
		said           string
		requests, rate float64
		err            string
	}{
		{
			"wrk", parseWrk, head + "  69103 requests in 3.00s, 16.87MB read\nRequests/sec:  23033.11\nTransfer/sec:      5.62MB\n",
			69103, 23033.11, "",
		},
		{
			"wrk, errors", parseWrk, head + "  5 requests in 3.00s, 1KB read\n  Non-2xx or 3xx responses: 5\nRequests/sec:  1.00\n",
			0, 0, "requests failed: Non-2xx or 3xx responses: 5",
		},
		{"wrk, no request", parseWrk, head + "  0 requests in 3.00s, 0B read\nRequests/sec:  0.00\n", 0, 0, "no request was made"},
		{"wrk, something else", parseWrk, head, 0, 0, "want requests and their rate"},
		{
			"redis-benchmark", parseRedisBenchmark(1000), `"test","rps","avg_latency_ms"` + "\n" + `"GET key","61349.69","0.4"` + "\n",
			1000, 61349.69, "",
		},
		{"redis-benchmark, something else", parseRedisBenchmark(1000), "\"test\",\"rps\"\n", 0, 0, "want a head and a row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			requests, rate, err := test.parse([]byte(test.said))
			if test.err != "" {
				require.EqualError(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []float64{test.requests, test.rate}, []float64{requests, rate})
		})
	}
}

// TestParsePlayed holds that the numbers of a run are read alone, and from within a comparison.
func TestParsePlayed(t *testing.T) {
	const run = `{"seconds": 1.5, "turns": 3, "answered": 2, "reaction": {"p50_ns": 4000, "p99_ns": 5000}}`
	want := &playReport{Seconds: 1.5, Turns: 3, Answered: 2, Reaction: &reaction{P50: 4000, P99: 5000}}
	for _, said := range []string{run, `{"outcome": "same", "turns": {"played": 3}, "run": ` + run + `}`} {
		got, err := parsePlayed([]byte(said))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := parsePlayed([]byte("target"))
	require.Error(t, err)
}
