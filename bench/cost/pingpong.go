package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"l4dump/bench/internal/envoy"
)

const messageBytes = 64

// pingpong sends small messages back and forth.
type pingpong struct {
	connections int // each with one message under way
	duration    time.Duration
	echo        *echo
}

// exchanged is what they come to.
type exchanged struct {
	perSecond, p50, p99 float64 // in µs
	cpuSeconds          float64 // of 100,000
}

// run measures one row in an Envoy of its own.
func (p *pingpong) run(ctx context.Context, o envoy.Options, subject *envoy.Subject) (_ exchanged, err error) {
	const workers = 1
	e, err := envoy.Start(ctx, o, subject, workers, p.echo.address())
	if err != nil {
		return exchanged{}, err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()
	if _, err := e.Settle(ctx); err != nil {
		return exchanged{}, err
	}
	const warmUp = 200 * time.Millisecond
	if _, err := p.play(ctx, e.Address, warmUp); err != nil {
		return exchanged{}, err
	}
	idle, err := e.Usage()
	if err != nil {
		return exchanged{}, err
	}
	latencies, err := p.play(ctx, e.Address, p.duration)
	if err != nil {
		return exchanged{}, err
	}
	busy, err := e.Usage()
	if err != nil {
		return exchanged{}, err
	}
	slices.Sort(latencies)
	rounds := float64(len(latencies))
	return exchanged{
		perSecond:  rounds / p.duration.Seconds(),
		p50:        microseconds(latencies[len(latencies)/2]),
		p99:        microseconds(latencies[len(latencies)*99/100]),
		cpuSeconds: (busy.CPUSeconds - idle.CPUSeconds) * 100_000 / rounds,
	}, nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// play sends messages for as long as duration and returns how long each took to come back.
func (p *pingpong) play(ctx context.Context, address string, duration time.Duration) ([]time.Duration, error) {
	var connections []net.Conn
	defer func() {
		for _, c := range connections {
			_ = c.Close()
		}
	}()
	var dialer net.Dialer
	for range p.connections {
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
