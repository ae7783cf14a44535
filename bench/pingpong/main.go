// Command pingpong sends small messages back and forth through one Envoy worker, with and without something that records
// them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/envoy"
	"l4dump/bench/internal/report"
)

func main() {
	var b bench
	program := command.Program{Name: "pingpong", Rounds: 5, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	envoy       envoy.Options
	connections int
	duration    time.Duration
	subjects    []envoy.Subject
	echo        *echo
}

const messageBytes = 64

func (b *bench) register(flags *flag.FlagSet) {
	b.envoy.Register(flags)
	flags.IntVar(&b.connections, "connections", 8, "how many connections there are, each with one message under way")
	flags.DurationVar(&b.duration, "duration", 3*time.Second, "how long a run takes")
}

func subjects() []envoy.Subject {
	return []envoy.Subject{
		envoy.NoFilter(),
		{Name: "l4dump, switched off", Plugin: envoy.Idle},
		{Name: "l4dump, default budget", Plugin: envoy.Budget},
		{Name: "l4dump, everything", Plugin: envoy.Everything},
		envoy.TapJSON(),
	}
}

func (b *bench) measure(ctx context.Context, o command.Options) ([]*report.Table, error) {
	if b.connections < 1 || b.duration <= 0 {
		return nil, errors.New("want at least one connection and some duration")
	}
	var err error
	if b.echo, err = listen(ctx); err != nil {
		return nil, err
	}
	defer b.echo.close()
	b.subjects = subjects()
	title := fmt.Sprintf("%d bytes back and forth over %d connections, one worker", messageBytes, b.connections)
	t := report.New(title, []report.Metric{
		{Name: "rounds/s", Ratio: true},
		{Name: "p50 µs", Ratio: true},
		{Name: "p99 µs", Ratio: true},
		{Name: "CPU µs/round", Decimals: 1, Ratio: true},
	}, envoy.Names(b.subjects)...)
	if err := t.Measure(ctx, o.Progress, o.Rounds, b.run); err != nil {
		return nil, err
	}
	return []*report.Table{t}, nil
}

func (b *bench) run(ctx context.Context, name string) (values []float64, err error) {
	subject, err := envoy.Find(b.subjects, name)
	if err != nil {
		return nil, err
	}
	const workers = 1
	e, err := envoy.Start(ctx, b.envoy, subject, workers, b.echo.address())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()
	if _, err := e.Settle(ctx); err != nil {
		return nil, err
	}
	const warmUp = 200 * time.Millisecond
	if _, err := b.play(ctx, e.Address, warmUp); err != nil {
		return nil, err
	}
	idle, err := e.Usage()
	if err != nil {
		return nil, err
	}
	latencies, err := b.play(ctx, e.Address, b.duration)
	if err != nil {
		return nil, err
	}
	busy, err := e.Usage()
	if err != nil {
		return nil, err
	}
	slices.Sort(latencies)
	rounds := float64(len(latencies))
	return []float64{
		rounds / b.duration.Seconds(),
		microseconds(latencies[len(latencies)/2]),
		microseconds(latencies[len(latencies)*99/100]),
		(busy.CPUSeconds - idle.CPUSeconds) * 1e6 / rounds,
	}, nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// play sends messages for as long as duration and returns how long each took to come back.
func (b *bench) play(ctx context.Context, address string, duration time.Duration) ([]time.Duration, error) {
	var connections []net.Conn
	defer func() {
		for _, c := range connections {
			_ = c.Close()
		}
	}()
	var dialer net.Dialer
	for range b.connections {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("connect to Envoy: %w", err)
		}
		connections = append(connections, c)
	}
	const patience = 30 * time.Second
	end := time.Now().Add(duration)
	latencies := make([][]time.Duration, len(connections))
	errs := make([]error, len(connections))
	var wait sync.WaitGroup
	for i, c := range connections {
		if err := c.SetDeadline(end.Add(patience)); err != nil {
			return nil, fmt.Errorf("connect to Envoy: %w", err)
		}
		wait.Go(func() { latencies[i], errs[i] = exchange(ctx, c, end) })
	}
	wait.Wait()
	all := slices.Concat(latencies...)
	err := errors.Join(errs...)
	if err == nil && len(all) == 0 {
		err = errors.New("no message came back")
	}
	return all, err
}

// exchange sends a message, waits for it to come back, and so on until end.
func exchange(ctx context.Context, c net.Conn, end time.Time) ([]time.Duration, error) {
	message := make([]byte, messageBytes)
	var latencies []time.Duration
	for start := time.Now(); start.Before(end); {
		if _, err := c.Write(message); err != nil {
			return nil, fmt.Errorf("send through Envoy: %w", err)
		}
		if _, err := io.ReadFull(c, message); err != nil {
			return nil, fmt.Errorf("receive from Envoy: %w", err)
		}
		now := time.Now()
		latencies = append(latencies, now.Sub(start))
		start = now
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return latencies, nil
}
