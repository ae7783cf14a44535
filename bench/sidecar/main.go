// Command sidecar measures what the sidecar costs when nothing happens: alone, and polled as a plugin polls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/process"
	"l4dump/bench/internal/report"
	"l4dump/internal/poll"
)

func main() {
	var b bench
	program := command.Program{Name: "sidecar", Rounds: 3, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	binary   string
	duration time.Duration
}

const (
	mebibyte      = 1 << 20
	startDeadline = 30 * time.Second
	stopDeadline  = 10 * time.Second

	alone  = "alone"
	polled = "polled each second"
	busy   = "polled 100 times a second"
)

// interval is how often a row polls; 0 is never.
func interval(name string) time.Duration {
	switch name {
	case polled:
		return time.Second
	case busy:
		return 10 * time.Millisecond
	}
	return 0
}

func (b *bench) register(flags *flag.FlagSet) {
	flags.StringVar(&b.binary, "l4dump", "../build/l4dump", "the command line to measure")
	flags.DurationVar(&b.duration, "duration", 20*time.Second, "how long a run takes")
}

func (b *bench) measure(ctx context.Context, o command.Options) ([]*report.Table, error) {
	t := report.New(fmt.Sprintf("l4dump sidecar for %s, measuring each second", b.duration), []report.Metric{
		{Name: "% of a core", Decimals: 2},
		{Name: "resident MiB", Decimals: 1},
		{Name: "peak MiB", Decimals: 1},
	}, alone, polled, busy)
	if err := t.Measure(ctx, o.Progress, o.Rounds, b.run); err != nil {
		return nil, err
	}
	return []*report.Table{t}, nil
}

func (b *bench) run(ctx context.Context, name string) (values []float64, err error) {
	dir, err := os.MkdirTemp("", "l4dump-bench-")
	if err != nil {
		return nil, fmt.Errorf("start the sidecar: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	socket := filepath.Join(dir, "socket")
	p, err := process.Start(ctx, process.Command{
		Path:     b.binary,
		Args:     []string{"sidecar", "--listen", "unix://" + socket, "--dir", filepath.Join(dir, "files")},
		Patience: stopDeadline,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	c := newClient(socket)
	defer c.http.CloseIdleConnections()
	if err := c.waitUntilMeasured(ctx, p.Exited()); err != nil {
		return nil, err
	}
	before, err := p.Usage()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := c.pollFor(ctx, b.duration, interval(name)); err != nil {
		return nil, err
	}
	took := time.Since(start)
	after, err := p.Usage()
	if err != nil {
		return nil, err
	}
	return []float64{
		(after.CPUSeconds - before.CPUSeconds) / took.Seconds() * 100,
		float64(after.ResidentBytes) / mebibyte,
		float64(after.PeakBytes) / mebibyte,
	}, nil
}

// client asks the sidecar over its socket.
type client struct{ http http.Client }

func newClient(socket string) *client {
	return &client{http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}
}

func (c *client) get(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", path, response.Status)
	}
	return nil
}

func (c *client) waitUntilMeasured(ctx context.Context, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	for {
		err := c.get(ctx, "/readyz")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the sidecar is ready: %w", err)
		case <-exited:
			return errors.New("wait until the sidecar is ready: it has exited")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pollFor polls at the interval, or never if it is 0, until duration has passed.
func (c *client) pollFor(ctx context.Context, duration, interval time.Duration) error {
	end := time.After(duration)
	var ticks <-chan time.Time
	if interval > 0 {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			return nil
		case <-ticks:
			if err := c.get(ctx, poll.StatePath); err != nil {
				return fmt.Errorf("poll the sidecar: %w", err)
			}
		}
	}
}
