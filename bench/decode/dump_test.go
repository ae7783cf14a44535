package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// TestDump holds that both inputs have the same payload, and that the log has whole records only.
func TestDump(t *testing.T) {
	var log, hex bytes.Buffer
	logBytes, payload, err := writeDump(&log, &hex, mebibyte)
	require.NoError(t, err)
	require.Equal(t, int64(log.Len()), logBytes)

	var fromLog, fromHex strings.Builder
	var bytesOfLog int64
	open := 0
	for line := range strings.Lines(log.String()) {
		require.LessOrEqual(t, len(line), 4096)
		r, n, err := record.Parse([]byte(line[len(logPrefix):]), nil)
		require.NoError(t, err)
		require.Equal(t, len(line), len(logPrefix)+n+1)
		switch r.Kind {
		case record.KindOpen:
			open++
		case record.KindClose:
			open--
		case record.KindData:
			bytesOfLog += int64(len(r.Payload))
			fromLog.WriteString(line[strings.Index(line, " data=")+len(" data=") : len(line)-len(" sum=01234567\n")])
		}
	}
	require.Zero(t, open)
	require.Equal(t, payload, bytesOfLog)
	for line := range strings.Lines(hex.String()) {
		if _, digits, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
			fromHex.WriteString(strings.ReplaceAll(digits, " ", ""))
		}
	}
	require.Equal(t, fromLog.String(), fromHex.String())
}
