// Command start measures what the plugin costs an Envoy that has nothing to do yet: its start, and its memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/envoy"
	"l4dump/bench/internal/report"
)

func main() {
	var b bench
	program := command.Program{Name: "start", Rounds: 5, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	envoy  envoy.Options
	envoys string
}

const (
	mebibyte    = 1 << 20
	without     = "no filter"
	withPlugin  = "l4dump, switched off"
	nobodyThere = "127.0.0.1:9" // the service is never called
)

func (b *bench) register(flags *flag.FlagSet) {
	b.envoy.Register(flags)
	flags.StringVar(&b.envoys, "envoys", "build/envoy/1.40.0/bin/envoy,build/envoy/1.36.4/bin/envoy",
		"the Envoys to measure, separated by commas, instead of --envoy")
}

func (b *bench) measure(ctx context.Context, o command.Options) ([]*report.Table, error) {
	module, err := os.Stat(b.envoy.Module)
	if err != nil {
		return nil, fmt.Errorf("read the plugin: %w", err)
	}
	var tables []*report.Table
	for binary := range strings.SplitSeq(b.envoys, ",") {
		for _, workers := range []int{1, 4} {
			title := fmt.Sprintf("%s, %d workers, module of %.2f MB", binary, workers, float64(module.Size())/1e6)
			t := report.New(title, []report.Metric{
				{Name: "start-up CPU s", Decimals: 2},
				{Name: "resident MiB", Decimals: 1},
			}, without, withPlugin)
			options := b.envoy
			options.Binary = binary
			err := t.Measure(ctx, o.Progress, o.Rounds, func(ctx context.Context, name string) ([]float64, error) {
				return run(ctx, options, workers, name)
			})
			if err != nil {
				return nil, err
			}
			tables = append(tables, t)
		}
	}
	return tables, nil
}

func run(ctx context.Context, o envoy.Options, workers int, name string) (values []float64, err error) {
	subject := envoy.NoFilter()
	if name == withPlugin {
		subject = envoy.Subject{Name: name, Plugin: envoy.Idle}
	}
	e, err := envoy.Start(ctx, o, &subject, workers, netip.MustParseAddrPort(nobodyThere))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()
	if _, err := e.Settle(ctx); err != nil {
		return nil, err
	}
	usage, err := e.Usage()
	if err != nil {
		return nil, err
	}
	return []float64{usage.CPUSeconds, float64(usage.ResidentBytes) / mebibyte}, nil
}
