// Package command is the command line: one file per command.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of every command.
const (
	exitOK           = 0 // done, nothing found
	exitFound        = 1 // faults found, or the command failed
	exitUsage        = 2 // the command line is wrong
	exitInconclusive = 3 // nobody can tell
)

// errFound ends a command that has already printed what it found.
var errFound = errors.New("faults found")

// errInconclusive ends a command that has already printed why nothing can be said.
var errInconclusive = errors.New("inconclusive")

// usageError is a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Run executes the command line args and returns the exit code. It is the one place that prints errors and that
// turns SIGINT and SIGTERM into a canceled context.
func Run(stdin io.Reader, stdout, stderr io.Writer, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// A command that a read or a write holds up does not see the end of its context: the next signal ends the process,
	// unless the command itself asked for it.
	context.AfterFunc(ctx, stop)
	root := newRootCommand()
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var usage usageError
	text := ""
	if err != nil {
		text = plainLines(err.Error()) // some of it may come from the network
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitFound
	case errors.Is(err, errInconclusive):
		return exitInconclusive
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "l4dump: %s\nRun '%s --help' for the usage.\n", text, cmd.CommandPath())
		return exitUsage
	default:
		fmt.Fprintf(stderr, "l4dump: %s\n", text)
		return exitFound
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "l4dump",
		Short: "Record TCP traffic in Envoy, and read what was recorded",
		Long: `l4dump records the TCP traffic that passes through Envoy or Istio.

Exit codes: 0 fine, 1 faults found or failed, 2 wrong usage, 3 inconclusive.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newRunCommand(), newDecodeCommand(), newReplayCommand(), newInspectCommand(), newCheckCommand(), newSidecarCommand(), newCtlCommand())
	return root
}

// usageArgs makes what check refuses a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
