package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"l4dump/internal/playbook"
	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	"l4dump/internal/verdict"
	"l4dump/internal/verdict/noise"
	"l4dump/internal/verdict/report"
)

// compareFlags are the flags of replay that say how answers are compared.
type compareFlags struct {
	baseline string
	twin     string
	reset    string
	confirm  int
	margin   float64

	noise        string
	noiseOut     string
	frozen       bool
	noKnownNoise bool

	showValues  bool
	junit, html string
	force       bool

	rules []noise.Rule // what the flags say
}

func (c *compareFlags) defineCompare(f *pflag.FlagSet) {
	f.StringVar(&c.baseline, "baseline", "", "service to compare with, HOST:PORT; else the recording is")
	f.StringVar(&c.twin, "twin", "", "another instance of the baseline, HOST:PORT, to learn with what is noise; else each request goes to the baseline twice")
	f.StringVar(&c.reset, "reset", "", "shell command that brings the services back to the recording's beginning, before each pass")
	f.IntVar(&c.confirm, "confirm", 3, "play connections with differences again, as many times")
	f.Float64Var(&c.margin, "margin", 20, "percent that the target may be slower than the baseline")
	f.StringVar(&c.noise, "noise", "", "file of rules that say which differences mean nothing")
	f.StringVar(&c.noiseOut, "noise-out", "", "file to write the rules to that were learned, and those of --noise")
	f.BoolVar(&c.frozen, "frozen", false, "learn nothing: the rules of --noise are all")
	f.BoolVar(&c.noKnownNoise, "no-known-noise", false, "compare also what is known to differ, such as Date")
	f.BoolVar(&c.showValues, "show-values", false, "show recorded and answered values in reports")
	f.StringVar(&c.junit, "junit", "", "file to write a JUnit report to")
	f.StringVar(&c.html, "html", "", "file to write a page to")
	f.BoolVar(&c.force, "force", false, "replace files of these names")
}

// checkCompare reads what the flags name.
func (c *compareFlags) checkCompare(noCompare bool, fault func(string, ...any)) {
	if noCompare {
		if c.baseline+c.twin+c.reset+c.noise+c.noiseOut+c.junit+c.html != "" || c.frozen {
			fault("--baseline, --twin, --reset, --noise, --noise-out, --frozen, --junit and --html do not go with --no-compare")
		}
		return
	}
	if c.confirm < 0 || c.confirm > 100 {
		fault("--confirm is %d; wanted 0 to 100", c.confirm)
	}
	if math.IsNaN(c.margin) || c.margin < 0 || c.margin > 1000 {
		fault("--margin is %g; wanted 0 to 1000 percent", c.margin)
	}
	if c.twin != "" && (c.baseline == "" || c.frozen) {
		fault("--twin wants --baseline, and no --frozen")
	}
	if c.noiseOut != "" && (c.baseline == "" || c.frozen) {
		fault("--noise-out wants --baseline to learn from, and no --frozen")
	}
	if c.noise == "" {
		return
	}
	file, err := os.Open(c.noise)
	if err == nil {
		defer file.Close() //nolint:errcheck // it was only read
		c.rules, err = noise.Read(file)
	}
	if err != nil {
		fault("--noise %s: %s", c.noise, strings.ReplaceAll(err.Error(), "\n", "\n          "))
	}
}

// compare plays book in passes, and reports in what the target at place differs.
func compare(cmd *cobra.Command, flags *replayFlags, plan *replayPlan, book *playbook.Playbook, place *replay.Place, names []string) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	begin := time.Now()
	copies := uint64(max(1, plan.play.Copies))
	c := verdict.Comparison{
		Target: plan.targetAt(place), Protocol: plan.messagesOf, Rules: flags.rules, Frozen: flags.frozen, Confirm: flags.confirm,
		Turns: book.Totals.Turns * copies, Margin: flags.margin / 100,
		Writes: func(protocol, class string) bool { return playbook.Class{Protocol: protocol, Name: class}.Writes() },
	}
	if !flags.noKnownNoise {
		c.Rules = append(noise.Known(), c.Rules...)
	}
	var err error
	if c.Baseline, err = plan.beside(ctx, book, "baseline", flags.baseline); err != nil {
		return err
	}
	if c.Twin, err = plan.beside(ctx, book, "twin", flags.twin); err != nil {
		return err
	}
	if flags.reset != "" {
		c.Reset = func(ctx context.Context, pass string) error { return reset(ctx, stderr, flags, pass) }
	}
	var run *replay.Report
	var ended error
	c.Play = func(ctx context.Context, pass *verdict.Pass) error {
		played, err := playOnce(ctx, stderr, book, plan, pass)
		if pass.Name == verdict.ComparePass {
			run, ended = played, err
			return nil
		}
		return err
	}
	files, err := flags.create(names, cmd.InOrStdin())
	if err != nil {
		return err
	}
	found, err := c.Run(ctx)
	if err != nil {
		_ = files.close() // nothing was written
		if errors.Is(err, context.Canceled) {
			fmt.Fprintln(stderr, "l4dump: interrupted before anything was compared")
			return errInconclusive
		}
		return err
	}
	if c.Baseline == nil && (errors.Is(ended, replay.ErrUnreachable) || errors.Is(ended, replay.ErrFailing)) {
		found.Failure, ended = ended.Error(), nil
	}
	limits := verdict.DefaultLimits()
	limits.Margin = flags.margin / 100
	judgment, limits := found.Judge(limits, runDoubts(run, ended))
	r := report.New(report.Input{
		Sources: names, Target: place.String(), Baseline: flags.baseline, Elapsed: time.Since(begin), Playbook: book,
		Selected: uint64(book.Len()) * copies, Compared: found, Run: run, Judgment: judgment, Limits: limits, ShowValues: flags.showValues,
		Again: again(cmd.Flags(), names),
	})
	if err := flags.write(cmd, files, r, found.Learned, flags.json); err != nil {
		return err
	}
	switch judgment.Outcome.Code() {
	case 0:
		return nil
	case 3:
		return errInconclusive
	default:
		return errFound
	}
}

// beside is a service that is played to besides the target, if the flag called name gives an address.
func (p *replayPlan) beside(ctx context.Context, book *playbook.Playbook, name, address string) (*replay.Target, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	at, err := p.guard.Resolve(ctx, address)
	if err == nil {
		err = p.guard.Check(ctx, at, &book.Totals)
	}
	if err != nil {
		return nil, refused(fmt.Errorf("--%s: %w", name, err))
	}
	target := p.targetAt(at)
	return &target, nil
}

// messagesOf returns the protocol of that name if it has messages to compare; those of the user's files are among them.
func (p *replayPlan) messagesOf(name string) protocol.Protocol {
	for _, known := range p.detector.Protocols {
		if known.Name() == name {
			return known
		}
	}
	return nil
}

// runDoubts are the reasons for doubt that the run itself gives.
func runDoubts(run *replay.Report, ended error) (doubts []string) {
	switch {
	case errors.Is(ended, context.Canceled):
		doubts = append(doubts, "interrupted")
	case ended != nil:
		doubts = append(doubts, ended.Error())
	}
	if run.AtPace != nil && !*run.AtPace {
		doubts = append(doubts, "not at the recorded pace: "+run.Late.String())
	}
	return doubts
}

// reset runs the user's command.
func reset(ctx context.Context, stderr io.Writer, flags *replayFlags, pass string) error {
	command := exec.CommandContext(ctx, "/bin/sh", "-c", flags.reset)
	command.Env = append(os.Environ(), "L4DUMP_TARGET="+flags.target, "L4DUMP_BASELINE="+flags.baseline, "L4DUMP_TWIN="+flags.twin, "L4DUMP_PASS="+pass)
	command.Stdout, command.Stderr = stderr, stderr
	return command.Run()
}

// again returns the command that plays one connection again: as this one, but for how much is played and what is written.
func again(flags *pflag.FlagSet, names []string) func(string) string {
	words := append([]string{"l4dump", "replay"}, names...)
	flags.Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "conn", "shard", "copies", "ramp", "duration", "json", "junit", "html", "noise-out", "show-values":
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			switch {
			case f.Value.Type() != "bool":
				words = append(words, "--"+f.Name, value)
			case value == "true":
				words = append(words, "--"+f.Name)
			}
		}
	})
	command := quoteWords(words)
	return func(connection string) string { return command + " --conn " + connection + " --show-values" }
}

// quoteWords are words for a shell.
func quoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = word
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune(plainRunes, r) }) {
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

const plainRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:@%+="

// write writes the reports and what was learned.
func (c *compareFlags) write(cmd *cobra.Command, files *outputs, r *report.Report, learned []noise.Rule, asJSON bool) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	err := errors.Join(writeTo(files.junit, r.JUnit), writeTo(files.html, r.HTML), writeTo(files.noise, func(to io.Writer) error {
		text, err := noise.Format(append(c.rules[:len(c.rules):len(c.rules)], learned...))
		if err == nil {
			_, err = to.Write(text)
		}
		return err
	}), files.close())
	if n := len(learned); n > 0 && c.noiseOut == "" {
		fmt.Fprintf(stderr, "l4dump: rules learned of what is noise: %d; --noise-out FILE keeps them\n", n)
	}
	if asJSON {
		return errors.Join(err, r.JSON(stdout))
	}
	return errors.Join(err, r.Text(stdout, isTerminal(stdout)))
}

// outputs are the files of a run. They are made before it: a run whose report cannot be written is for nothing.
type outputs struct{ junit, html, noise *os.File }

func (c *compareFlags) create(inputs []string, stdin io.Reader) (*outputs, error) {
	var o outputs
	for _, file := range []struct {
		path string
		to   **os.File
	}{{c.junit, &o.junit}, {c.html, &o.html}, {c.noiseOut, &o.noise}} {
		if file.path == "" {
			continue
		}
		var err error
		if c.force { // else what exists stays
			err = checkOutput(file.path, inputs, stdin)
		}
		if err == nil {
			*file.to, err = createFile(file.path, c.force)
		}
		if err != nil {
			return nil, errors.Join(err, o.close())
		}
	}
	return &o, nil
}

func (o *outputs) close() (err error) {
	for _, file := range []*os.File{o.junit, o.html, o.noise} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}

// writeTo writes to a file, if there is one.
func writeTo(file *os.File, write func(io.Writer) error) error {
	if file == nil {
		return nil
	}
	return write(file)
}
