package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// TestRecording holds that a log has whole records only, in order, with all that was sent.
func TestRecording(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), mostPayload/10+1)
	path, err := writeLog(filepath.Join(t.TempDir(), "log"), func(r *recording) {
		for range 2 {
			c := r.open()
			c.exchange([]byte("GET /a"), []byte("alpha"))
			c.wait(recordedWait)
			c.exchange([]byte("GET /b"), long)
			c.close()
		}
	})
	require.NoError(t, err)
	log, err := os.ReadFile(path)
	require.NoError(t, err)

	var sent [3][2]string
	var before record.Header
	for line := range strings.Lines(string(log)) {
		require.LessOrEqual(t, len(line), 4096)
		r, n, err := record.Parse([]byte(line[len(logPrefix):]), nil)
		require.NoError(t, err)
		require.Equal(t, len(line), len(logPrefix)+n+1)
		if r.Kind == record.KindOpen {
			require.Zero(t, r.Seq)
		} else {
			require.Equal(t, before.Seq+1, r.Seq)
			require.Greater(t, r.Time, before.Time)
		}
		if r.Kind == record.KindData {
			of := &sent[r.Conn.Number][r.Direction]
			require.Equal(t, uint64(len(*of)), r.Offset)
			*of += string(r.Payload)
		}
		before = r.Header
	}
	want := [2]string{"GET /aGET /b", "alpha" + string(long)}
	require.Equal(t, [3][2]string{{}, want, want}, sent)
}
