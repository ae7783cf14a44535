package inspect_test

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBrowser opens pages in Chromium; testdata/browser.py says what must be there.
func TestBrowser(t *testing.T) {
	if os.Getenv("HEAVY") != "true" {
		t.Skip("skipped without HEAVY=true: run make test-heavy")
	}
	python, err := filepath.Abs("../../build/browser/bin/python")
	require.NoError(t, err)
	chromium, missing := exec.LookPath("chromium")
	if _, err := os.Stat(python); err != nil || missing != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("Chromium or Playwright is not installed: make browser")
		}
		t.Skip("Chromium or Playwright is not installed: make browser")
	}
	dir := t.TempDir()
	write := func(name, log string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".html"), []byte(pageOf(t, log, name+".log")), 0o600))
	}
	write("mixed", mixed(400))
	write("many", mixed(10_000))
	write("empty", "nothing is recorded\n")
	write("hostile", hostileLog())
	every := ""
	for i := range 256 {
		every += string([]byte{byte(i)})
	}
	write("bytes", newRecorder(1, 1, startTime).begin().data(down, every).data(up, "gr\u00fc\u00df dich\r\n").drop(up, "budget", 9).close("proxy").text())

	write("fits", newRecorder(1, 1, startTime).begin().data(down, every).data(up, every).close("proxy").text())

	cmd := exec.CommandContext(t.Context(), python, "testdata/browser.py", chromium, dir, base64.StdEncoding.EncodeToString([]byte(hostile)))
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		t.Log(strings.TrimSuffix(line, "\n"))
	}
	require.NoError(t, err)
	require.Contains(t, string(out), "all checks passed")
}
