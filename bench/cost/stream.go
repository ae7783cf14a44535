package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	mebibyte   = 1 << 20
	gibibyte   = 1 << 30
	writeBytes = 64 << 10 // of the client
	blockBytes = 1 << 20  // of the service's reads
)

// stream sends bytes over one connection, as fast as they go.
type stream struct {
	mebi    int64
	service *service
	block   []byte // random bytes, sent over and over
}

// streamed is what streaming comes to.
type streamed struct {
	megabytesPerSecond, cpuSecondsPerGiB float64
	peakMiB                              float64 // over the resident memory before anything passed
	writtenMiB, recordedPercent          float64
}

// run measures a subject.
func (s *stream) run(ctx context.Context, e *target) (streamed, error) {
	s.service.echoes.Store(false)
	if _, err := s.send(ctx, e, 1); err != nil { // the one connection of a window that is admitted, if only one is
		return streamed{}, err
	}
	idleBytes, err := e.Settle(ctx)
	if err != nil {
		return streamed{}, err
	}
	keptBefore, err := e.kept(ctx)
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
	took, err := s.send(ctx, e, s.mebi)
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
	kept, err := e.kept(ctx)
	if err != nil {
		return streamed{}, err
	}
	kept -= keptBefore
	total := s.mebi * mebibyte
	if e.subject.Tapped {
		if kept = total; written < total {
			return streamed{}, fmt.Errorf("the tap wrote %d bytes for %d: it has cut events", written, total)
		}
	}
	return streamed{
		megabytesPerSecond: float64(total) / 1e6 / took.Seconds(),
		cpuSecondsPerGiB:   (busy.CPUSeconds - idle.CPUSeconds) / float64(total) * gibibyte,
		peakMiB:            float64(busy.PeakBytes-e.idle) / mebibyte,
		writtenMiB:         float64(written) / mebibyte,
		recordedPercent:    float64(kept) / float64(total) * 100,
	}, nil
}

// send sends mebi MiB over a connection and returns how long it took until the sink had all of them.
func (s *stream) send(ctx context.Context, e *target, mebi int64) (time.Duration, error) {
	const deadline = 5 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", e.Address)
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
	case got := <-s.service.received:
		took := time.Since(start)
		if got.err != nil {
			return 0, fmt.Errorf("receive from Envoy: %w", got.err)
		}
		if got.bytes != mebi*mebibyte {
			return 0, fmt.Errorf("receive from Envoy: want %d bytes, got %d", mebi*mebibyte, got.bytes)
		}
		e.passed += got.bytes
		_, err := io.Copy(io.Discard, c) // until Envoy has closed
		return took, err
	}
}
