package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocumentedCommands has the documents name only commands and flags that there are.
func TestDocumentedCommands(t *testing.T) {
	documents, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	call := regexp.MustCompile("\\bl4dump ((?:run|decode|replay|inspect|check|sidecar|ctl|completion) [^`|#\n]*)")
	flag := regexp.MustCompile(`^(--?)([a-z][a-z-]*)`)
	found := 0
	for _, name := range append(documents, "../../README.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, match := range call.FindAllStringSubmatch(string(text), -1) {
			words := strings.Fields(match[1])
			root := newRootCommand()
			root.InitDefaultCompletionCmd(words...)
			cmd, _, err := root.Find(words)
			require.NoError(t, err, "%s: %s", name, match[0])
			cmd.InitDefaultHelpFlag()
			for _, word := range words {
				parts := flag.FindStringSubmatch(word)
				if parts == nil {
					continue
				}
				found++
				given := cmd.Flag(parts[2])
				if parts[1] == "-" {
					given = cmd.Flags().ShorthandLookup(parts[2])
				}
				require.NotNil(t, given, "%s: %s: no flag %s", name, match[0], parts[0])
			}
		}
	}
	require.Greater(t, found, 10)

	// In its document, a flag alone is one of the sidecar's.
	text, err := os.ReadFile("../../docs/SIDECAR.md")
	require.NoError(t, err)
	sidecar := newSidecarCommand()
	for _, match := range regexp.MustCompile("`--([a-z-]+)").FindAllStringSubmatch(string(text), -1) {
		require.NotNil(t, sidecar.Flag(match[1]), match[0])
	}
}
