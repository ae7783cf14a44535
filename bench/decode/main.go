// Command decode measures how fast `l4dump decode` and `l4dump inspect` read a log, and what memory they take, beside
// text2pcap of Wireshark, which makes packets of the same payload.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/report"
)

func main() {
	var b bench
	program := command.Program{Name: "decode", Rounds: 3, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	binary    string
	text2pcap string
	dir       string
	size      int64 // MiB

	in, out  string // folders
	logBytes int64
	payload  int64
}

const (
	mebibyte = 1 << 20
	megabyte = 1_000_000

	control = "text2pcap"
	oneCore = ", one core"
	inspect = "inspect" // of the rows, the one that is no format of decode
)

func (b *bench) register(flags *flag.FlagSet) {
	flags.StringVar(&b.binary, "l4dump", "../build/l4dump", "the command line to measure")
	flags.StringVar(&b.text2pcap, "text2pcap", "text2pcap", "the command to compare with; empty: none")
	flags.StringVar(&b.dir, "dir", "", "where the log and what is made of it are kept meanwhile; empty: the temporary folder")
	flags.Int64Var(&b.size, "size", 256, "MiB of the log")
}

func (b *bench) measure(ctx context.Context, o command.Options) (_ []*report.Table, err error) {
	dir, err := os.MkdirTemp(b.dir, "l4dump-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b.in, b.out = filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.Mkdir(b.in, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if err := b.makeInput(); err != nil {
		return nil, err
	}
	var names []string
	if b.text2pcap != "" {
		names = append(names, control)
	}
	for _, cores := range []string{oneCore, ""} {
		for _, format := range []string{"json", "raw", "pcapng", "parquet", inspect} {
			names = append(names, format+cores)
		}
	}
	title := fmt.Sprintf("a log of %d MiB with %d MiB of payload", b.logBytes/mebibyte, b.payload/mebibyte)
	t := report.New(title, []report.Metric{
		{Name: "payload MB/s", Ratio: true},
		{Name: "input MB/s"},
		{Name: "input MB/CPU s"},
		{Name: "payload MB/CPU s", Ratio: true},
		{Name: "peak MiB", Decimals: 0},
	}, names...)
	if err := t.Measure(ctx, o.Progress, o.Rounds, b.run); err != nil {
		return nil, err
	}
	return []*report.Table{t}, nil
}

func (b *bench) logPath() string { return filepath.Join(b.in, "envoy.log") }
func (b *bench) hexPath() string { return filepath.Join(b.in, "payload.txt") }

func (b *bench) makeInput() (err error) {
	log, err := os.Create(b.logPath())
	if err != nil {
		return fmt.Errorf("make the log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	var hex io.Writer
	if b.text2pcap != "" {
		file, err := os.Create(b.hexPath())
		if err != nil {
			return fmt.Errorf("make text2pcap's input: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		hex = file
	}
	if b.logBytes, b.payload, err = writeDump(log, hex, b.size*mebibyte); err != nil {
		return fmt.Errorf("make the log: %w", err)
	}
	return nil
}

func (b *bench) run(ctx context.Context, name string) (values []float64, err error) {
	if err := os.Mkdir(b.out, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.out)) }()
	cmd, input, err := b.command(ctx, name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(input)
	if err != nil {
		return nil, fmt.Errorf("find the input: %w", err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", name, err, said.String())
	}
	seconds := time.Since(start).Seconds()
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return nil, errors.New("the system does not say what a process used")
	}
	cpuSeconds := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return []float64{
		float64(b.payload) / megabyte / seconds,
		float64(info.Size()) / megabyte / seconds,
		float64(info.Size()) / megabyte / cpuSeconds,
		float64(b.payload) / megabyte / cpuSeconds,
		float64(usage.Maxrss) / 1024,
	}, nil
}

// command returns what a row runs, and its input.
func (b *bench) command(ctx context.Context, name string) (_ *exec.Cmd, input string, err error) {
	if name == control {
		// Packets of raw IP with TCP headers, ports by direction: as much of a header as l4dump makes.
		cmd := exec.CommandContext(ctx, b.text2pcap, "-q", "-D", "-T", "40000,8080", "-4", "10.0.0.2,10.0.0.1",
			b.hexPath(), filepath.Join(b.out, "out.pcapng"))
		return cmd, b.hexPath(), nil
	}
	format, one := strings.CutSuffix(name, oneCore)
	cmd := exec.CommandContext(ctx, b.binary, "decode", "--strict", "--format", format, b.logPath())
	switch format {
	case inspect:
		cmd = exec.CommandContext(ctx, b.binary, "inspect", "--strict", b.logPath())
	case "json":
		out, err := os.Create(filepath.Join(b.out, "out.json"))
		if err != nil {
			return nil, "", fmt.Errorf("make the output: %w", err)
		}
		cmd.Stdout = out // open until the program ends, as the folder's removal does not need it closed
	default:
		cmd.Args = append(cmd.Args, "--out", filepath.Join(b.out, "out"))
	}
	if one {
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	}
	return cmd, b.logPath(), nil
}
