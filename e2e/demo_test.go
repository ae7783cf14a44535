package e2e

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDemo runs what `make demo` runs: it finds the fault of the new version, and nothing else.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	demo := exec.CommandContext(ctx, "bash", "../demo/run.sh")
	demo.Env = append(demo.Environ(), "TMPDIR="+t.TempDir())
	out, err := demo.CombinedOutput()
	require.NoError(t, err, "%s", out)
	text := string(out)
	require.Contains(t, text, "turns        200 = equal 40 + masked 160 + different 0 + dependent 0 + not compared 0 + not replayed 0\n")
	require.Contains(t, text, "\nverdict  same (exit 0)\n")
	require.Contains(t, text, "turns        200 = equal 40 + masked 80 + different 80 + dependent 0 + not compared 0 + not replayed 0\n")
	require.Contains(t, text, "\nCHANGED  GET /orders/{}: body:$.total, value\n         in 80 of 160 turns of 40 connections, found again in 3 of 3\n")
	require.Contains(t, text, "\nverdict  changed (exit 1)\n")
	require.NotContains(t, text, "CHANCE?")
}
