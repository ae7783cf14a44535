package command

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOutputIsInput holds that no input is overwritten, by whatever name it is called.
func TestOutputIsInput(t *testing.T) {
	log := strings.Join(dumpLines(), "")
	for _, row := range []struct {
		name  string
		stdin bool // the input is standard input, which the shell has opened
		args  []string
		out   string
	}{
		{"pcapng", false, []string{"decode", "--format", "pcapng", "--out", "a.log", "--force", "a.log"}, "a.log"},
		{"tap", false, []string{"decode", "--format", "tap", "--out", "a.log", "--force", "a.log"}, "a.log"},
		{"parquet", false, []string{"decode", "--format", "parquet", "--out", "a.log", "--force", "a.log"}, "a.log"},
		{"without force", false, []string{"decode", "--format", "parquet", "--out", "a.log", "a.log"}, "a.log"},
		{"another one of the inputs", false, []string{"decode", "--format", "tap", "--out", "a.log", "--force", "b.log", "./a.log"}, "a.log"},
		{"a link to it", false, []string{"decode", "--format", "tap", "--out", "link.log", "--force", "a.log"}, "link.log"},
		{"in a folder", false, []string{"decode", "--format", "tap", "--out", "a.log", "--force", "."}, "a.log"},
		{"followed", false, []string{"decode", "--format", "tap", "--out", "a.log", "--force", "--follow", "a.log"}, "a.log"},
		{"standard input", true, []string{"decode", "--format", "tap", "--out", "a.log", "--force"}, "a.log"},
		{"a page", false, []string{"inspect", "--html", "a.log", "--force", "a.log"}, "a.log"},
		{"a page, standard input", true, []string{"inspect", "--html", "a.log", "--force", "-"}, "a.log"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			require.NoError(t, os.WriteFile("a.log", []byte(log), 0o600))
			require.NoError(t, os.WriteFile("b.log", []byte(log), 0o600))
			require.NoError(t, os.Symlink("a.log", "link.log"))
			var stdin io.Reader = strings.NewReader("")
			if row.stdin {
				file, err := os.Open("a.log")
				require.NoError(t, err)
				defer file.Close()
				stdin = file
			}
			var stderr bytes.Buffer
			require.Equal(t, 1, Run(stdin, io.Discard, &stderr, row.args))
			require.Equal(t, "l4dump: write "+row.out+": it is one of the inputs; name another file\n", stderr.String())
			left, err := os.ReadFile("a.log")
			require.NoError(t, err)
			require.Equal(t, log, string(left))
		})
	}
	t.Run("what is no file may be both", func(t *testing.T) {
		code, _, stderr := runCommand("", "decode", "--format", "tap", "--out", os.DevNull, "--force", os.DevNull)
		require.Equal(t, 1, code)
		require.NotContains(t, stderr, "it is one of the inputs")
	})
}

// TestPageTitle holds that a page is called as its inputs are: a folder by its name.
func TestPageTitle(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("logs", 0o700))
	for _, name := range []string{"logs/a.log", "logs/b.log"} {
		require.NoError(t, os.WriteFile(name, []byte(strings.Join(dumpLines(), "")), 0o600))
	}
	require.Zero(t, Run(strings.NewReader(""), io.Discard, io.Discard, []string{"inspect", "--html", "page.html", "logs"}))
	page, err := os.ReadFile("page.html")
	require.NoError(t, err)
	require.Contains(t, string(page), "<title>logs · l4dump</title>")
}
