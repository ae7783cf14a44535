package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
)

// ran is what a program said and used.
type ran struct {
	stdout     []byte
	cpuSeconds float64
	peakMiB    float64
}

// run runs a program to its end; env is added to its environment.
func run(ctx context.Context, env []string, path string, args ...string) (*ran, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, append(os.Environ(), env...)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s %q: %w: %s%s", path, args, err, stdout.Bytes(), stderr.Bytes())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return nil, errors.New("the system does not say what a process used")
	}
	return &ran{stdout.Bytes(), (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), float64(usage.Maxrss) / 1024}, nil
}

// client is a program that asks as fast as it can.
type client struct {
	name string // of the program, and of its row
	args []string
	// parse reads what the program says: how many requests it made, and in how many of them per second.
	parse func(stdout []byte) (requests, rate float64, err error)
}

// run returns the values of rates.
func (c *client) run(ctx context.Context) ([]float64, error) {
	r, err := run(ctx, nil, c.name, c.args...)
	if err != nil {
		return nil, err
	}
	requests, rate, err := c.parse(r.stdout)
	if err != nil {
		return nil, fmt.Errorf("read what %s says: %w: %s", c.name, err, r.stdout)
	}
	return []float64{rate, r.cpuSeconds / requests * 100_000, 0, 0, r.peakMiB}, nil
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^ *(\d+) requests in `)
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec: *([\d.]+)$`)
	wrkFailures = regexp.MustCompile(`(?m)^ *(Socket errors|Non-2xx).*$`)
)

// parseWrk reads
//
//	69103 requests in 3.00s, 16.87MB read
//	Requests/sec:  23033.11
func parseWrk(stdout []byte) (requests, rate float64, err error) {
	if failures := wrkFailures.Find(stdout); failures != nil {
		return 0, 0, fmt.Errorf("requests failed: %s", bytes.TrimSpace(failures))
	}
	for of, to := range map[*regexp.Regexp]*float64{wrkRequests: &requests, wrkRate: &rate} {
		found := of.FindSubmatch(stdout)
		if found == nil {
			return 0, 0, errors.New("want requests and their rate")
		}
		if *to, err = strconv.ParseFloat(string(found[1]), 64); err != nil {
			return 0, 0, err
		}
	}
	if requests == 0 {
		return 0, 0, errors.New("no request was made")
	}
	return requests, rate, nil
}

// parseRedisBenchmark returns a function that reads the last row of
//
//	"test","rps","avg_latency_ms",…
//	"GET key","61349.69","0.400",…
func parseRedisBenchmark(made int) func([]byte) (float64, float64, error) {
	return func(stdout []byte) (requests, rate float64, err error) {
		rows, err := csv.NewReader(bytes.NewReader(stdout)).ReadAll()
		if err != nil {
			return 0, 0, err
		}
		if len(rows) != 2 || len(rows[1]) < 2 {
			return 0, 0, errors.New("want a head and a row")
		}
		rate, err = strconv.ParseFloat(rows[1][1], 64)
		return float64(made), rate, err
	}
}

// player runs l4dump replay.
type player struct {
	binary string
	dir    string
}

// played is a run of l4dump replay.
type played struct {
	turns, seconds           float64
	reactionP50, reactionP99 float64 // µs
	cpuSeconds               float64 // with those for reading the log
	peakMiB                  float64
}

// playReport is what is used of what l4dump says in JSON.
type playReport struct {
	Seconds  float64   `json:"seconds"`
	Turns    uint64    `json:"turns"`
	Answered uint64    `json:"answered"`
	Reaction *reaction `json:"reaction"`
}

type reaction struct {
	P50 float64 `json:"p50_ns"`
	P99 float64 `json:"p99_ns"`
}

// parsePlayed reads the report of a run, or that of a comparison, which has the run's in it.
func parsePlayed(stdout []byte) (*playReport, error) {
	var comparison struct {
		Run json.RawMessage `json:"run"`
	}
	if err := json.Unmarshal(stdout, &comparison); err != nil {
		return nil, err
	}
	if comparison.Run != nil {
		stdout = comparison.Run
	}
	said := &playReport{}
	return said, json.Unmarshal(stdout, said)
}

// play plays a log to a target, and fails unless all was answered, and if it is compared, with the same.
func (p *player) play(ctx context.Context, log, target string, flags ...string) (*played, error) {
	r, err := run(ctx, p.env(), p.binary, append([]string{"replay", log, "--target", target, "--json"}, flags...)...)
	if err != nil {
		return nil, err
	}
	said, err := parsePlayed(r.stdout)
	if err != nil {
		return nil, fmt.Errorf("read what l4dump replay says: %w", err)
	}
	if said.Turns == 0 || said.Answered != said.Turns || said.Seconds <= 0 {
		return nil, fmt.Errorf("play: want all turns answered, got %d of %d", said.Answered, said.Turns)
	}
	result := &played{turns: float64(said.Turns), seconds: said.Seconds, cpuSeconds: r.cpuSeconds, peakMiB: r.peakMiB}
	if said.Reaction != nil {
		result.reactionP50, result.reactionP99 = said.Reaction.P50/1000, said.Reaction.P99/1000
	}
	return result, nil
}

// read returns the CPU time of reading a log without playing it.
func (p *player) read(ctx context.Context, log string) (cpuSeconds float64, err error) {
	r, err := run(ctx, p.env(), p.binary, "replay", log, "--dry-run")
	if err != nil {
		return 0, err
	}
	return r.cpuSeconds, nil
}

// env has l4dump keep its file where the recordings are.
func (p *player) env() []string { return []string{"TMPDIR=" + p.dir} }
