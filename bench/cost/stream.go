package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"l4dump/bench/internal/envoy"
)

const (
	mebibyte   = 1 << 20
	gibibyte   = 1 << 30
	writeBytes = 64 << 10 // of the client
	blockBytes = 1 << 20  // of the service's reads
)

// stream sends bytes over one connection, as fast as they go.
type stream struct {
	mebi  int64
	sink  *sink
	block []byte // random bytes, sent over and over
}

// streamed is what streaming comes to.
type streamed struct {
	megabytesPerSecond, cpuSecondsPerGiB float64
	peakMiB                              float64 // over the resident memory before
	writtenMiB, recordedPercent          float64
}

// run measures one row in an Envoy of its own.
func (s *stream) run(ctx context.Context, o envoy.Options, subject *envoy.Subject) (_ streamed, err error) {
	const workers = 1
	e, err := envoy.Start(ctx, o, subject, workers, s.sink.address())
	if err != nil {
		return streamed{}, err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()
	if _, err := s.send(ctx, e.Address, 1); err != nil { // the one connection of a window that is admitted, if only one is
		return streamed{}, err
	}
	idleBytes, err := e.Settle(ctx)
	if err != nil {
		return streamed{}, err
	}
	if err := e.ResetPeak(); err != nil {
		return streamed{}, err
	}
	idle, err := e.Usage()
	if err != nil {
		return streamed{}, err
	}
	took, err := s.send(ctx, e.Address, s.mebi)
	if err != nil {
		return streamed{}, err
	}
	written, err := e.Settle(ctx)
	if err != nil {
		return streamed{}, err
	}
	written -= idleBytes
	busy, err := e.Usage()
	if err != nil {
		return streamed{}, err
	}
	recorded, err := s.recorded(ctx, e, subject, written)
	if err != nil {
		return streamed{}, err
	}
	total := float64(s.mebi * mebibyte)
	return streamed{
		megabytesPerSecond: total / 1e6 / took.Seconds(),
		cpuSecondsPerGiB:   (busy.CPUSeconds - idle.CPUSeconds) / total * gibibyte,
		peakMiB:            float64(busy.PeakBytes-idle.ResidentBytes) / mebibyte,
		writtenMiB:         float64(written) / mebibyte,
		recordedPercent:    recorded,
	}, nil
}

// recorded returns how much of the stream was written down, in percent.
func (s *stream) recorded(ctx context.Context, e *envoy.Envoy, subject *envoy.Subject, written int64) (float64, error) {
	total := s.mebi * mebibyte
	if subject.Tapped {
		if written < total {
			return 0, fmt.Errorf("the tap wrote %d bytes for %d: it has cut events", written, total)
		}
		return 100, nil
	}
	if subject.Plugin == "" {
		return 0, nil
	}
	// The plugin gives the proxy its metrics each second.
	const deadline = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		seen, err := e.Counter(ctx, "l4dump_bytes_seen_total")
		if err != nil {
			return 0, err
		}
		if seen == total+mebibyte {
			break
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the plugin's metrics: %w: it has seen %d bytes of %d", ctx.Err(), seen, total+mebibyte)
		case <-time.After(100 * time.Millisecond):
		}
	}
	kept, err := e.Counter(ctx, "l4dump_bytes_kept_total")
	return float64(kept) / float64(total+mebibyte) * 100, err
}

// send sends mebi MiB over a connection and returns how long it took until the sink had all of them.
func (s *stream) send(ctx context.Context, address string, mebi int64) (time.Duration, error) {
	const deadline = 5 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, fmt.Errorf("connect to Envoy: %w", err)
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	start := time.Now()
	for range mebi * mebibyte / writeBytes {
		if _, err := c.Write(s.block); err != nil {
			return 0, fmt.Errorf("send through Envoy: %w", err)
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return 0, fmt.Errorf("send through Envoy: %w", err)
	}
	select {
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the last byte: %w", ctx.Err())
	case got := <-s.sink.received:
		took := time.Since(start)
		if got.err != nil || got.bytes != mebi*mebibyte {
			return 0, fmt.Errorf("receive from Envoy: %d bytes of %d: %w", got.bytes, mebi*mebibyte, got.err)
		}
		_, err := io.Copy(io.Discard, c) // until Envoy has closed
		return took, err
	}
}
