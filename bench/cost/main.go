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
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/envoy"
	"l4dump/bench/internal/report"
	"l4dump/internal/guest"
)

func main() {
	var b bench
	program := command.Program{Name: "cost", Rounds: 5, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	envoy       envoy.Options
	rows        *regexp.Regexp // nil is all
	targets     targets
	service     *service
	stream      stream
	pingpong    pingpong
	connections int
	many        int
	turns       int
}

func (b *bench) register(flags *flag.FlagSet) {
	b.envoy.Register(flags)
	flags.Func("rows", "a regular expression of the rows to measure besides the first (default: all)", func(text string) (err error) {
		b.rows, err = regexp.Compile(text)
		return err
	})
	flags.Int64Var(&b.stream.mebi, "mib", 512, "how much is streamed in a run; 0 leaves the table of all ways to record out")
	flags.IntVar(&b.connections, "connections", 8, "over how many connections messages go back and forth")
	flags.DurationVar(&b.pingpong.duration, "duration", 3*time.Second, "how long they do in a run")
	flags.IntVar(&b.many, "many", 10_000,
		"over how many they do in the second table, or as many as there may be open files for; 0 leaves it out")
	flags.IntVar(&b.turns, "turns", 40, "how many turns each row has in the table of CPU time; 0 leaves it out")
}

const (
	everythingToFile = "everything, to a file, writes of 64 KiB"
	defaultBudget    = "default budget"
	idle             = "idle"
)

// all are the rows; nothing is a module that does nothing.
func all(nothing string) []envoy.Subject {
	return []envoy.Subject{
		envoy.NoFilter(),
		envoy.Nothing(nothing),
		{Name: idle, Plugin: envoy.Idle},
		{Name: "window closed", Plugin: envoy.Closed},
		{Name: "not admitted", Plugin: envoy.NotAdmitted},
		{Name: defaultBudget, Plugin: envoy.Budget},
		{Name: "everything", Plugin: envoy.Everything},
		{Name: "everything, lines of 64 KiB", Plugin: envoy.LongLines},
		{Name: "everything, to a file", Plugin: envoy.Everything, LogPath: true},
		{Name: everythingToFile, Plugin: envoy.LongWrites, LogPath: true},
		{Name: "the same, masked", Plugin: envoy.Masked, LogPath: true},
		{Name: "everything, layotto", Plugin: envoy.Layotto, LogPath: true},
		envoy.TapJSON(),
		envoy.TapBinary(),
	}
}

// wanted returns the control and the rows that were asked for.
func (b *bench) wanted(subjects []envoy.Subject) []envoy.Subject {
	return slices.DeleteFunc(subjects, func(s envoy.Subject) bool {
		return s.Name != envoy.NoFilter().Name && b.rows != nil && !b.rows.MatchString(s.Name)
	})
}

func (b *bench) measure(ctx context.Context, o command.Options) (_ []*report.Table, err error) {
	if b.stream.mebi < 0 || b.connections < 1 || b.many < 0 || b.turns < 0 || b.pingpong.duration <= 0 {
		return nil, errors.New("want no negative numbers, at least one connection and some duration")
	}
	dir, err := os.MkdirTemp("", "l4dump-cost-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	nothing := filepath.Join(dir, "empty.wasm")
	if err := guest.Build(ctx, nothing, "./empty"); err != nil {
		return nil, err
	}
	b.stream.block = make([]byte, writeBytes)
	_, _ = rand.Read(b.stream.block) // never fails
	if b.service, err = newService(ctx); err != nil {
		return nil, err
	}
	defer b.service.close()
	b.stream.service, b.pingpong.service = b.service, b.service
	if b.targets, err = startTargets(ctx, b.envoy, b.wanted(all(nothing)), b.service); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.targets.stop()) }()
	var tables []*report.Table
	for _, part := range []struct {
		wanted  bool
		measure func(context.Context, command.Options) ([]*report.Table, error)
	}{{b.stream.mebi > 0, b.compare}, {b.turns > 0, b.measureTurns}, {b.many > 0, b.measureMany}} {
		if !part.wanted {
			continue
		}
		more, err := part.measure(ctx, o)
		if err != nil {
			return nil, err
		}
		tables = append(tables, more...)
	}
	return tables, nil
}

// compare returns the table of all rows, and the one of ratios for README.md.
func (b *bench) compare(ctx context.Context, o command.Options) ([]*report.Table, error) {
	title := fmt.Sprintf("%d MiB over one connection, %d bytes back and forth over %d, one worker",
		b.stream.mebi, messageBytes, b.connections)
	t := report.New(title, []report.Metric{
		{Name: "MB/s", Ratio: true},
		{Name: "CPU s/GiB", Decimals: 2, Ratio: true},
		{Name: "rounds/s", Ratio: true},
		{Name: "p50 µs", Ratio: true},
		{Name: "p99 µs", Ratio: true},
		{Name: "CPU s/100k", Decimals: 2, Ratio: true},
		{Name: "peak MiB"},
		{Name: "written MiB"},
		{Name: "recorded %", Decimals: 1},
	}, b.targets.names()...)
	if err := t.Measure(ctx, o.Progress, o.Rounds, b.run); err != nil {
		return nil, err
	}
	short, err := t.Ratios("For README.md", []report.Column{
		{Metric: "MB/s", Name: "throughput, large reads"},
		{Metric: "CPU s/GiB", Name: "CPU, large reads"},
		{Metric: "rounds/s", Name: "rate, 64-byte ping-pong"},
		{Metric: "CPU s/100k", Name: "CPU, 64-byte ping-pong"},
	}, idle, defaultBudget, everythingToFile, envoy.TapJSON().Name)
	return []*report.Table{t, short}, err
}

// run measures one row of the first table.
func (b *bench) run(ctx context.Context, name string) ([]float64, error) {
	e, err := b.targets.find(name)
	if err != nil {
		return nil, err
	}
	s, err := b.stream.run(ctx, e)
	if err != nil {
		return nil, err
	}
	p, err := b.pingpong.run(ctx, e, b.connections)
	if err != nil {
		return nil, err
	}
	return []float64{
		s.megabytesPerSecond, s.cpuSecondsPerGiB, p.perSecond, p.p50, p.p99, p.cpuSeconds,
		max(s.peakMiB, p.peakMiB), s.writtenMiB, s.recordedPercent,
	}, e.Clear()
}
