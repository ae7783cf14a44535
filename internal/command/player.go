package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/internal/playbook"
	"l4dump/internal/replay"
	"l4dump/internal/verdict"
)

// play reads the inputs called names and plays what they hold.
func play(cmd *cobra.Command, flags *replayFlags, plan *replayPlan, names []string) error {
	ctx, stdout, stderr := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	var place *replay.Place
	var err error
	if flags.target != "" {
		if place, err = plan.guard.Resolve(ctx, flags.target); err != nil {
			return refused(err)
		}
	}
	book, err := compileInputs(cmd, flags, plan, names)
	if err != nil {
		return err
	}
	defer book.Close() //nolint:errcheck // it has no name any more
	if place != nil {
		if err := plan.guard.Check(ctx, place, &book.Totals); err != nil {
			return refused(err)
		}
		if place.Warning != "" {
			fmt.Fprintln(stderr, "l4dump: warning: "+place.Warning)
		}
	}
	what := book.Plan()
	if flags.dryRun {
		if err := writeResult(stdout, flags.json, what, what.WriteText); err != nil {
			return err
		}
		return emptyIsInconclusive(what)
	}
	if !place.Loopback() {
		flags.limit(cmd, &plan.play)
	}
	if err := plan.play.Check(book); err != nil {
		return usageError{err}
	}
	if !flags.noCompare {
		return compare(cmd, flags, plan, book, place, names)
	}
	report, _ := playOnce(ctx, stderr, book, plan, &verdict.Pass{Name: "replay", Targets: []replay.Target{plan.targetAt(place)}})
	if err := writeResult(stdout, flags.json, report, report.WriteText); err != nil {
		return err
	}
	switch report.Outcome {
	case replay.FailedToPlay:
		return errFound
	case replay.Inconclusive:
		return errInconclusive
	}
	return nil
}

// targetAt is the target at a place.
func (p *replayPlan) targetAt(place *replay.Place) replay.Target {
	dialer := p.dialer
	dialer.Address, dialer.Host = place.Address, place.Host
	return replay.Target{Name: place.String(), Dial: dialer.Dial}
}

// playOnce plays a pass, with progress on a terminal. The error is why the run ended before its end; the report has it.
func playOnce(ctx context.Context, stderr io.Writer, book *playbook.Playbook, plan *replayPlan, pass *verdict.Pass) (*replay.Report, error) {
	options := plan.play
	options.Observer, options.Only = pass.Observer, pass.Only
	player := replay.NewPlayer(book, pass.Targets, options)
	connections := book.Len()
	if pass.Only != nil {
		connections = len(pass.Only)
	}
	hide := showProgress(stderr, player, connections*options.Copies, pass.Name)
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		fmt.Fprintf(stderr, "\nl4dump: stopping; connections may continue for %s, another interrupt ends them\n", options.Drain)
	})
	err := player.Run(ctx)
	if !stop() {
		<-told // nothing else writes to stderr meanwhile
	}
	hide()
	stats := player.Stats()
	return replay.NewReport(pass.Targets[len(pass.Targets)-1].Name, book.Plan(), options.Pace, &stats, err), err
}

// refused makes wrong usage of a target that is not allowed.
func refused(err error) error {
	if no := new(replay.RefusedError); errors.As(err, &no) {
		return usageError{err}
	}
	return err
}

func emptyIsInconclusive(plan *playbook.Plan) error {
	if plan.Connections == 0 {
		return errInconclusive
	}
	return nil
}

// compileInputs makes a playbook of what is recorded in the inputs called names.
func compileInputs(cmd *cobra.Command, flags *replayFlags, plan *replayPlan, names []string) (*playbook.Playbook, error) {
	stderr := cmd.ErrOrStderr()
	total, err := regularBytes(names)
	if err != nil {
		return nil, err
	}
	compiler, err := playbook.NewCompiler(plan.compile)
	if err != nil {
		return nil, err
	}
	defer compiler.Close() //nolint:errcheck // it has no name any more
	p := &printer{stderr: stderr}
	if total > 0 && isTerminal(stderr) {
		p.bar = newProgressBar(stderr, "read", total)
	}
	log := dumplog.NewSource(dumplog.Options{Forms: forms}, p.inputs(dumplog.Chronological(names), cmd.InOrStdin(), false)...)
	assembler := capture.NewAssembler(compiler, capture.Options{Filter: plan.filter, Reporter: inputFaults{p}})
	err = log.Read(cmd.Context(), assembler)
	if err == nil {
		err = assembler.Finish()
	}
	if err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	p.explain(log, assembler.Stats(), flags.selection.given())
	return compiler.Playbook()
}

// inputFaults is a Reporter of what is wrong with an input; what is wrong with connections shows in why they are refused.
type inputFaults struct{ *printer }

// Fault implements capture.Reporter.
func (inputFaults) Fault(*capture.Fault) {}

func writeResult(w io.Writer, asJSON bool, result any, asText func(io.Writer)) error {
	if !asJSON {
		asText(w)
		return nil
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// progressEach is how often progress is shown.
const progressEach = 250 * time.Millisecond

// showProgress shows on a terminal how far a run is, until what it returns is called.
func showProgress(stderr io.Writer, player *replay.Player, connections int, what string) (hide func()) {
	if !isTerminal(stderr) {
		return func() {}
	}
	bar := progressbar.NewOptions(connections,
		progressbar.OptionSetWriter(stderr), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionSetRenderBlankState(true),
	)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(progressEach)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				_ = bar.Clear()
				return
			case <-ticker.C:
			}
			s := player.Stats()
			text := fmt.Sprintf("%s: %d turns, %.0f/s, %d failed, %d forced", what, s.Turns, float64(s.Turns)/s.Elapsed.Seconds(), s.Failed, s.Gates[replay.Forced])
			if s.Lateness.Count > 0 {
				text += fmt.Sprintf(", late %s", s.Lateness.P99.Round(time.Millisecond))
			}
			bar.Describe(text)
			_ = bar.Set64(int64(s.Connections) - s.Playing)
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}
