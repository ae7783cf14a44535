package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"l4dump/internal/sidecar"
	"l4dump/strategy"
)

// ctlFlags are the flags of all ctl commands.
type ctlFlags struct {
	address string
	client  sidecar.ClientOptions
	json    bool
	color   string
}

func newCtlCommand() *cobra.Command {
	var flags ctlFlags
	cmd := &cobra.Command{
		Use:   "ctl",
		Short: "Control a running sidecar",
		Long: `ctl reads and sets the global strategy of a sidecar (l4dump sidecar), and shows its status.

A global FORCE_OFF stops all recording. Otherwise an application's own ON decides, with the
application's values; else a global ON, with the global values.`,
		Example: `  # why is nothing recorded?
  l4dump ctl status

  # if an application's own strategy is OFF, record 10 seconds of every minute, unless CPU is over 60 %
  l4dump ctl set --switch ON --interval 60 --duration 10 --cpu-max-rate 60

  # stop everything now; then let the applications decide again
  l4dump ctl off
  l4dump ctl clear`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	p := cmd.PersistentFlags()
	p.StringVar(&flags.address, "address", "http://"+sidecar.DefaultListen,
		"the sidecar: HOST:PORT, http://HOST:PORT, https://HOST:PORT, unix:///PATH or /PATH")
	p.StringVar(&flags.client.TokenFile, "token-file", "", "file with the bearer token to send")
	p.StringVar(&flags.client.CA, "ca", "", "who signed the sidecar's certificate, PEM (default the system's)")
	p.StringVar(&flags.client.ClientCert, "tls-cert", "", "certificate to show, PEM")
	p.StringVar(&flags.client.Key, "tls-key", "", "its key, PEM")
	p.BoolVar(&flags.json, "json", false, "write the answer as JSON")
	p.StringVar(&flags.color, "color", colorAuto, "color text: auto, always or never")
	completeFlag(cmd, "color", colorAuto, colorAlways, colorNever)
	cmd.AddCommand(newCtlGet(&flags), newCtlSet(&flags), newCtlOff(&flags), newCtlClear(&flags), newCtlStatus(&flags))
	return cmd
}

func newCtlGet(flags *ctlFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "get",
		Short: "Show the global strategy",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.global(cmd, func(c *sidecar.Client) (sidecar.Global, error) { return c.Global(cmd.Context()) })
		},
	}
}

func newCtlOff(flags *ctlFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "off",
		Short: "Stop all recording: set the global strategy to FORCE_OFF",
		Long: `off sets the global strategy to FORCE_OFF: every plugin that polls this sidecar stops within two of its
polls, on live connections too. A plugin with "resource_guard": "off", or that polls another sidecar, continues.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.global(cmd, func(c *sidecar.Client) (sidecar.Global, error) {
				global, err := c.SetGlobal(cmd.Context(), []byte(`{"switch":"FORCE_OFF"}`))
				if status, statusErr := c.Status(cmd.Context()); err == nil && statusErr == nil {
					warnOfDisobedient(cmd.ErrOrStderr(), status.Plugins)
				}
				return global, err
			})
		},
	}
}

// warnOfDisobedient names the plugins that continue whatever the sidecar says.
func warnOfDisobedient(w io.Writer, plugins []sidecar.PluginStatus) {
	if len(plugins) == 0 {
		fmt.Fprintln(w, `l4dump: no plugin has polled this sidecar lately; one with "resource_guard": "off" does not obey it`)
	}
	for _, p := range plugins {
		if governor := governorText(p); governor != "" {
			fmt.Fprintf(w, "l4dump: plugin %s does not obey this sidecar: %s\n", pluginName(p), governor)
		}
	}
}

func newCtlClear(flags *ctlFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "clear",
		Short: "Remove the global strategy: the applications decide",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.global(cmd, func(c *sidecar.Client) (sidecar.Global, error) { return c.DeleteGlobal(cmd.Context()) })
		},
	}
}

// strategyFlags are the keys of a strategy by their flags.
var strategyFlags = map[string]string{
	"switch": "switch", "interval": "interval", "duration": "duration",
	"cpu-max-rate": "cpu_max_rate", "mem-max-rate": "mem_max_rate",
	"placement": "placement", "until": "until",
}

func newCtlSet(flags *ctlFlags) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Set the global strategy",
		Long: `set replaces the global strategy. What is not given has its default, not its former value.
The strategy comes from flags, or as a JSON object from a file.`,
		Example: `  l4dump ctl set --switch ON --interval 60 --duration 10
  l4dump ctl set --switch ON --until 2026-11-25T18:00:00Z
  l4dump ctl set -f strategy.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := strategyText(cmd, file)
			if err != nil {
				return err
			}
			return flags.global(cmd, func(c *sidecar.Client) (sidecar.Global, error) { return c.SetGlobal(cmd.Context(), text) })
		},
	}
	d := strategy.DefaultStrategy()
	p := cmd.Flags()
	p.StringVarP(&file, "file", "f", "", "file with the strategy, or \"-\" for standard input")
	p.String("switch", "", "ON, OFF or FORCE_OFF")
	p.Int64("interval", d.Interval, "seconds from one window's start to the next one's, 30 to 3600")
	p.Int64("duration", d.Duration, "seconds that a window is open, less than the interval")
	p.Float64("cpu-max-rate", d.CPUMaxRate, "percent of CPU at which recording stops")
	p.Float64("mem-max-rate", d.MemMaxRate, "percent of memory at which recording stops")
	p.String("placement", "aligned", "where windows stand within their intervals, aligned or spread")
	p.String("until", "", "when the strategy ends, such as 2026-11-25T18:00:00Z")
	completeFlag(cmd, "placement", "aligned", "spread")
	completeFlag(cmd, "switch", string(strategy.SwitchOn), string(strategy.SwitchOff), string(strategy.SwitchForceOff))
	return cmd
}

// strategyText returns the strategy that the command line describes, as JSON. The sidecar validates it.
func strategyText(cmd *cobra.Command, file string) ([]byte, error) {
	keys := make(map[string]any)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		key, ok := strategyFlags[f.Name]
		switch {
		case !ok:
		case key == "switch":
			keys[key] = strings.ToUpper(f.Value.String())
		case f.Value.Type() == "string":
			keys[key] = f.Value.String()
		default:
			keys[key] = json.Number(f.Value.String())
		}
	})
	switch {
	case file == "" && keys["switch"] == nil: // to set an interval is not to mean OFF
		return nil, usageError{errors.New("want --switch, or --file")}
	case file == "":
		if until, err := time.Parse(time.RFC3339, fmt.Sprint(keys["until"])); err == nil && !until.After(time.Now()) {
			return nil, usageError{fmt.Errorf("want --until in the future, got %s", keys["until"])} // it would never apply
		}
		return json.Marshal(keys)
	case len(keys) > 0:
		return nil, usageError{errors.New("want --file or the strategy's own flags, not both")}
	case file == stdinName:
		return readStrategy(cmd.InOrStdin())
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readStrategy(f)
}

func readStrategy(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, strategy.MaxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read strategy: %w", err)
	}
	if len(text) > strategy.MaxConfigBytes {
		return nil, fmt.Errorf("read strategy: want at most %d bytes", strategy.MaxConfigBytes)
	}
	return text, nil
}

func newCtlStatus(flags *ctlFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show whether traffic is recorded, and why not",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.open()
			if err != nil {
				return err
			}
			defer client.Close()
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(cmd.OutOrStdout(), status)
			}
			return writeStatus(cmd.OutOrStdout(), status, wantsColor(flags.color, cmd.OutOrStdout()))
		},
	}
}

// open returns the client that the flags describe.
func (f *ctlFlags) open() (*sidecar.Client, error) {
	switch f.color {
	case colorAuto, colorAlways, colorNever:
	default:
		return nil, usageError{fmt.Errorf("--color is %q; wanted auto, always or never", f.color)}
	}
	client, err := sidecar.NewClient(f.address, f.client)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// global does what ask does and writes the global strategy that is there then.
func (f *ctlFlags) global(cmd *cobra.Command, ask func(c *sidecar.Client) (sidecar.Global, error)) error {
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	global, err := ask(client)
	var problem *sidecar.Problem
	if errors.As(err, &problem) && len(problem.Faults) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "l4dump: %s\n", plain(problem.Detail))
		for _, each := range problem.Faults {
			fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", plain(each.String()))
		}
		return errFound
	}
	if err != nil {
		return err
	}
	if !global.Persisted {
		fmt.Fprintln(cmd.ErrOrStderr(), "l4dump: the sidecar could not write this to its disk; it is in force until it restarts")
	}
	if f.json {
		return writeJSON(cmd.OutOrStdout(), global)
	}
	return writeGlobal(cmd.OutOrStdout(), global)
}

func writeJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

// plain keeps what came over the network from commanding a terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r <= 0x9f) {
			return '?'
		}
		return r
	}, text)
}

// plainLines is plain for text of several lines.
func plainLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return strings.Join(lines, "\n")
}
