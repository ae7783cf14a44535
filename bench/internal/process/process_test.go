package process

import (
	"bufio"
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// start starts a shell script and waits until it has written a line.
func start(t *testing.T, ctx context.Context, script string, patience time.Duration) *Process {
	t.Helper()
	out, in, err := os.Pipe()
	require.NoError(t, err)
	defer out.Close()
	p, err := Start(ctx, Command{Path: "sh", Args: []string{"-c", script}, Stdout: in, Patience: patience})
	require.NoError(t, err)
	require.NoError(t, in.Close())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return p
}

const (
	polite   = `trap 'exit 0' INT; echo ready; while :; do sleep 0.01; done`
	stubborn = `trap '' INT; echo ready; while :; do sleep 0.01; done`
	long     = time.Minute
)

func TestStop(t *testing.T) {
	p := start(t, t.Context(), polite, long)
	usage, err := p.Usage()
	require.NoError(t, err)
	require.Positive(t, usage.ResidentBytes)
	require.GreaterOrEqual(t, usage.PeakBytes, usage.ResidentBytes)
	require.NoError(t, p.ResetPeak())
	require.NoError(t, p.Stop())
	<-p.Exited()
	require.NoError(t, p.Stop(), "again")
	_, err = p.Usage()
	require.Error(t, err)
}

func TestStopKills(t *testing.T) {
	p := start(t, t.Context(), stubborn, time.Millisecond)
	require.ErrorContains(t, p.Stop(), "signal: killed")
}

func TestStopReportsFailure(t *testing.T) {
	p := start(t, t.Context(), `trap 'exit 3' INT; echo ready; while :; do sleep 0.01; done`, long)
	require.ErrorContains(t, p.Stop(), "exit status 3")
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := start(t, ctx, polite, long)
	cancel()
	<-p.Exited()
	require.NoError(t, p.Stop())
}

func TestStartFails(t *testing.T) {
	_, err := Start(t.Context(), Command{Path: "/does/not/exist"})
	require.ErrorContains(t, err, "start /does/not/exist: ")
}
