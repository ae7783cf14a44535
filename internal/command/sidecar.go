package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"l4dump/internal/sidecar"
	"l4dump/internal/usage"
)

// podUIDVariable is where a pod's manifest puts its UID.
const podUIDVariable = "POD_UID"

// The formats of the sidecar's log.
const (
	logText = "text"
	logJSON = "json"
)

// sidecarFlags are the flags of the sidecar command.
type sidecarFlags struct {
	options      sidecar.Options
	listen       []string
	socketMode   string
	socketOwner  string
	scope        string
	podUID       string
	proc, cgroup string
	logFormat    string
	logLevel     string
}

func newSidecarCommand() *cobra.Command {
	var flags sidecarFlags
	cmd := &cobra.Command{
		Use:   "sidecar",
		Short: "Run the sidecar: resource usage, run-time control, portraits",
		Long: `sidecar runs beside the proxy. It measures CPU and memory, which the plugin cannot see, and
carries the global strategy. The plugin polls both, and records only while they allow it.

It listens on loopback or a Unix socket. Any other address is TLS and needs --tls-cert, --tls-key
and a way to know its clients: --client-ca (certificates), --token-file (a bearer token of 16
bytes or more), or both. A token also protects PUT, POST and DELETE on loopback TCP; a Unix socket
is protected by its mode. Requests from web pages are refused. GET /v1/openapi.yaml describes the
interface.

The global strategy is set with 'l4dump ctl', over HTTP, or by --strategy-file, which is watched:
the last change wins, and survives a restart. Removing the file removes the strategy if the file
was the last to set it. An invalid file is logged and changes nothing. A file that a restart
finds unchanged sets nothing.

Files in --dir, mode 0600: dump_portrait_data.log, dump_mem_dump.log, dump_static_conf.log and
what they were rotated to, and strategy.json. A damaged strategy.json stops the start.`,
		Example: `  # measure the pod, and dump Envoy's configuration with each portrait
  l4dump sidecar --listen unix:///run/l4dump/sidecar.sock --scope pod --envoy-admin http://127.0.0.1:9901

  # let Envoy, which runs as another user, use the socket
  l4dump sidecar --listen unix:///run/l4dump/sidecar.sock --socket-mode 0660 --socket-owner 0:1337

  # upload a portrait while a window is open
  curl -H 'Content-Type: application/json' -d '{"service":"cart"}' 'http://127.0.0.1:9911/v1/portraits/RPC?port=8080'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.run(cmd.Context(), cmd.ErrOrStderr(), os.Getenv(podUIDVariable))
		},
	}
	flags.register(cmd)
	return cmd
}

func (f *sidecarFlags) register(cmd *cobra.Command) {
	o := &f.options
	p := cmd.Flags()
	p.StringArrayVar(&f.listen, "listen", []string{sidecar.DefaultListen},
		"HOST:PORT, tls://HOST:PORT or unix:///PATH (repeatable)")
	p.StringVar(&f.socketMode, "socket-mode", "0600", "mode of Unix sockets, octal")
	p.StringVar(&f.socketOwner, "socket-owner", "", "owner of Unix sockets, UID:GID")
	p.StringVar(&o.TLSCert, "tls-cert", "", "certificate of TLS listeners, PEM")
	p.StringVar(&o.TLSKey, "tls-key", "", "its key, PEM")
	p.StringVar(&o.ClientCA, "client-ca", "", "who signs the certificates that clients must show, PEM")
	p.StringVar(&o.TokenFile, "token-file", "", "file with the bearer token that clients must send")
	p.StringVar(&o.Dir, "dir", "l4dump-sidecar", "directory of all that is written")
	p.StringVar(&o.StateFile, "state-file", "", "where the global strategy is kept (default strategy.json in --dir)")
	p.StringVar(&o.StrategyFile, "strategy-file", "", "file with the global strategy, watched")
	p.StringVar(&f.scope, "scope", string(usage.ScopeAuto), "what is measured: auto, host, cgroup or pod")
	p.StringVar(&f.podUID, "pod-uid", "", "UID of the pod (default $"+podUIDVariable+")")
	p.StringVar(&f.proc, "proc", "/proc", "where procfs is mounted")
	p.StringVar(&f.cgroup, "cgroup", "/sys/fs/cgroup", "where the cgroups are mounted")
	p.DurationVar(&o.SampleInterval, "sample-interval", usage.DefaultInterval, "time between two measurements")
	p.DurationVar(&o.UsageStaleAfter, "stale-after", sidecar.DefaultUsageStaleAfter,
		"age from which a measurement is not believed; at least twice --sample-interval")
	p.DurationVar(&o.ReportStaleAfter, "report-stale-after", sidecar.DefaultReportStaleAfter,
		"age from which a plugin that polled counts as gone; more than its poll_interval")
	p.StringVar(&o.EnvoyAdmin, "envoy-admin", "", "Envoy's admin interface, http://HOST:PORT or unix:///PATH")
	p.BoolVar(&o.EnvoyAdminRemote, "envoy-admin-remote", false, "let --envoy-admin be another machine")
	p.Int64Var(&o.MaxPortraitBytes, "max-portrait-bytes", sidecar.DefaultMaxPortraitBytes, "longest portrait")
	p.Int64Var(&o.MaxConfigBytes, "max-config-bytes", sidecar.DefaultMaxConfigBytes, "longest configuration of Envoy")
	p.Int64Var(&o.Rotation.MaxFileBytes, "rotate-bytes", sidecar.DefaultMaxFileBytes, "size at which a dump file is rotated")
	p.DurationVar(&o.Rotation.MaxAge, "rotate-age", sidecar.DefaultMaxFileAge, "age at which a dump file is rotated")
	p.Int64Var(&o.Rotation.MaxTotalBytes, "total-bytes", sidecar.DefaultMaxTotalBytes,
		"size of all dump files, from which the oldest rotated ones are removed")
	p.StringVar(&f.logFormat, "log-format", logText, "format of the log on standard error: text or json")
	p.StringVar(&f.logLevel, "log-level", "info", "least level of the log: debug, info, warn or error")
	completeFlag(cmd, "scope", string(usage.ScopeAuto), string(usage.ScopeHost), string(usage.ScopeCgroup), string(usage.ScopePod))
	completeFlag(cmd, "log-format", logText, logJSON)
	completeFlag(cmd, "log-level", "debug", "info", "warn", "error")
	if err := cmd.MarkFlagDirname("dir"); err != nil {
		panic(err) // the flag is not defined above
	}
}

// completeFlag lets a shell complete the values of an enumeration.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	fixed := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(flag, fixed); err != nil {
		panic(err) // the flag is not defined
	}
}

// run runs the sidecar until ctx ends.
func (f *sidecarFlags) run(ctx context.Context, stderr io.Writer, podUID string) error {
	if f.podUID == "" {
		f.podUID = podUID
	}
	c, err := f.start(ctx, stderr)
	if err != nil {
		return err
	}
	return c.wait()
}

// sidecarProcess is a sidecar that runs, with what measures for it.
type sidecarProcess struct {
	server  *sidecar.Server
	cancel  context.CancelFunc
	sampled chan struct{}
}

// start starts the sidecar; it stops when ctx ends. It measures, unless the options have a source of usage.
func (f *sidecarFlags) start(ctx context.Context, stderr io.Writer) (*sidecarProcess, error) {
	sampler, logger, err := f.resolve(stderr)
	if err != nil {
		return nil, usageError{errors.New(strings.ReplaceAll(err.Error(), "\n", "\n        "))}
	}
	measures := f.options.Usage == nil
	if measures {
		f.options.Usage = usageSource{sampler}
	}
	f.options.Logger = logger

	ctx, cancel := context.WithCancel(ctx)
	server, err := sidecar.Start(ctx, f.options)
	if err != nil {
		cancel()
		return nil, err
	}
	c := &sidecarProcess{server: server, cancel: cancel, sampled: make(chan struct{})}
	go func() {
		defer close(c.sampled)
		if measures {
			sampler.Run(ctx)
		}
	}()
	return c, nil
}

// wait returns when the sidecar has stopped.
func (c *sidecarProcess) wait() error {
	err := c.server.Wait()
	c.cancel()
	<-c.sampled
	return err
}

// stop stops the sidecar and waits for its end.
func (c *sidecarProcess) stop() error {
	c.cancel()
	return c.wait()
}

// resolve checks every flag and makes what they describe; the error has a line for each fault.
func (f *sidecarFlags) resolve(stderr io.Writer) (*usage.Sampler, *slog.Logger, error) {
	var faults []error
	fault := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	o := &f.options
	o.Listen = nil
	for _, text := range f.listen {
		e, err := sidecar.ParseEndpoint(text)
		fault(err)
		if err == nil {
			o.Listen = append(o.Listen, e)
		}
	}
	mode, err := strconv.ParseUint(f.socketMode, 8, 32)
	if err != nil || mode == 0 {
		fault(fmt.Errorf("socket-mode: want an octal number as 0660, got %q", f.socketMode))
	}
	o.SocketMode = fs.FileMode(mode)
	if f.socketOwner != "" {
		owner, err := sidecar.ParseOwner(f.socketOwner)
		fault(err)
		o.SocketOwner = &owner
	}
	fault(o.Validate())
	logger, err := newLogger(stderr, f.logFormat, f.logLevel)
	fault(err)
	sampler, err := f.sampler(logger)
	fault(err)
	return sampler, logger, errors.Join(faults...)
}

// sampler returns what measures usage; logger may be nil if the sampler is not run.
func (f *sidecarFlags) sampler(logger *slog.Logger) (*usage.Sampler, error) {
	scope, err := usage.ParseScope(f.scope)
	if err != nil {
		return nil, err
	}
	reader, err := usage.NewReader(usage.Options{Proc: f.proc, Cgroup: f.cgroup, Scope: scope, PodUID: f.podUID})
	if err != nil {
		return nil, err
	}
	return usage.NewSampler(reader, usage.SamplerOptions{
		Interval: f.options.SampleInterval,
		Changed:  func(r usage.Reading, err error) { logMeasured(logger, r, err) },
	})
}

// logMeasured says what is measured and what cannot be: to measure the node alone may not be what was meant.
func logMeasured(logger *slog.Logger, r usage.Reading, err error) {
	switch {
	case err != nil:
		logger.Error("cannot measure usage; nothing is recorded without it", "error", err)
	case r.Note != "":
		logger.Warn("usage is measured in part", "scope", r.Scope, "note", r.Note)
	default:
		logger.Info("usage is measured", "scope", r.Scope)
	}
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var options slog.HandlerOptions
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	least, ok := levels[level]
	if !ok {
		return nil, fmt.Errorf("log-level: want debug, info, warn or error, got %q", level)
	}
	options.Level = least
	switch format {
	case logText:
		return slog.New(slog.NewTextHandler(w, &options)), nil
	case logJSON:
		return slog.New(slog.NewJSONHandler(w, &options)), nil
	}
	return nil, fmt.Errorf("log-format: want text or json, got %q", format)
}

// usageSource is a sampler as the sidecar sees it.
type usageSource struct{ sampler *usage.Sampler }

// Latest returns the last reading.
func (u usageSource) Latest() (sidecar.Measurement, bool) {
	var m sidecar.Measurement
	if err := u.sampler.Failure(); err != nil {
		m.Failure = err.Error()
	}
	reading, ok := u.sampler.Latest()
	if ok {
		m.CPU, m.Memory, m.Note = figureOf(reading.CPU), figureOf(reading.Memory), reading.Note
	}
	return m, ok
}

// noLoad is a source of usage for which the machine has nothing to do.
type noLoad struct{}

// Latest returns no load, measured now.
func (noLoad) Latest() (sidecar.Measurement, bool) {
	none := sidecar.Figure{Source: "--ignore-load", Taken: time.Now()}
	return sidecar.Measurement{CPU: none, Memory: none}, true
}

func figureOf(f usage.Figure) sidecar.Figure {
	source := f.Source
	if f.Throttled > 0 {
		source += " (throttled)"
	}
	return sidecar.Figure{Percent: f.Percent, Source: source, Taken: f.Taken}
}
