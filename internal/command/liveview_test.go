package command

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLiveView(t *testing.T) {
	var stdout, stderr watched
	view := newLiveView(&stdout, &stderr, false)
	write := func(text string) {
		n, err := view.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
	}
	lines := dumpLines()
	write("started\n" + lines[0] + lines[1][:100])
	stderr.waitFor(t, "started\n")
	stdout.waitFor(t, dumpText[:strings.Index(dumpText, "\n")+1])
	write(lines[1][100:])
	stdout.waitFor(t, dumpText[:strings.Index(dumpText, "|hello|")+8])
	write(lines[3] + "last")
	require.NoError(t, view.close())
	require.Equal(t, `started
last
log:4:128: connection 9f0c6a1be3d2a417-2a: record 2 is missing
log:4:128: connection 9f0c6a1be3d2a417-2a: the lost records held 6 bytes of upstream
`, stderr.String())
}

// TestLiveViewOutlivesItsOutput holds that a log can be written to when its view cannot.
func TestLiveViewOutlivesItsOutput(t *testing.T) {
	var stderr bytes.Buffer
	view := newLiveView(failingOutput{}, &stderr, false)
	for _, line := range dumpLines() {
		n, err := view.Write([]byte(line))
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}
	require.EqualError(t, view.close(), "write records: disk full")
}

// TestLiveViewNeverMakesTheProxyWait has an output that nobody reads.
func TestLiveViewNeverMakesTheProxyWait(t *testing.T) {
	reader, stuck := io.Pipe()
	defer reader.Close()
	v := newLiveView(stuck, stuck, false)
	line := []byte(dumpLines()[0])
	for range 2 * queueWrites {
		n, err := v.Write(line)
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}
	require.EqualError(t, v.close(), "nobody reads the output")
}
