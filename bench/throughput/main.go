// Command throughput streams bytes through one Envoy worker, with and without something that records them.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/envoy"
	"l4dump/bench/internal/report"
)

func main() {
	var b bench
	program := command.Program{Name: "throughput", Rounds: 5, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	envoy    envoy.Options
	mebi     int64
	subjects []envoy.Subject
	sink     *sink
	block    []byte // random bytes, sent over and over
}

const (
	mebibyte   = 1 << 20
	gibibyte   = 1 << 30
	blockBytes = 1 << 20
)

func (b *bench) register(flags *flag.FlagSet) {
	b.envoy.Register(flags)
	flags.Int64Var(&b.mebi, "mib", 512, "how much is streamed in a run")
}

func subjects() []envoy.Subject {
	return []envoy.Subject{
		envoy.NoFilter(),
		{Name: "l4dump, switched off", Plugin: envoy.Idle},
		{Name: "l4dump, default budget", Plugin: envoy.Budget},
		{Name: "l4dump, everything", Plugin: envoy.Everything},
		{Name: "l4dump, everything, lines of 64 KiB", Plugin: envoy.LongLines},
		{Name: "l4dump, everything, to --log-path", Plugin: envoy.Everything, LogPath: true},
		envoy.TapJSON(),
		envoy.TapBinary(),
	}
}

func (b *bench) measure(ctx context.Context, o command.Options) ([]*report.Table, error) {
	if b.mebi < 1 {
		return nil, fmt.Errorf("mib: want at least 1, got %d", b.mebi)
	}
	b.block = make([]byte, blockBytes)
	_, _ = rand.Read(b.block) // never fails
	var err error
	if b.sink, err = listen(ctx); err != nil {
		return nil, err
	}
	defer b.sink.close()
	b.subjects = subjects()
	t := report.New(fmt.Sprintf("%d MiB over one connection, one worker", b.mebi), []report.Metric{
		{Name: "MB/s", Ratio: true},
		{Name: "CPU s/GiB", Decimals: 2, Ratio: true},
		{Name: "peak MiB over idle"},
		{Name: "recorded %", Decimals: 1},
		{Name: "written MiB"},
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
	e, err := envoy.Start(ctx, b.envoy, subject, workers, b.sink.address())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()
	idleBytes, err := e.Settle(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.ResetPeak(); err != nil {
		return nil, err
	}
	idle, err := e.Usage()
	if err != nil {
		return nil, err
	}
	took, err := b.stream(ctx, e.Address)
	if err != nil {
		return nil, err
	}
	written, err := e.Settle(ctx)
	if err != nil {
		return nil, err
	}
	written -= idleBytes
	busy, err := e.Usage()
	if err != nil {
		return nil, err
	}
	recorded, err := b.recorded(ctx, e, subject, written)
	if err != nil {
		return nil, err
	}
	total := float64(b.mebi * mebibyte)
	return []float64{
		total / 1e6 / took.Seconds(),
		(busy.CPUSeconds - idle.CPUSeconds) / total * gibibyte,
		float64(busy.PeakBytes-idle.ResidentBytes) / mebibyte,
		recorded,
		float64(written) / mebibyte,
	}, nil
}

// recorded returns how much of the stream was written down, in percent.
func (b *bench) recorded(ctx context.Context, e *envoy.Envoy, subject *envoy.Subject, written int64) (float64, error) {
	total := b.mebi * mebibyte
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
		if seen == total {
			break
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the plugin's metrics: %w: it has seen %d bytes of %d", ctx.Err(), seen, total)
		case <-time.After(100 * time.Millisecond):
		}
	}
	kept, err := e.Counter(ctx, "l4dump_bytes_kept_total")
	return float64(kept) / float64(total) * 100, err
}

// stream sends the bytes and returns how long it took until the sink had all of them.
func (b *bench) stream(ctx context.Context, address string) (time.Duration, error) {
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
	for range b.mebi * mebibyte / blockBytes {
		if _, err := c.Write(b.block); err != nil {
			return 0, fmt.Errorf("send through Envoy: %w", err)
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return 0, fmt.Errorf("send through Envoy: %w", err)
	}
	select {
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the last byte: %w", ctx.Err())
	case got := <-b.sink.received:
		took := time.Since(start)
		if got.err != nil || got.bytes != b.mebi*mebibyte {
			return 0, fmt.Errorf("receive from Envoy: %d bytes of %d: %w", got.bytes, b.mebi*mebibyte, got.err)
		}
		_, err := io.Copy(io.Discard, c) // until Envoy has closed
		return took, err
	}
}
