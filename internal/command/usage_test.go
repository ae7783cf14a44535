package command

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the documents anew")

// TestUsage holds docs/USAGE.md to what each command prints with --help.
func TestUsage(t *testing.T) {
	const document = "../../docs/USAGE.md"
	var b strings.Builder
	b.WriteString("# Usage\n\nWhat each command prints with `--help`. `make docs` writes this page.\n")
	writeUsage(t, &b, newRootCommand(), []string{})
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(b.String()), 0o600))
	}
	want, err := os.ReadFile(document)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "run make docs")
}

// writeUsage writes the help of cmd, which path leads to, and of the commands below it.
func writeUsage(t *testing.T, b *strings.Builder, cmd *cobra.Command, path []string) {
	code, stdout, stderr := runCommand("", append(path, "--help")...)
	require.Zero(t, code)
	require.Empty(t, stderr)
	if cmd.HasSubCommands() { // without a command it helps
		code, help, stderr := runCommand("", path...)
		require.Equal(t, []any{0, stdout, ""}, []any{code, help, stderr})
	}
	fmt.Fprintf(b, "\n## %s\n\n```\n%s```\n", cmd.CommandPath(), stdout)
	for _, child := range cmd.Commands() {
		writeUsage(t, b, child, append(path, child.Name()))
	}
}
