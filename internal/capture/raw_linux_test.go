package capture

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// TestRawOnAFileSystemThatTakesLess holds that what a file system does not take is a fault of its connection, whenever
// its buffer is written, and ends no other.
func TestRawOnAFileSystemThatTakesLess(t *testing.T) {
	const most = 100_000
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() { signal.Reset(syscall.SIGXFSZ) })
	payload := strings.Repeat("0123456789", 1000)
	for _, row := range []struct {
		name    string
		records int // of 10,000 bytes each
		last    string
		want    []string
	}{
		{"just fits", 10, "", nil},
		{"exceeds it by 1 in the last buffer", 10, "x", []string{"record 11 is left out: bytes from 100000 on: file too large"}},
		{"ends beyond it", 12, "", []string{"record 12 is left out: bytes from 100000 on: file too large"}},
		{"continues beyond it", 14, "x", []string{
			"record 13 is left out: bytes from 100000 on: file too large", // the buffer with records 7 to 12 is full
			"record 14 is left out: bytes from 130000 on: file too large",
			"record 15 is left out: bytes from 140000 on: file too large",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := NewRawWriter(dir, false)
			require.NoError(t, err)
			r := newRecorder(connB)
			log := []string{r.open()}
			for range row.records {
				log = append(log, r.data(record.Downstream, payload))
			}
			if row.last != "" {
				log = append(log, r.data(record.Downstream, row.last))
			}
			log = append(log, conversation(connA)...)

			var before syscall.Rlimit
			require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: before.Max}))
			var faults failures
			_, err = Read(t.Context(), w, Options{LossTimeout: 1, Reporter: &faults}, recordLines(log))
			closeErr := w.Close()
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))

			require.NoError(t, err)
			require.NoError(t, closeErr)
			require.Equal(t, row.want, texts(faults))
			files := contents(t, dir)
			require.Equal(t, strings.Repeat(payload, most/len(payload)), files["9f0c6a1be3d2a417-2b.downstream"])
			require.Equal(t, "GET / HTTP/1.0\r\n\r\n", files["9f0c6a1be3d2a417-2a.downstream"])
			require.NoError(t, os.Remove(dir+"/9f0c6a1be3d2a417-2b.downstream"))
		})
	}
}
