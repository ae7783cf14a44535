package inspect_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/inspect"
)

// FuzzReport holds that whatever stands in a log, it ends in a report in each form.
func FuzzReport(f *testing.F) {
	f.Add([]byte(mixed(12)))
	f.Add([]byte(whole().text() + gapped("cpu", 6).text() + contradicting().text()))
	f.Add([]byte(hostileLog()))
	f.Fuzz(func(t *testing.T, log []byte) {
		report := reportOf(t, string(log), inspect.Options{Top: 3}, capture.Filter{})
		var text bytes.Buffer
		require.NoError(t, report.WriteText(&text, inspect.Text{Width: 80, Top: 3}))
		text.Reset()
		require.NoError(t, report.WriteJSON(&text))
		require.True(t, json.Valid(text.Bytes()))
		whole := uint64(0)
		for _, state := range report.States {
			whole += state.Connections
		}
		require.Equal(t, report.Connections, whole)
		require.Contains(t, pageOf(t, string(log), "fuzz"), `id="data">{`)
	})
}
