package pcapng

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/capture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write returns the capture of sources.
func write(tb testing.TB, sources ...capture.Source) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, nil)
	_, err := capture.Read(tb.Context(), w, capture.Options{}, sources...)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return out.Bytes()
}

// command runs a program of Debian's that `make debian` installs. Without it, the test is skipped; in continuous
// integration it fails.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed: make debian", name)
		}
		t.Skipf("%s is not installed: make debian", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}

// save writes a file for a program to read.
func save(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}
