// Package envoy runs a real Envoy for a measurement: the project's envoy.yaml with one thing changed, in a process whose
// CPU time and memory are read.
package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"l4dump/bench/internal/process"
)

// Options says where things are.
type Options struct {
	Binary string // Envoy
	Config string // the project's envoy.yaml
	Module string // the plugin
	Dir    string // where logs and taps go for as long as a run lasts; empty is the system's
}

// Register adds the options to flags, with their defaults.
func (o *Options) Register(flags *flag.FlagSet) {
	flags.StringVar(&o.Binary, "envoy", "../build/envoy/1.40.0/bin/envoy", "the Envoy to measure")
	flags.StringVar(&o.Config, "config", "../envoy.yaml", "the project's configuration of Envoy")
	flags.StringVar(&o.Module, "module", "../build/l4dump.wasm", "the plugin")
	flags.StringVar(&o.Dir, "dir", "", "where logs and taps are written (default: the system's temporary directory)")
}

// Envoy is a process that serves one listener.
type Envoy struct {
	*process.Process
	Address string // of the listener
	admin   string
	dir     string
}

const (
	startDeadline = 60 * time.Second
	stopDeadline  = 10 * time.Second
	pollInterval  = 10 * time.Millisecond
	logName       = "stderr.log"
)

// Start starts an Envoy with subject between its listener and the service, and waits until it is ready. It ends with
// ctx, and by Stop.
func Start(ctx context.Context, o Options, subject *Subject, workers int, to netip.AddrPort) (*Envoy, error) {
	dir, err := os.MkdirTemp(o.Dir, "l4dump-bench-")
	if err != nil {
		return nil, fmt.Errorf("start Envoy: %w", err)
	}
	e := &Envoy{dir: dir}
	if err := e.start(ctx, o, subject, workers, to); err != nil {
		return nil, errors.Join(fmt.Errorf("start Envoy with %s: %w", subject.Name, err), e.Stop())
	}
	return e, nil
}

func (e *Envoy) start(ctx context.Context, o Options, subject *Subject, workers int, to netip.AddrPort) error {
	c, err := readConfig(o.Config, to)
	if err != nil {
		return err
	}
	if err := c.apply(subject, o.Module, filepath.Join(e.dir, "tap")); err != nil {
		return err
	}
	file, admin := filepath.Join(e.dir, "envoy.json"), filepath.Join(e.dir, "admin")
	if err := writeConfig(file, c.bootstrap); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(e.dir, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // Envoy has its own
	args := []string{
		"--config-path", file, "--admin-address-path", admin, "--concurrency", strconv.Itoa(workers),
		"--disable-hot-restart", "--log-level", "warning", "--component-log-level", "wasm:info",
	}
	if subject.LogPath {
		args = append(args, "--log-path", filepath.Join(e.dir, "envoy.log"))
	}
	command := process.Command{Path: o.Binary, Args: args, Stderr: log, Patience: stopDeadline}
	if e.Process, err = process.Start(ctx, command); err != nil {
		return err
	}
	return e.wait(ctx, admin)
}

// wait waits until Envoy is ready, and asks for the address of its listener.
func (e *Envoy) wait(ctx context.Context, adminFile string) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	var last error
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until it is ready: %w (%w)", ctx.Err(), last)
		case <-e.Exited():
			return fmt.Errorf("it has exited: %s", e.logEnd())
		case <-time.After(pollInterval):
		}
		text, err := os.ReadFile(adminFile)
		if last = err; err != nil {
			continue
		}
		e.admin = strings.TrimSpace(string(text))
		if _, last = e.get(ctx, "/ready"); last == nil {
			break
		}
	}
	text, err := e.get(ctx, "/listeners?format=json")
	if err != nil {
		return err
	}
	var listeners struct {
		Statuses []struct {
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    uint16 `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(text, &listeners); err != nil {
		return fmt.Errorf("read Envoy's listeners: %w", err)
	}
	if len(listeners.Statuses) != 1 {
		return fmt.Errorf("read Envoy's listeners: want one, got %d", len(listeners.Statuses))
	}
	socket := listeners.Statuses[0].Address.Socket
	e.Address = net.JoinHostPort(socket.Address, strconv.Itoa(int(socket.Port)))
	return nil
}

// get asks the admin interface.
func (e *Envoy) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", path, response.Status)
	}
	return body, nil
}

// Counter returns a counter of the plugin by its name as scraped, 0 if there is none.
func (e *Envoy) Counter(ctx context.Context, name string) (int64, error) {
	text, err := e.get(ctx, "/stats?filter=^wasmcustom."+name+"$")
	if err != nil {
		return 0, err
	}
	_, value, ok := strings.Cut(strings.TrimSpace(string(text)), ": ")
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read counter %s: %w", name, err)
	}
	return n, nil
}

// WrittenBytes returns the size of the logs and taps.
func (e *Envoy) WrittenBytes() (int64, error) {
	var total int64
	err := e.eachWritten(func(_ string, info fs.FileInfo) error {
		total += info.Size()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure what Envoy wrote: %w", err)
	}
	return total, nil
}

// Clear empties the logs and taps, which Envoy continues to write.
func (e *Envoy) Clear() error {
	err := e.eachWritten(func(name string, _ fs.FileInfo) error { return os.Truncate(name, 0) })
	if err != nil {
		return fmt.Errorf("clear what Envoy wrote: %w", err)
	}
	return nil
}

func (e *Envoy) eachWritten(do func(name string, info fs.FileInfo) error) error {
	return filepath.WalkDir(e.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(name) == "envoy.json" || filepath.Base(name) == "admin" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return do(name, info)
	})
}

// Settle waits until Envoy writes no more and uses next to no CPU time, and returns how much it has written.
func (e *Envoy) Settle(ctx context.Context) (writtenBytes int64, err error) {
	const quiet = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	last, before := int64(-1), -1.0
	for {
		usage, err := e.Usage()
		if err != nil {
			return 0, err
		}
		if writtenBytes, err = e.WrittenBytes(); err != nil {
			return 0, err
		}
		const next = 0.02 // seconds of CPU time, two clock ticks
		if writtenBytes == last && usage.CPUSeconds-before <= next {
			return writtenBytes, nil
		}
		last, before = writtenBytes, usage.CPUSeconds
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait until Envoy is quiet: %w", ctx.Err())
		case <-e.Exited():
			return 0, fmt.Errorf("envoy has exited: %s", e.logEnd())
		case <-time.After(quiet):
		}
	}
}

// Log returns what Envoy wrote to standard error.
func (e *Envoy) Log() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(e.dir, logName))
	if err != nil {
		return nil, fmt.Errorf("read Envoy's log: %w", err)
	}
	return text, nil
}

// logEnd returns the end of what Envoy wrote to standard error.
func (e *Envoy) logEnd() string {
	const most = 2000
	text, err := e.Log()
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// Stop ends Envoy and removes what it wrote.
func (e *Envoy) Stop() error {
	var err error
	if e.Process != nil {
		err = e.Process.Stop()
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}
