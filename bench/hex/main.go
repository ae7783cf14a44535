// Command hex measures how fast the plugin's hot loop is inside the virtual machines that run it: a data record of
// 64 KiB (digits, header and checksum) against encoding/hex on the same bytes.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"l4dump/bench/hex/forms"
	"l4dump/bench/internal/command"
	"l4dump/bench/internal/envoy"
	"l4dump/bench/internal/report"
	"l4dump/internal/guest"
	"l4dump/internal/host"
)

func main() {
	var b bench
	program := command.Program{Name: "hex", Rounds: 3, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	envoy  envoy.Options
	envoys string
}

const (
	roundBytes  = 16 * 64 << 10 // what the guest makes text of between two readings of the clock
	nobodyThere = "127.0.0.1:9" // the service is never called
	deadline    = time.Minute
)

func (b *bench) register(flags *flag.FlagSet) {
	b.envoy.Register(flags)
	flags.StringVar(&b.envoys, "envoys", "../build/envoy/1.40.0/bin/envoy,../build/envoy/1.36.4/bin/envoy",
		"the Envoys to measure, separated by commas, instead of --envoy")
}

func (b *bench) measure(ctx context.Context, o command.Options) (tables []*report.Table, err error) {
	dir, err := os.MkdirTemp("", "l4dump-bench-")
	if err != nil {
		return nil, fmt.Errorf("build the guest: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b.envoy.Module = filepath.Join(dir, "guest.wasm")
	if err := guest.Build(ctx, b.envoy.Module, "./hex/guest"); err != nil {
		return nil, err
	}
	machines := []machine{{"wazero", b.wazero}}
	for binary := range strings.SplitSeq(b.envoys, ",") {
		machines = append(machines, machine{"V8 in " + binary, func(ctx context.Context) ([]byte, error) {
			return b.v8(ctx, binary)
		}})
	}
	var names []string
	for _, form := range forms.All() {
		names = append(names, form.Name)
	}
	for _, m := range machines {
		t := report.New("64 KiB, "+m.name, []report.Metric{{Name: "MB/s of payload", Ratio: true}}, names...)
		for i := range o.Rounds {
			log, err := m.log(ctx)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", m.name, err)
			}
			if err := read(t, names, log); err != nil {
				return nil, fmt.Errorf("measure %s: %w", m.name, err)
			}
			fmt.Fprintf(o.Progress, "round %d of %d: %s\n", i+1, o.Rounds, m.name)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// machine is what runs a module.
type machine struct {
	name string
	log  func(ctx context.Context) ([]byte, error) // runs the guest and returns its log
}

// wazero runs the guest in the embedded engine.
func (b *bench) wazero(ctx context.Context) (log []byte, err error) {
	code, err := os.ReadFile(b.envoy.Module)
	if err != nil {
		return nil, fmt.Errorf("read the guest: %w", err)
	}
	var out bytes.Buffer
	e, err := host.NewEngine(ctx, host.VMConfig{Code: code}, host.Options{
		Workers: 1, Now: time.Now, Log: host.NewLogger(&out, host.LevelInfo, 1, time.Now),
		Shared: new(host.SharedData), Metrics: new(host.Metrics),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close(ctx)) }()
	_, err = e.Configure(ctx, host.Plugin{Name: "guest", RootID: "guest"})
	return out.Bytes(), err
}

// v8 runs the guest in an Envoy.
func (b *bench) v8(ctx context.Context, binary string) (log []byte, err error) {
	o := b.envoy
	o.Binary = binary
	e, err := envoy.Start(ctx, o, &envoy.Subject{Name: "guest", Plugin: "{}"}, 1, netip.MustParseAddrPort(nobodyThere))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()
	return e.Log() // the guest is done before Envoy is ready
}

// read adds what the rounds of a log come to: for each row the rate that a tenth of its rounds reach. The machine's other
// work makes rounds slower, and nothing makes them faster.
func read(t *report.Table, names []string, log []byte) error {
	rates := map[string][]float64{} // MB/s, by form
	for line := range strings.Lines(string(log)) {
		_, text, ok := strings.Cut(strings.TrimSpace(line), "hex=")
		if !ok {
			continue
		}
		time, name, _ := strings.Cut(text, " ")
		ns, err := strconv.ParseFloat(time, 64)
		if err != nil || ns <= 0 {
			return fmt.Errorf("read the guest's line %q: want nanoseconds", line)
		}
		rates[name] = append(rates[name], roundBytes*1e3/ns)
	}
	for _, name := range names {
		if len(rates[name]) == 0 {
			return fmt.Errorf("the guest has logged no round of %q: %.500s", name, log)
		}
		if err := t.Add(name, fast(rates[name])); err != nil {
			return err
		}
	}
	return nil
}

func fast(rates []float64) float64 {
	slices.Sort(rates)
	return rates[len(rates)*9/10]
}
