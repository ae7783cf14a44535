package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal returns a terminal and a function that closes it and returns what was shown.
func terminal(t *testing.T) (tty *os.File, shown func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	out := make(chan string)
	go func() {
		b, _ := io.ReadAll(master) // EIO when the terminal is closed
		out <- string(b)
	}()
	return tty, func() string {
		require.NoError(t, tty.Close())
		text := <-out
		require.NoError(t, master.Close())
		return strings.ReplaceAll(text, "\r\n", "\n")
	}
}

func TestDecodeOnATerminal(t *testing.T) {
	log := filepath.Join(t.TempDir(), "whole.log")
	require.NoError(t, os.WriteFile(log, []byte(strings.Join(dumpLines(), "")), 0o600))
	const color, bar = "\x1b[36m", "decode"
	for _, row := range []struct {
		name    string
		args    []string
		noColor string
		color   bool
	}{
		{"text", []string{log}, "", true},
		{"NO_COLOR", []string{log}, "1", false},
		{"never", []string{"--color=never", log}, "", false},
		{"always in spite of NO_COLOR", []string{"--color=always", log}, "1", true},
		{"JSON", []string{"--format=json", log}, "", false},
	} {
		t.Run("stdout, "+row.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", row.noColor)
			tty, shown := terminal(t)
			require.Equal(t, 0, Run(strings.NewReader(""), tty, tty, append([]string{"decode"}, row.args...)))
			text := shown()
			require.Equal(t, row.color, strings.Contains(text, color))
			require.NotContains(t, text, bar)
			require.True(t, strings.HasSuffix(text, dumpSummary), text)
		})
	}
	for _, row := range []struct {
		name string
		args []string
		bar  bool
	}{
		{"file", []string{log}, true},
		{"raw", []string{"--format=raw", "--out=" + filepath.Join(t.TempDir(), "raw"), log}, true},
		{"standard input", nil, false},
		{"file and standard input", []string{log, "-"}, false},
	} {
		t.Run("stderr, "+row.name, func(t *testing.T) {
			tty, shown := terminal(t)
			var stdout bytes.Buffer
			require.Equal(t, 0, Run(strings.NewReader(dumpLines()[0]), &stdout, tty, append([]string{"decode"}, row.args...)))
			text := shown()
			require.Equal(t, row.bar, strings.Contains(text, bar), text)
			require.NotContains(t, stdout.String(), "\x1b")
		})
	}
}
