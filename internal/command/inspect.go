package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/internal/inspect"
)

// inspectFlags are the flags of the inspect command.
type inspectFlags struct {
	json   bool
	html   string
	force  bool
	top    int
	strict bool
	color  string
	selection
}

// maxTop bounds --top.
const maxTop = 1000

func newInspectCommand() *cobra.Command {
	var flags inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect [FILE...|-]",
		Short: "Say what is in a recording, and whether it is whole",
		Long: `inspect reads what decode reads, and says what is in it: how many connections and bytes by protocol,
port, client and server name; which connections are whole, and why the others are not; the largest
and those that lasted longest; what the recorder dropped, with the configuration's key of the limit;
what share of bytes, connections and time the sample covers; and what is wrong with the input.

With --html, it also writes a page for a browser: a timeline, all connections to search and sort,
and the beginning of each conversation as hex and text. The page is complete in itself and loads
nothing. It holds what was recorded: the file has mode 0600.

The protocol is a guess from a connection's first bytes. It knows TLS with its version and server
name, HTTP/1, HTTP/2, Redis, MySQL, PostgreSQL, MQTT, Kafka, MongoDB and AMQP, and says "unknown"
of all others.

Exit codes: 0 there are records, 1 there is none of those that were asked for, or an input cannot
be read to its end, or, with --strict, there is any fault; 2 wrong usage.`,
		Example: `  # what a proxy's log holds
  l4dump inspect envoy.log

  # the same as a page, to look into conversations
  l4dump inspect --html recording.html envoy.log

  # the connections of a capture that are not whole, and why
  l4dump inspect --json --top 1000 dump.pcapng | jq '.largest[] | select(.state != "whole") | {conn, why}'`,
		Args: usageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{stdinName}
			}
			filter, err := flags.check()
			if err != nil {
				return usageError{err}
			}
			return inspectInputs(cmd, &flags, filter, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&flags.json, "json", false, "write JSON, as FORMAT describes it")
	f.StringVar(&flags.html, "html", "", "write a page for a browser to this file, too")
	f.BoolVar(&flags.force, "force", false, "replace the file of --html")
	f.IntVar(&flags.top, "top", 10, "rows of each table")
	flags.define(f)
	f.BoolVar(&flags.strict, "strict", false, "exit 1 if there is any fault, too")
	f.StringVar(&flags.color, "color", colorAuto, "color the tables: auto, always or never")
	completeFlag(cmd, "color", colorAuto, colorAlways, colorNever)
	return cmd
}

// check returns what the flags select, or every fault of the command line.
func (f *inspectFlags) check() (capture.Filter, error) {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if f.top < 1 || f.top > maxTop {
		fault("--top is %d; wanted 1 to %d", f.top, maxTop)
	}
	if f.force && f.html == "" {
		fault("--force belongs to --html")
	}
	if !slices.Contains([]string{colorAuto, colorAlways, colorNever}, f.color) {
		fault("--color is %q; wanted auto, always or never", f.color)
	}
	filter := f.filter(fault)
	if len(faults) > 0 {
		return filter, errors.New(strings.Join(faults, "\n        "))
	}
	return filter, nil
}

// inspectInputs reads the inputs called names and says what is in them.
func inspectInputs(cmd *cobra.Command, flags *inspectFlags, filter capture.Filter, names []string) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	title := titleOf(names)
	files, err := expandFolders(names)
	if err != nil {
		return err
	}
	total, err := regularBytes(files)
	if err != nil {
		return err
	}
	if err := checkOutput(flags.html, files, cmd.InOrStdin()); err != nil {
		return err
	}
	page, err := createPage(flags)
	if err != nil {
		return err
	}
	p := &printer{stderr: stderr}
	if total > 0 && isTerminal(stderr) {
		p.bar = newProgressBar(stderr, cmd.Name(), total)
	}
	summary := inspect.NewSummary(inspect.Options{
		Top: flags.top, Part: flags.given(), Conversations: flags.html != "",
	})
	log := dumplog.NewSource(dumplog.Options{Forms: forms}, p.inputs(dumplog.Chronological(files), cmd.InOrStdin(), false)...)
	assembler := capture.NewAssembler(summary, capture.Options{Filter: filter, Reporter: summary})
	err = log.Read(cmd.Context(), assembler)
	interrupted := errors.Is(err, context.Canceled)
	if err == nil || interrupted {
		err = assembler.Finish()
	}
	if err != nil {
		return errors.Join(err, page.discard())
	}
	stats := assembler.Stats()
	p.explain(log, stats, flags.given())
	report := summary.Report(log.LayottoLines())
	if err := page.write(summary, title); err != nil {
		return errors.Join(err, page.discard())
	}
	if flags.json {
		err = report.WriteJSON(stdout)
	} else {
		err = report.WriteText(stdout, inspect.Text{Width: widthOf(stdout), Color: wantsColor(flags.color, stdout), Top: flags.top})
	}
	switch {
	case err != nil:
		return err
	case interrupted:
		return errors.New("interrupted before the end of the log")
	case log.Corrupt(), stats.Records == 0 && log.LayottoLines() == 0, flags.strict && (stats.Faults > 0 || stats.Records == 0):
		return errFound
	}
	return nil
}

// page is the file of --html; nil if there is none.
type page struct{ file *os.File }

func createPage(flags *inspectFlags) (*page, error) {
	if flags.html == "" {
		return nil, nil //nolint:nilnil // no page is asked for
	}
	file, err := createFile(flags.html, flags.force)
	if err != nil {
		return nil, err
	}
	return &page{file}, nil
}

// write writes the page and closes its file.
func (p *page) write(summary *inspect.Summary, title string) error {
	if p == nil {
		return nil
	}
	w := bufio.NewWriter(p.file)
	return errors.Join(summary.WriteHTML(w, title), w.Flush(), p.file.Close())
}

// discard removes the file of a page that is not whole.
func (p *page) discard() error {
	if p == nil {
		return nil
	}
	_ = p.file.Close() // it may be closed already
	return os.Remove(p.file.Name())
}

// titleOf returns what a page on these inputs is called.
func titleOf(names []string) string {
	const most = 3
	shown := slices.Clone(names[:min(len(names), most)])
	for i := range shown {
		if shown[i] == stdinName {
			shown[i] = "standard input"
		}
	}
	title := strings.Join(shown, ", ")
	if len(names) > most {
		title += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return title
}

// widthOf returns how many columns a terminal has, or 0 if w is none.
func widthOf(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}
