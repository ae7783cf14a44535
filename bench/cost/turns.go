package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/report"
)

// measureTurns measures the CPU time that messages take, in turns so short and so many that other work on the
// machine disturbs all rows alike: it tells a few percent apart where the table of everything cannot.
func (b *bench) measureTurns(ctx context.Context, o command.Options) ([]*report.Table, error) {
	const turn = 400 * time.Millisecond
	b.service.echoes.Store(true)
	open := map[string]clients{}
	defer func() {
		for _, c := range open {
			c.close()
		}
	}()
	for _, e := range b.targets {
		first, err := connect(ctx, e.Address, 1) // the one of a window that is admitted, if only one is
		if err != nil {
			return nil, err
		}
		once, err := first.play(ctx, 0)
		first.close()
		if err != nil {
			return nil, err
		}
		e.passed += passed(once)
		c, err := connect(ctx, e.Address, b.connections)
		if err != nil {
			return nil, err
		}
		open[e.subject.Name] = c
		warm, err := c.play(ctx, turn)
		if err != nil {
			return nil, err
		}
		e.passed += passed(warm)
	}
	title := fmt.Sprintf("%d bytes back and forth over %d connections, in turns of %s", messageBytes, b.connections, turn)
	t := report.New(title, []report.Metric{{Name: "CPU s/100k", Decimals: 2, Ratio: true}}, b.targets.names()...)
	fmt.Fprintf(o.Progress, "%d turns of each row\n", b.turns)
	return []*report.Table{t}, t.Measure(ctx, io.Discard, b.turns, func(ctx context.Context, name string) ([]float64, error) {
		e, err := b.targets.find(name)
		if err != nil {
			return nil, err
		}
		before, err := e.Usage()
		if err != nil {
			return nil, err
		}
		latencies, err := open[name].play(ctx, turn)
		if err != nil {
			return nil, err
		}
		after, err := e.Usage()
		if err != nil {
			return nil, err
		}
		e.passed += passed(latencies)
		return []float64{(after.CPUSeconds - before.CPUSeconds) * 100_000 / float64(len(latencies))}, e.Clear()
	})
}
