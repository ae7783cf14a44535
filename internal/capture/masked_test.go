package capture

import (
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// TestMaskedEvents holds how the writers say that bytes are masked.
func TestMaskedEvents(t *testing.T) {
	r := newRecorder(connA)
	events := []string{r.masked(record.Downstream, "a*")}
	events = append(events, r.closeWith(
		record.Ledger{Seen: 3, Kept: 2, Masked: 1, Dropped: []record.Drop{{Reason: "budget", Bytes: 1}}}, record.Ledger{}))
	var text, lines []string
	for _, line := range events {
		read, _, err := record.Parse([]byte(line), nil)
		require.NoError(t, err)
		e := EventOf(&read)
		text = append(text, string(appendHeadline(nil, &e)))
		lines = append(lines, string(appendJSON(nil, &e)))
	}
	require.Contains(t, text[0], "downstream at 0, 2 bytes, masked 1")
	require.Contains(t, text[1], "downstream seen 3, kept 2, masked 1, budget 1; upstream seen 0, kept 0")
	require.Contains(t, lines[0], `"length":2,"masked":1,"data":"YSo="`)
	require.Contains(t, lines[1], `"downstream":{"seen":3,"kept":2,"masked":1,"dropped":{"budget":1}},"upstream":{"seen":0,"kept":0,"dropped":{}}`)
}
