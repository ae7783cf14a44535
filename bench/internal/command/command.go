// Package command is the frame of a measuring program: flags, signals, the tables, the exit code.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"l4dump/bench/internal/machine"
	"l4dump/bench/internal/report"
)

// Options are the flags that every program has.
type Options struct {
	Rounds   int
	Progress io.Writer // a line for each run
}

// Program is one measurement.
type Program struct {
	Name     string
	Rounds   int                 // the default
	Register func(*flag.FlagSet) // adds flags of its own; may be nil
	Measure  func(ctx context.Context, o Options) ([]*report.Table, error)
}

// Run runs the program and returns its exit code: 2 for a wrong command line, 1 for a failure. The tables go to stdout,
// everything else to stderr. An interrupt ends it, and the processes that it started.
func (p *Program) Run(stdout, stderr io.Writer, args []string) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	o := Options{Progress: stderr}
	flags.IntVar(&o.Rounds, "rounds", p.Rounds, "how often each row is measured")
	asJSON := flags.Bool("json", false, "write JSON, with every run")
	if p.Register != nil {
		p.Register(flags)
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: want no arguments, got %q\n", p.Name, flags.Args())
		return 2
	case o.Rounds < 1:
		fmt.Fprintf(stderr, "%s: rounds: want at least 1, got %d\n", p.Name, o.Rounds)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := p.measure(ctx, stdout, o, *asJSON); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	return 0
}

// measure writes the tables, and before them, unless they are JSON, the machine.
func (p *Program) measure(ctx context.Context, stdout io.Writer, o Options, asJSON bool) error {
	m, err := machine.Read("/proc")
	if err != nil {
		return err
	}
	tables, err := p.Measure(ctx, o)
	if err != nil {
		return err
	}
	if !asJSON {
		text, err := m.After()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stdout, "%s\n\n", text); err != nil {
			return fmt.Errorf("write the machine: %w", err)
		}
	}
	return report.Write(stdout, asJSON, tables...)
}
