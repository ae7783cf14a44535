// Command start measures what the plugin costs an Envoy that has nothing to do: its start, its memory, and its ticks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/envoy"
	"l4dump/bench/internal/report"
	"l4dump/internal/guest"
)

func main() {
	var b bench
	program := command.Program{Name: "start", Rounds: 3, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	envoy  envoy.Options
	envoys string
	idle   time.Duration
}

const (
	mebibyte    = 1 << 20
	nobodyThere = "127.0.0.1:9" // the service is never called
)

func (b *bench) register(flags *flag.FlagSet) {
	b.envoy.Register(flags)
	flags.StringVar(&b.envoys, "envoys", "../build/envoy/1.40.0/bin/envoy,../build/envoy/1.36.4/bin/envoy",
		"the Envoys to measure, separated by commas, instead of --envoy")
	flags.DurationVar(&b.idle, "idle", 5*time.Second, "how long it is watched after its start")
}

func (b *bench) measure(ctx context.Context, o command.Options) (_ []*report.Table, err error) {
	if b.idle <= 0 {
		return nil, fmt.Errorf("idle: want more than 0, got %s", b.idle)
	}
	module, err := os.Stat(b.envoy.Module)
	if err != nil {
		return nil, fmt.Errorf("read the plugin: %w", err)
	}
	dir, err := os.MkdirTemp("", "l4dump-start-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	nothing := filepath.Join(dir, "empty.wasm")
	if err := guest.Build(ctx, nothing, "./empty"); err != nil {
		return nil, err
	}
	empty, err := os.Stat(nothing)
	if err != nil {
		return nil, fmt.Errorf("read the guest: %w", err)
	}
	subjects := []envoy.Subject{
		envoy.Nothing(nothing), {Name: "l4dump, switched off", Plugin: envoy.Idle}, envoy.NoFilter(),
	}
	var tables []*report.Table
	for binary := range strings.SplitSeq(b.envoys, ",") {
		for _, workers := range []int{1, 4} {
			title := fmt.Sprintf("%s, %d workers, module of %.2f MB, empty one of %.2f MB",
				binary, workers, float64(module.Size())/1e6, float64(empty.Size())/1e6)
			t := report.New(title, []report.Metric{
				{Name: "start-up CPU s", Decimals: 2, Ratio: true},
				{Name: "resident MiB", Decimals: 1, Ratio: true},
				{Name: "idle % of a core", Decimals: 2},
			}, envoy.Names(subjects)...)
			options := b.envoy
			options.Binary = binary
			err := t.Measure(ctx, o.Progress, o.Rounds, func(ctx context.Context, name string) ([]float64, error) {
				subject, err := envoy.Find(subjects, name)
				if err != nil {
					return nil, err
				}
				return b.run(ctx, options, workers, subject)
			})
			if err != nil {
				return nil, err
			}
			tables = append(tables, t)
		}
	}
	return tables, nil
}

func (b *bench) run(ctx context.Context, o envoy.Options, workers int, subject *envoy.Subject) (values []float64, err error) {
	e, err := envoy.Start(ctx, o, subject, workers, netip.MustParseAddrPort(nobodyThere))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()
	if _, err := e.Settle(ctx); err != nil {
		return nil, err
	}
	started, err := e.Usage()
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(b.idle):
	}
	idle, err := e.Usage()
	if err != nil {
		return nil, err
	}
	return []float64{
		started.CPUSeconds,
		float64(started.ResidentBytes) / mebibyte,
		(idle.CPUSeconds - started.CPUSeconds) / b.idle.Seconds() * 100,
	}, nil
}
