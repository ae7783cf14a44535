package inspect_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/internal/capture/envoytap"
	"l4dump/internal/capture/pcapng"
	"l4dump/internal/inspect"
)

// TestSources holds that the same is said of a recording in each of its forms.
func TestSources(t *testing.T) {
	log := mixed(100)
	logOf := func(text string) *dumplog.Source {
		return dumplog.NewSource(dumplog.Options{Forms: []dumplog.Form{
			{Name: "a packet capture", Magics: pcapng.Magics, Read: pcapng.Read},
			{Name: "an Envoy tap", Begins: envoytap.Begins, Read: envoytap.Read},
		}}, dumplog.Stream{Name: "input", Reader: strings.NewReader(text)})
	}
	read := func(text string) *inspect.Report {
		summary := inspect.NewSummary(inspect.Options{Top: 100})
		_, err := capture.Read(t.Context(), summary, capture.Options{Reporter: summary}, logOf(text))
		require.NoError(t, err)
		report := summary.Report(0)
		for i := range report.Faults {
			report.Faults[i].First = "" // its place differs
		}
		return report
	}
	want := read(log)
	require.Equal(t, uint64(100), want.Connections)
	for name, writer := range map[string]func(b *bytes.Buffer) capture.Writer{
		"pcapng": func(b *bytes.Buffer) capture.Writer { return pcapng.NewWriter(b, nil) },
		"tap":    func(b *bytes.Buffer) capture.Writer { return envoytap.NewWriter(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := writer(&b)
			_, err := capture.Read(t.Context(), w, capture.Options{}, logOf(log))
			require.NoError(t, err)
			require.NoError(t, w.Close())
			require.Equal(t, want, read(b.String()))
		})
	}
}
