package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/internal/capture/envoytap"
	"l4dump/internal/capture/parquet"
	"l4dump/internal/capture/pcapng"
)

// The forms that records are written in.
const (
	formatText = "text"
	formatJSON = "json"
	formatRaw  = "raw"
	formatPCAP = "pcapng"
	formatTap  = "tap"

	formatParquet = "parquet"
)

var formats = []string{formatText, formatJSON, formatRaw, formatPCAP, formatTap, formatParquet}

// followLossTimeout is how long a followed log may take to bring a record after one that follows it.
const followLossTimeout = 2 * time.Second

// stdinName is the FILE that stands for standard input.
const stdinName = "-"

// decodeFlags are the flags of the decode command.
type decodeFlags struct {
	follow bool
	format string
	out    string
	force  bool
	strict bool
	color  string
	selection

	conversation bool
	choice       choiceFlags
}

func newDecodeCommand() *cobra.Command {
	var flags decodeFlags
	cmd := &cobra.Command{
		Use:   "decode [FILE...|-]",
		Short: "Read a dump out of a log",
		Long: `decode finds the records of l4dump in logs, puts each connection's records into order, and
writes them as text, as JSON, as one file for each direction of a connection, as a packet capture
(pcapng) that Wireshark reads: with a handshake, sequence numbers and acknowledgments that are
made up around what was recorded, and what TCP cannot show in comments; or as Envoy's tap writes
sockets (length-delimited TraceWrapper), for tools that read taps; or as a table (Apache Parquet),
one row per record, for DuckDB, Spark, Trino and their like.

It finds them in whatever a log has been through: the files of Kubernetes (CRI) and Docker, whose
long lines it joins; JSON of any nesting; the exports of collectors and log stores, newest first
too; files compressed by gzip, zstd, xz or bzip2; UTF-16; colors. It also reads packet captures
(pcapng, pcap), its own and those of tcpdump and Wireshark, and what Envoy's tap has written of
sockets, in each of its formats. Several FILEs are read as one, and a folder as the files in it;
without one, or with "-", standard input is read. If there is no record, it says what the input
looks like.

--grep, --last and --largest choose whole connections, for every format. The inputs are read twice
for that; standard input is kept in a temporary file. --grep searches the stream of each direction,
across the borders of records: for text, for bytes in hex after "hex:", or after "re:" for a regular
expression (RE2) whose matches have up to 4096 bytes, with \x00 to \xff for bytes. "text:" before
text allows any. On a terminal, what was found is highlighted in text.

Damaged, missing, double and contradicting records are reported to standard error with their
place (file:line:column). A record that comes early waits for those before it, up to 65536
records or 32 MiB of payload.

Exit codes: 0 there are records, 1 there is none of those that were asked for, or an input cannot
be read to its end, or, with --strict, there is any fault; 2 wrong usage.`,
		Example: `  # show what the proxies of an application record
  kubectl logs -f --prefix --tail=-1 -l app=web -c istio-proxy | l4dump decode --follow

  # one connection as JSON lines
  l4dump decode --format json --conn 9f0c6a1be3d2a417-2a envoy.log

  # both directions of every connection, byte for byte; fail if anything is missing
  l4dump decode --format raw --out streams --strict envoy.log.1 envoy.log

  # who asked for an order, as a chat
  l4dump decode --grep 'GET /orders/' --conversation envoy.log

  # the three largest connections that begin with a TLS alert, for Wireshark
  l4dump decode --grep 're:^\x15\x03[\x00-\x04]' --largest 3 --format pcapng --out alerts.pcapng envoy.log

  # a day of a fleet, as a table
  l4dump decode --format parquet --out day.parquet logs

  # what a proxy records, in Wireshark, as it comes
  kubectl logs -f deploy/web -c istio-proxy | l4dump decode -f --format pcapng | wireshark -k -i -`,
		Args: usageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{stdinName}
			}
			filter, err := flags.check(args)
			if err != nil {
				return usageError{err}
			}
			return decode(cmd, &flags, filter, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.follow, "follow", "f", false, "continue when the log grows; survives its rotation")
	f.StringVar(&flags.format, "format", formatText, "what to write: text, json, raw, pcapng, tap or parquet")
	f.StringVar(&flags.out, "out", "", "directory for --format raw: CONN.downstream and CONN.upstream; file for pcapng, tap or parquet")
	f.BoolVar(&flags.force, "force", false, "replace what an earlier run wrote to --out")
	flags.define(f)
	f.BoolVar(&flags.conversation, "conversation", false, "text as a chat: one connection after another, turn by turn")
	flags.choice.register(f)
	f.BoolVar(&flags.strict, "strict", false, "exit 1 if there is any fault, too")
	f.StringVar(&flags.color, "color", colorAuto, "color text: auto, always or never")
	completeFlag(cmd, "format", formats...)
	completeFlag(cmd, "color", colorAuto, colorAlways, colorNever)
	return cmd
}

// check returns what the flags select, or every fault of the command line.
func (f *decodeFlags) check(args []string) (capture.Filter, error) {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if !slices.Contains(formats, f.format) {
		fault("--format is %q; wanted text, json, raw, pcapng, tap or parquet", f.format)
	}
	if !slices.Contains([]string{colorAuto, colorAlways, colorNever}, f.color) {
		fault("--color is %q; wanted auto, always or never", f.color)
	}
	toFiles := slices.Contains([]string{formatRaw, formatPCAP, formatTap, formatParquet}, f.format)
	switch {
	case f.format == formatRaw && f.out == "":
		fault("--format raw needs --out DIR")
	case !toFiles && f.out != "":
		fault("--out belongs to --format raw, pcapng, tap or parquet")
	case !toFiles && f.force:
		fault("--force belongs to --format raw, pcapng, tap or parquet")
	}
	if f.conversation && f.format != formatText {
		fault("--conversation belongs to --format text")
	}
	f.choice.check(f.follow, fault)
	if f.follow && len(args) > 1 {
		fault("--follow takes one FILE, not %d", len(args))
	}
	filter := f.filter(fault)
	if len(faults) > 0 {
		return filter, errors.New(strings.Join(faults, "\n        "))
	}
	return filter, nil
}

// decode reads the inputs called names and writes what filter selects.
func decode(cmd *cobra.Command, flags *decodeFlags, filter capture.Filter, names []string) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if !flags.follow {
		var err error
		if names, err = expandFolders(names); err != nil {
			return err
		}
	}
	total, err := regularBytes(names)
	if err != nil {
		return err
	}
	if err := checkOutput(flags.out, names, cmd.InOrStdin()); err != nil {
		return err
	}
	writer, err := newWriter(stdout, flags)
	if err != nil {
		return err
	}
	p := &printer{stderr: stderr}
	if total > 0 && !flags.follow && isTerminal(stderr) && (flags.out != "" || !isTerminal(stdout)) {
		p.bar = newProgressBar(stderr, cmd.Name(), total)
	}
	options := capture.Options{Filter: filter, Reporter: p}
	if flags.follow {
		options.LossTimeout = followLossTimeout
	}
	inputs := p.inputs(dumplog.Chronological(names), cmd.InOrStdin(), flags.follow)
	if flags.choice.any() {
		var closeAll func()
		if inputs, closeAll, err = rereadable(cmd.Context(), inputs); err != nil {
			return errors.Join(err, writer.Close())
		}
		defer closeAll()
		marked, canMark := writer.(interface {
			Mark(marks map[capture.ID]*capture.Marks)
		})
		if options.Filter.Chosen, err = flags.choice.choose(cmd.Context(), filter, canMark, inputs); err != nil {
			return errors.Join(err, writer.Close())
		}
		if canMark {
			marked.Mark(options.Filter.Chosen)
		}
	}
	log := dumplog.NewSource(dumplog.Options{Layotto: layottoTo(writer), Forms: forms}, inputs...)
	assembler := capture.NewAssembler(writer, options)
	err = log.Read(cmd.Context(), assembler)
	interrupted := errors.Is(err, context.Canceled)
	if err == nil || interrupted {
		err = assembler.Finish()
	}
	if err := errors.Join(err, writer.Close()); err != nil {
		return err
	}
	stats := assembler.Stats()
	p.summarize(log, stats, flags.given() || flags.choice.any())
	switch {
	case interrupted && !flags.follow:
		return errors.New("interrupted before the end of the log")
	case log.Corrupt(), stats.Records == 0 && log.LayottoLines() == 0 && !interrupted:
		return errFound
	case flags.strict && (stats.Faults > 0 || stats.Records == 0):
		return errFound
	}
	return nil
}

// forms are what decode reads besides logs.
var forms = []dumplog.Form{
	{Name: "a packet capture", Magics: pcapng.Magics, Read: pcapng.Read},
	{Name: "an Envoy tap", Begins: envoytap.Begins, Read: envoytap.Read},
}

// expandFolders returns names with the files in a folder, and in those in it, in the place of the folder.
func expandFolders(names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		info, err := os.Stat(name)
		if name == stdinName || err == nil && !info.IsDir() {
			files = append(files, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		before := len(files)
		err = filepath.WalkDir(name, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			// A link is read if it leads to a file, as in Kubernetes' folders of logs.
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, fmt.Errorf("read %s: want files in the folder, there is none", name)
		}
	}
	return files, nil
}

// regularBytes returns the size of all inputs, or 0 if one of them is not a regular file.
func regularBytes(names []string) (int64, error) {
	var total int64
	regular := true
	for _, name := range names {
		if name == stdinName {
			regular = false
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return 0, err
		}
		if info.IsDir() {
			return 0, fmt.Errorf("read %s: --follow wants a file, it is a folder", name)
		}
		regular = regular && info.Mode().IsRegular()
		total += info.Size()
	}
	if !regular {
		return 0, nil
	}
	return total, nil
}

func newWriter(stdout io.Writer, flags *decodeFlags) (capture.Writer, error) {
	switch flags.format {
	case formatJSON:
		return capture.NewJSONWriter(stdout), nil
	case formatRaw:
		w, err := capture.NewRawWriter(flags.out, flags.force)
		if errors.Is(err, capture.ErrNotEmpty) {
			return nil, fmt.Errorf("%w; name another one, or replace an earlier run's files with --force", err)
		}
		return w, err
	case formatPCAP, formatTap, formatParquet:
		return newBinaryWriter(stdout, flags)
	}
	if flags.conversation {
		return capture.NewConversationWriter(stdout, wantsColor(flags.color, stdout)), nil
	}
	return capture.NewTextWriter(stdout, wantsColor(flags.color, stdout)), nil
}

// newBinaryWriter returns a Writer to --out, else to standard output, unless that is a terminal.
func newBinaryWriter(stdout io.Writer, flags *decodeFlags) (capture.Writer, error) {
	open := func(w io.Writer, closeOutput func() error) capture.Writer {
		switch flags.format {
		case formatTap:
			return envoytap.NewWriter(w, closeOutput)
		case formatParquet:
			return parquet.NewWriter(w, closeOutput)
		}
		return pcapng.NewWriter(w, closeOutput)
	}
	if flags.out == "" {
		if isTerminal(stdout) {
			return nil, fmt.Errorf("standard output is a terminal; name a file with --out, or lead --format %s to one", flags.format)
		}
		return open(stdout, nil), nil
	}
	file, err := createFile(flags.out, flags.force)
	if err != nil {
		return nil, err
	}
	return open(file, file.Close), nil
}

func newProgressBar(stderr io.Writer, name string, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionSetDescription(name),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionClearOnFinish(),
	)
}

// inputs returns the inputs called names. A file that the shell has opened as standard input is read as one that is
// named.
func (p *printer) inputs(names []string, stdin io.Reader, follow bool) []dumplog.Input {
	var progress io.Writer
	if p.bar != nil {
		progress = p.bar
	}
	inputs := make([]dumplog.Input, 0, len(names))
	for _, name := range names {
		file, isFile := stdin.(*os.File)
		switch {
		case name == stdinName && isFile && !follow:
			inputs = append(inputs, dumplog.OpenFile{Name: "stdin", File: file})
		case name == stdinName:
			inputs = append(inputs, dumplog.Stream{Name: "stdin", Reader: stdin})
		case follow:
			inputs = append(inputs, dumplog.Follow{Path: name})
		default:
			inputs = append(inputs, dumplog.File{Path: name, Progress: progress})
		}
	}
	return inputs
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
