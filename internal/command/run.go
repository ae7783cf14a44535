package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"l4dump/internal/host"
	"l4dump/internal/proxy"
)

// formatLog is the log of the proxy as it is.
const formatLog = "log"

// envoyPatience is how long Envoy may take to stop beyond the drain time before it is killed.
const envoyPatience = 10 * time.Second

// runFlags are the flags of the run command.
type runFlags struct {
	config      string
	concurrency int
	logLevel    string
	drainTime   time.Duration
	echo        string
	sidecar     string
	sidecarDir  string
	ignoreLoad  bool
	format      string
	color       string
	envoy       string
}

func newRunCommand() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run an Envoy configuration and show what it records",
		Long: `run starts the TCP listeners of an Envoy configuration file, with the plugin in them, and shows
the dump as it is recorded: standard output gets the records, standard error the rest of the log
(with --format log, all of it). At the end it says how much was recorded of what passed, and why
the rest was not.

The engine is built in: nothing has to be installed. It supports what a TCP proxy with this
plugin needs; whatever else the file holds is named as a fault. With --envoy, a real Envoy runs
the same file. Interrupt (Ctrl-C) stops either; a second one does not wait for connections.`,
		Example: `  # record what passes through the example's listener, with a service to talk to and the sidecar
  l4dump run -c envoy.yaml --echo 127.0.0.1:10001 --sidecar 127.0.0.1:9911

  # the same in Envoy, showing its log
  l4dump run -c envoy.yaml --echo 127.0.0.1:10001 --sidecar 127.0.0.1:9911 --envoy /usr/local/bin/envoy --format log`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			level, err := flags.check()
			if err != nil {
				return usageError{err}
			}
			return flags.run(cmd, level)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.config, "config", "c", "envoy.yaml", "Envoy configuration file, YAML or JSON")
	f.IntVar(&flags.concurrency, "concurrency", 0, "number of workers; 0 is the number of CPUs")
	f.StringVar(&flags.logLevel, "log-level", "info", "level of the plugin's log: trace, debug, info, warning, error, critical or off")
	f.DurationVar(&flags.drainTime, "drain-time", 5*time.Second, "how long connections may continue after an interrupt")
	f.StringVar(&flags.echo, "echo", "", "also start a service at this ADDRESS that sends back what it gets")
	f.StringVar(&flags.sidecar, "sidecar", "", "also start the sidecar at this ADDRESS, HOST:PORT or unix:///PATH")
	f.StringVar(&flags.sidecarDir, "sidecar-dir", "l4dump-sidecar", "directory of all that the sidecar writes")
	f.BoolVar(&flags.ignoreLoad, "ignore-load", false, "record however busy the machine is: that sidecar reports no load")
	f.StringVar(&flags.format, "format", formatText, "how to show the dump: text, or the log as it is")
	f.StringVar(&flags.color, "color", colorAuto, "color text: auto, always or never")
	f.StringVar(&flags.envoy, "envoy", "", "run this Envoy binary instead of the built-in engine")
	completeFlag(cmd, "format", formatText, formatLog)
	completeFlag(cmd, "color", colorAuto, colorAlways, colorNever)
	completeFlag(cmd, "log-level", "trace", "debug", "info", "warning", "error", "critical", "off")
	return cmd
}

// check returns the level of the log, or every fault of the command line.
func (f *runFlags) check() (host.LogLevel, error) {
	var faults []string
	level, err := host.ParseLogLevel(f.logLevel)
	if err != nil {
		faults = append(faults, fmt.Sprintf("--log-level is %q; wanted trace, debug, info, warning, error, critical or off", f.logLevel))
	}
	if f.concurrency < 0 {
		faults = append(faults, fmt.Sprintf("--concurrency is %d; wanted 0 or more", f.concurrency))
	}
	if f.drainTime < 0 {
		faults = append(faults, fmt.Sprintf("--drain-time is %s; wanted 0 or more", f.drainTime))
	}
	if f.ignoreLoad && f.sidecar == "" {
		faults = append(faults, "--ignore-load belongs to --sidecar")
	}
	if f.format != formatText && f.format != formatLog {
		faults = append(faults, fmt.Sprintf("--format is %q; wanted text or log", f.format))
	}
	if !slices.Contains([]string{colorAuto, colorAlways, colorNever}, f.color) {
		faults = append(faults, fmt.Sprintf("--color is %q; wanted auto, always or never", f.color))
	}
	if len(faults) > 0 {
		return 0, errors.New(strings.Join(faults, "\n        "))
	}
	return level, nil
}

func (f *runFlags) run(cmd *cobra.Command, level host.LogLevel) error {
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	if err := refusePlugin(f.config); err != nil {
		return err
	}
	stderr := f.newLog(cmd.ErrOrStderr())
	defer func() {
		if err := stderr.close(); err != nil && !errors.Is(err, errNotRead) {
			fmt.Fprintf(cmd.ErrOrStderr(), "l4dump: %v\n", err)
		}
	}()
	if f.echo != "" {
		echo, err := listenEcho(f.echo)
		if err != nil {
			return fmt.Errorf("%w%s", err, inUseHint(err, "--echo"))
		}
		defer echo.close()
		fmt.Fprintf(stderr, "l4dump: echo service on %s\n", echo.listener.Addr())
	}
	if f.sidecar != "" {
		// It continues while the proxy drains, which still records.
		c, err := f.startSidecar(context.WithoutCancel(cmd.Context()), stderr)
		if err != nil {
			return err
		}
		defer func() {
			if err := c.stop(); err != nil {
				fmt.Fprintf(stderr, "l4dump: run the sidecar: %v\n", err)
			}
		}()
	}
	var counted tally
	defer func() { counted.write(stderr) }() // after the view has shown all records
	log := io.Writer(stderr)
	if f.format == formatText {
		view := newLiveView(cmd.OutOrStdout(), stderr, wantsColor(f.color, cmd.OutOrStdout()))
		defer func() {
			if err := view.close(); err != nil {
				fmt.Fprintf(stderr, "l4dump: show the dump: %v\n", err)
			}
		}()
		log = view
	}
	var err error
	notices := f.notices(cmd.OutOrStdout(), stderr, isTerminal(cmd.OutOrStdout()) && !isTerminal(cmd.ErrOrStderr()))
	if f.envoy != "" {
		counted, err = f.runEnvoy(cmd.Context(), log, notices, interrupts)
	} else {
		counted, err = f.runEmbedded(cmd.Context(), log, notices, level, interrupts)
	}
	return err
}

// newLog returns the log to out.
func (f *runFlags) newLog(out io.Writer) *queue {
	if f.sidecar != "" {
		return newQueue(out)
	}
	return newQueueThrough(&sidecarHint{next: out, address: clusterAddresses(f.config)}, out)
}

// notices returns where the addresses of the listeners and the like are said: stderr, and stdout too if only that is a
// terminal and shows nothing else.
func (f *runFlags) notices(stdout, stderr io.Writer, onlyStdout bool) io.Writer {
	if f.format == formatLog && onlyStdout {
		return io.MultiWriter(stderr, stdout)
	}
	return stderr
}

// startSidecar starts what the sidecar command starts, with its defaults. It logs warnings only: this log is the
// proxy's.
func (f *runFlags) startSidecar(ctx context.Context, stderr io.Writer) (*sidecarProcess, error) {
	var flags sidecarFlags
	flags.register(new(cobra.Command))
	flags.listen = []string{f.sidecar}
	flags.logLevel = "warn"
	flags.options.Dir = f.sidecarDir
	flags.options.EnvoyAdmin = proxy.AdminURL(f.config)
	note := ""
	if f.ignoreLoad {
		flags.options.Usage = noLoad{}
		note = ", which reports no load: a busy machine stops nothing"
	}
	c, err := flags.start(ctx, stderr)
	if err != nil {
		return nil, fmt.Errorf("start the sidecar: %w%s", err, inUseHint(err, "--sidecar"))
	}
	for _, e := range c.server.Endpoints() {
		fmt.Fprintf(stderr, "l4dump: sidecar on %s%s\n", e, note)
	}
	return c, nil
}

// runEmbedded runs the built-in engine until ctx ends, and returns what the plugins counted.
func (f *runFlags) runEmbedded(ctx context.Context, log, stderr io.Writer, level host.LogLevel, interrupts <-chan os.Signal) (tally, error) {
	config, err := proxy.Load(f.config)
	if err != nil {
		return nil, err
	}
	server, err := proxy.Start(ctx, config, proxy.Options{
		Concurrency: f.concurrency, Log: log, LogLevel: level, CacheDir: host.ModuleCache(), DrainTime: f.drainTime, Version: version(),
	})
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, l := range server.Listeners() {
		fmt.Fprintf(stderr, "l4dump: listener %s on %s\n", l.Name, l.Addr)
		addresses = append(addresses, l.Addr.String())
	}
	if admin := server.AdminAddr(); admin != nil {
		fmt.Fprintf(stderr, "l4dump: administration on http://%s\n", admin)
	}
	printHint(stderr, addresses)

	<-server.Stopping()
	again, ended := anotherInterrupt(ctx, interrupts)
	defer ended()
	if n := server.Connections(); n > 0 {
		fmt.Fprintf(stderr, "l4dump: stopping; %s may continue for %s, another interrupt ends them\n", connections(uint64(n)), f.drainTime)
	}
	context.AfterFunc(again, server.Hurry)
	err = server.Wait()
	return server.PluginMetrics(), err
}

// anotherInterrupt returns a context that ends with the next interrupt after the one that ended ctx, if one did, or when
// stop is called.
func anotherInterrupt(ctx context.Context, interrupts <-chan os.Signal) (again context.Context, stop func()) {
	awaited := 1
	if ctx.Err() != nil {
		awaited++ // the one that ended it comes by this channel too
	}
	again, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer cancel()
		for range awaited {
			select {
			case <-interrupts:
			case <-again.Done():
				return
			}
		}
	}()
	return again, cancel
}

// inUseHint says what to do about an address that is in use; "" after another error.
func inUseHint(err error, flag string) string {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return ""
	}
	return ": stop what uses it, or give another " + flag + " and change the cluster's address in the file"
}

// printHint prints a command that makes traffic; bash is on more machines than any netcat.
func printHint(w io.Writer, addresses []string) {
	if len(addresses) > 0 {
		if host, port, err := net.SplitHostPort(addresses[0]); err == nil {
			fmt.Fprintf(w, "Try, in another terminal:\n  bash -c 'exec 3<>/dev/tcp/%s/%s; echo hello >&3; head -n 1 <&3'\n", host, port)
		}
	}
	fmt.Fprintln(w, "Ctrl-C stops.")
}

// runEnvoy runs a real Envoy until it ends or ctx does; then its connections may continue for the drain time, and it is
// interrupted, and killed if it does not stop. It returns what the plugins counted, if they did and Envoy could be asked.
func (f *runFlags) runEnvoy(ctx context.Context, log, stderr io.Writer, interrupts <-chan os.Signal) (tally, error) {
	args := []string{
		"-c", f.config, "--disable-hot-restart", "--log-level", "warning", "--component-log-level", "wasm:" + f.logLevel,
		"--drain-time-s", strconv.Itoa(int((f.drainTime + time.Second - 1) / time.Second)),
	}
	if f.concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(f.concurrency))
	}
	admin := proxy.AdminURL(f.config)
	envoy := exec.CommandContext(ctx, f.envoy, args...)
	envoy.Stdout, envoy.Stderr = stderr, log
	var counted tally
	envoy.Cancel = func() error {
		again, stop := anotherInterrupt(ctx, interrupts)
		defer stop()
		drainEnvoy(again, admin, f.drainTime, stderr)
		counted = envoyTally(again, admin, tallyPeriod)
		return envoy.Process.Signal(os.Interrupt)
	}
	envoy.WaitDelay = envoyPatience
	if err := envoy.Start(); err != nil {
		return nil, fmt.Errorf("start Envoy: %w", err)
	}
	fmt.Fprintf(stderr, "l4dump: %s runs %s\n", f.envoy, f.config)
	if config, err := proxy.Load(f.config); err == nil { // else it has no hint, since only Envoy can run it
		ctx, cancel := context.WithCancel(ctx)
		var hint sync.WaitGroup
		hint.Go(func() {
			if waitReady(ctx, admin) {
				printHint(stderr, config.ListenAddresses())
			}
		})
		defer hint.Wait()
		defer cancel()
	}
	err := envoy.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() == nil && err != nil:
		return nil, fmt.Errorf("run Envoy: %w", err)
	case errors.As(err, &exit) && exit.ExitCode() < 0 && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return counted, fmt.Errorf("stop Envoy: it was killed, since it did not stop within %s", envoy.WaitDelay)
	}
	return counted, nil // it was told to stop, and did
}

// waitReady waits until an Envoy whose administration is at url serves; at once if there is none.
func waitReady(ctx context.Context, url string) bool {
	if url == "" {
		return true
	}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/ready", http.NoBody)
		if err != nil {
			return false
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// version names this build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "l4dump/unknown"
	}
	return "l4dump/" + info.Main.Version
}
