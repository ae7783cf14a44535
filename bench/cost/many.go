package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/envoy"
	"l4dump/bench/internal/report"
)

const (
	few = 100
	// openFiles are those of a proxy, or of this process, that are no connections.
	openFiles = 200
)

// measureMany measures what a message costs over few connections and over many.
func (b *bench) measureMany(ctx context.Context, o command.Options) ([]*report.Table, error) {
	many, err := affordable(b.many)
	if err != nil {
		return nil, err
	}
	rows := slices.DeleteFunc(b.targets.names(), func(name string) bool {
		return !slices.Contains([]string{envoy.NoFilter().Name, idle, defaultBudget, everythingToFile}, name)
	})
	title := fmt.Sprintf("%d bytes back and forth over %d connections, and over %d", messageBytes, few, many)
	t := report.New(title, []report.Metric{
		{Name: fmt.Sprintf("CPU s/100k over %d", few), Decimals: 2, Ratio: true},
		{Name: fmt.Sprintf("over %d", many), Decimals: 2, Ratio: true},
		{Name: "times", Decimals: 2},
		{Name: fmt.Sprintf("peak MiB over %d", many)},
	}, rows...)
	return []*report.Table{t}, t.Measure(ctx, o.Progress, o.Rounds, func(ctx context.Context, name string) ([]float64, error) {
		e, err := b.targets.find(name)
		if err != nil {
			return nil, err
		}
		first, err := b.pingpong.run(ctx, e, few)
		if err != nil {
			return nil, err
		}
		second, err := b.pingpong.run(ctx, e, many)
		if err != nil {
			return nil, err
		}
		return []float64{first.cpuSeconds, second.cpuSeconds, second.cpuSeconds / first.cpuSeconds, second.peakMiB}, e.Clear()
	})
}

// affordable returns how many connections there may be, up to wanted: each is two files of the proxy and two of this
// process.
func affordable(wanted int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read how many files may be open: %w", err)
	}
	if limit.Cur < openFiles+2*few {
		return 0, fmt.Errorf("open files: want a limit of at least %d, got %d", openFiles+2*few, limit.Cur)
	}
	return int(min(uint64(wanted), (limit.Cur-openFiles)/2)), nil
}
