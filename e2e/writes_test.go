package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWrites has several lines in one write to the log, in both formats: only the first has the proxy's prefix, and every
// reader reads all.
func TestWrites(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		formats := []string{"l4dump", "layotto"}
		listeners := plugins{}
		for _, format := range formats {
			listeners[format] = pluginConfig(openStrategy(t), everything, `{"format": "`+format+`", "write_bytes": 65536}`)
		}
		o := options{}
		if s.name != engine {
			o.log = filepath.Join(t.TempDir(), "envoy.log")
			o.args = []string{"--log-path", o.log}
		}
		p := startWith(t, s, newConfig(t, startService(t, echo).address(), listeners), o)
		payload := randomBytes(1, 1<<20)
		for i, format := range formats {
			client := dial(t, p.address(format))
			client.exchange(payload)
			client.finish()
			p.waitForMetric("l4dump_bytes_kept_total", uint64(2*(i+1)*len(payload)))
		}
		d := p.waitForCloses(1)
		p.stop()
		requireBareLines(t, p.log)
		want := talk{sent: digestOf(payload), received: digestOf(payload)}
		talks := map[string]talk{}
		for id, recorded := range d.conns {
			requireWhole(t, recorded, want)
			talks[id.String()] = want
		}
		require.Len(t, talks, 1)
		requireDecoded(t, p.log, talks)

		decoded := 0
		for _, match := range layottoSize.FindAllStringSubmatch(decode(t, p.log), -1) {
			size, err := strconv.Atoi(match[1])
			require.NoError(t, err)
			decoded += size
		}
		require.Equal(t, 2*len(payload), decoded)
	})
}

// layottoSize is how decode begins what it says of a piece of a stream.
var layottoSize = regexp.MustCompile(`(?m)^layotto window \S+ port \d+, (\d+) bytes$`)

// bareLine is a line that begins with the window and the port.
var bareLine = regexp.MustCompile(`^\[[0-9a-f-]{36}\]\[\d+\]`)

// requireBareLines requires that most lines of a log have no prefix, and that none is longer than a line may be.
func requireBareLines(t *testing.T, log string) {
	t.Helper()
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	bare, all := 0, 0
	for line := range bytes.Lines(text) {
		require.LessOrEqual(t, len(line), 4096+1)
		all++
		if bareLine.Match(line) {
			bare++
		}
	}
	require.Greater(t, bare, all/2)
}
