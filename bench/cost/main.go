// Command cost measures what recording costs one Envoy worker: a stream of large writes, and small messages back and
// forth, each with and without something that records them.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/envoy"
	"l4dump/bench/internal/report"
)

func main() {
	var b bench
	program := command.Program{Name: "cost", Rounds: 5, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	envoy    envoy.Options
	subjects []envoy.Subject
	stream   stream
	pingpong pingpong
}

func (b *bench) register(flags *flag.FlagSet) {
	b.envoy.Register(flags)
	flags.Int64Var(&b.stream.mebi, "mib", 512, "how much is streamed in a run")
	flags.IntVar(&b.pingpong.connections, "connections", 8, "over how many connections messages go back and forth")
	flags.DurationVar(&b.pingpong.duration, "duration", 3*time.Second, "how long they do in a run")
}

func subjects() []envoy.Subject {
	return []envoy.Subject{
		envoy.NoFilter(),
		{Name: "idle", Plugin: envoy.Idle},
		{Name: "window closed", Plugin: envoy.Closed},
		{Name: "not admitted", Plugin: envoy.NotAdmitted},
		{Name: "default budget", Plugin: envoy.Budget},
		{Name: "everything", Plugin: envoy.Everything},
		{Name: "everything, lines of 64 KiB", Plugin: envoy.LongLines},
		{Name: "everything, to a file", Plugin: envoy.Everything, LogPath: true},
		{Name: "everything, to a file, writes of 64 KiB", Plugin: envoy.LongWrites, LogPath: true},
		{Name: "everything, layotto", Plugin: envoy.Layotto, LogPath: true},
		envoy.TapJSON(),
		envoy.TapBinary(),
	}
}

func (b *bench) measure(ctx context.Context, o command.Options) (_ []*report.Table, err error) {
	if b.stream.mebi < 1 || b.pingpong.connections < 1 || b.pingpong.duration <= 0 {
		return nil, errors.New("want at least 1 MiB, one connection and some duration")
	}
	b.stream.block = make([]byte, writeBytes)
	_, _ = rand.Read(b.stream.block) // never fails
	if b.stream.sink, err = newSink(ctx); err != nil {
		return nil, err
	}
	defer b.stream.sink.close()
	if b.pingpong.echo, err = newEcho(ctx); err != nil {
		return nil, err
	}
	defer b.pingpong.echo.close()
	b.subjects = subjects()
	title := fmt.Sprintf("%d MiB over one connection, %d bytes back and forth over %d, one worker",
		b.stream.mebi, messageBytes, b.pingpong.connections)
	t := report.New(title, []report.Metric{
		{Name: "MB/s", Ratio: true},
		{Name: "CPU s/GiB", Decimals: 2, Ratio: true},
		{Name: "rounds/s", Ratio: true},
		{Name: "p50 µs", Ratio: true},
		{Name: "p99 µs", Ratio: true},
		{Name: "CPU s/100k", Decimals: 2, Ratio: true},
		{Name: "peak MiB over idle"},
		{Name: "written MiB"},
		{Name: "recorded %", Decimals: 1},
	}, envoy.Names(b.subjects)...)
	if err := t.Measure(ctx, o.Progress, o.Rounds, b.run); err != nil {
		return nil, err
	}
	return []*report.Table{t}, nil
}

func (b *bench) run(ctx context.Context, name string) ([]float64, error) {
	subject, err := envoy.Find(b.subjects, name)
	if err != nil {
		return nil, err
	}
	s, err := b.stream.run(ctx, b.envoy, subject)
	if err != nil {
		return nil, err
	}
	p, err := b.pingpong.run(ctx, b.envoy, subject)
	if err != nil {
		return nil, err
	}
	return []float64{
		s.megabytesPerSecond, s.cpuSecondsPerGiB, p.perSecond, p.p50, p.p99, p.cpuSeconds,
		s.peakMiB, s.writtenMiB, s.recordedPercent,
	}, nil
}
