package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

const messageBytes = 64

// pingpong sends small messages back and forth.
type pingpong struct {
	duration time.Duration
	service  *service
}

// exchanged is what they come to.
type exchanged struct {
	perSecond, p50, p99 float64 // in µs
	cpuSeconds          float64 // of 100,000
	peakMiB             float64 // over the resident memory before anything passed
}

// run measures a subject over so many connections, each with one message under way.
func (p *pingpong) run(ctx context.Context, e *target, connections int) (exchanged, error) {
	p.service.echoes.Store(true)
	if _, err := e.Settle(ctx); err != nil {
		return exchanged{}, err
	}
	if err := e.ResetPeak(); err != nil {
		return exchanged{}, err
	}
	all, err := connect(ctx, e.Address, connections)
	if err != nil {
		return exchanged{}, err
	}
	defer all.close()
	const warmUp = 200 * time.Millisecond
	warm, err := all.play(ctx, warmUp)
	if err != nil {
		return exchanged{}, err
	}
	idle, err := e.Usage()
	if err != nil {
		return exchanged{}, err
	}
	start := time.Now()
	latencies, err := all.play(ctx, p.duration)
	if err != nil {
		return exchanged{}, err
	}
	took := time.Since(start)
	busy, err := e.Usage()
	if err != nil {
		return exchanged{}, err
	}
	e.passed += passed(warm) + passed(latencies)
	slices.Sort(latencies)
	rounds := float64(len(latencies))
	return exchanged{
		perSecond:  rounds / took.Seconds(),
		p50:        microseconds(latencies[len(latencies)/2]),
		p99:        microseconds(latencies[len(latencies)*99/100]),
		cpuSeconds: (busy.CPUSeconds - idle.CPUSeconds) * 100_000 / rounds,
		peakMiB:    float64(busy.PeakBytes-e.idle) / mebibyte,
	}, nil
}

// passed returns how many bytes went through a proxy for messages that took so long.
func passed(latencies []time.Duration) int64 { return 2 * messageBytes * int64(len(latencies)) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// clients are connections to Envoy.
type clients []net.Conn

func connect(ctx context.Context, address string, n int) (_ clients, err error) {
	var c clients
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	var dialer net.Dialer
	for range n {
		each, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("connect to Envoy: %w", err)
		}
		c = append(c, each)
	}
	return c, nil
}

func (c clients) close() {
	for _, each := range c {
		_ = each.Close()
	}
}

// play sends messages for as long as duration, at least one over each connection, and returns how long each took to come
// back.
func (c clients) play(ctx context.Context, duration time.Duration) ([]time.Duration, error) {
	const patience = 30 * time.Second
	end := time.Now().Add(duration)
	latencies := make([][]time.Duration, len(c))
	errs := make([]error, len(c))
	var wait sync.WaitGroup
	for i, each := range c {
		if err := each.SetDeadline(end.Add(patience)); err != nil {
			return nil, fmt.Errorf("connect to Envoy: %w", err)
		}
		wait.Go(func() { latencies[i], errs[i] = exchange(ctx, each, end) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err // one tells enough of what may be thousands
		}
	}
	return slices.Concat(latencies...), nil
}

// exchange sends a message, waits for it to come back, and so on until end, at least once.
func exchange(ctx context.Context, c net.Conn, end time.Time) ([]time.Duration, error) {
	message := make([]byte, messageBytes)
	var latencies []time.Duration
	for start := time.Now(); len(latencies) == 0 || start.Before(end); {
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
