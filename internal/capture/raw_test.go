package capture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// decodeRaw writes the streams of a log to dir.
func decodeRaw(t *testing.T, dir string, maxOpen int, log []string) {
	t.Helper()
	w, err := NewRawWriter(dir, false)
	require.NoError(t, err)
	w.max = maxOpen
	_, err = Read(t.Context(), w, Options{}, recordLines(log))
	require.NoError(t, err)
	require.LessOrEqual(t, w.open.Len(), maxOpen)
	require.NoError(t, w.Close())
}

// contents returns the files of dir.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := map[string]string{}
	for _, entry := range entries {
		b, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		files[entry.Name()] = string(b)
	}
	return files
}

func TestRaw(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	r := newRecorder(connB)
	log := append(conversation(connA), r.open(), r.data(record.Downstream, "1234"))
	r.offsets[0] += 3
	log = append(log, r.data(record.Downstream, ""), r.data(record.Downstream, "89"))
	decodeRaw(t, dir, 256, log)
	require.Equal(t, map[string]string{
		"9f0c6a1be3d2a417-2a.downstream": "GET / HTTP/1.0\r\n\r\n",
		"9f0c6a1be3d2a417-2a.upstream":   "HTTP/1.0 200 OK\r\n\r\n\x00\x1b[31mred",
		"9f0c6a1be3d2a417-2b.downstream": "1234\x00\x00\x0089",
	}, contents(t, dir))

	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700)|os.ModeDir, info.Mode())
	info, err = os.Stat(filepath.Join(dir, "9f0c6a1be3d2a417-2a.upstream"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// TestRawWithMoreConnectionsThanFiles interleaves connections so that files are closed and opened again.
func TestRawWithMoreConnectionsThanFiles(t *testing.T) {
	const conns, rounds = 20, 10
	recorders := make([]*recorder, conns)
	var log []string
	want := map[string]string{}
	for i := range recorders {
		recorders[i] = newRecorder(record.ConnID{VM: 1, Number: uint64(i)})
		log = append(log, recorders[i].open())
	}
	for round := range rounds {
		for i, r := range recorders {
			d := record.Direction((i + round) % 2)
			payload := strings.Repeat(string(rune('a'+round)), i+1)
			log = append(log, r.data(d, payload))
			want[rawFile{r.header.Conn, d}.name()] += payload
		}
	}
	for _, maxOpen := range []int{1, 2, 39, 40, 256} {
		dir := t.TempDir()
		decodeRaw(t, dir, maxOpen, log)
		require.Equal(t, want, contents(t, dir))
	}
}

func TestRawClosesFilesWithTheirConnection(t *testing.T) {
	w, err := NewRawWriter(t.TempDir(), false)
	require.NoError(t, err)
	a := NewAssembler(w, Options{})
	require.NoError(t, recordLines(append(conversation(connA), conversation(connB)[:2]...)).Read(t.Context(), a))
	require.NoError(t, w.Flush())
	require.Equal(t, 1, w.open.Len())
	require.Zero(t, w.buffered)
	require.NoError(t, w.Close())
}

// TestRawLength holds that bytes beyond the longest file are left out, and nothing else with them.
func TestRawLength(t *testing.T) {
	const beyond = "record 2 is left out: bytes from %d on lie beyond 1099511627776, the longest file that is written"
	for _, row := range []struct {
		name    string
		offset  uint64
		skipped bool
	}{
		{"ends at the bound", MaxRawBytes - 3, false},
		{"exceeds it by 1", MaxRawBytes - 2, true},
		{"begins at it", MaxRawBytes, true},
		{"far beyond", 1 << 60, true},
		{"largest number", 1<<63 - 4, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := NewRawWriter(dir, false)
			require.NoError(t, err)
			r := newRecorder(connB)
			log := []string{r.open(), r.data(record.Downstream, "1234")}
			r.offsets[0] = row.offset
			log = append(log, r.data(record.Downstream, "abc"), r.data(record.Upstream, "5678"))
			log = append(log, conversation(connA)...)
			var faults failures
			stats, err := Read(t.Context(), w, Options{LossTimeout: 1, Reporter: &faults}, recordLines(log))
			require.NoError(t, err)
			require.NoError(t, w.Close())

			want := []string{fmt.Sprintf("bytes 4-%d of downstream are not recorded: dropped by the recorder", row.offset-1)}
			length := int64(row.offset + 3)
			if row.skipped {
				want, length = append(want, fmt.Sprintf(beyond, row.offset)), 4
			}
			require.Equal(t, want, texts(faults))
			require.Equal(t, uint64(len(want)), stats.Faults)
			info, err := os.Stat(filepath.Join(dir, "9f0c6a1be3d2a417-2b.downstream"))
			require.NoError(t, err)
			require.Equal(t, length, info.Size())
			require.NoError(t, os.Remove(filepath.Join(dir, "9f0c6a1be3d2a417-2b.downstream")), "too long to read")
			require.Equal(t, map[string]string{
				"9f0c6a1be3d2a417-2a.downstream": "GET / HTTP/1.0\r\n\r\n",
				"9f0c6a1be3d2a417-2a.upstream":   "HTTP/1.0 200 OK\r\n\r\n\x00\x1b[31mred",
				"9f0c6a1be3d2a417-2b.upstream":   "5678",
			}, contents(t, dir))
		})
	}
}

func TestRawDirectory(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("something that is longer than a stream"), 0o600))
	}
	write("notes.txt")
	write("9f0c6a1be3d2a417-2a.downstream")
	write("9f0c6a1be3d2a417-ff.upstream")
	write("9f0c6a1be3d2a417-ff.upstream.bak")
	before := contents(t, dir)

	_, err := NewRawWriter(dir, false)
	require.ErrorIs(t, err, ErrNotEmpty)
	require.EqualError(t, err, "prepare "+dir+": directory is not empty")
	require.Equal(t, before, contents(t, dir))

	w, err := NewRawWriter(dir, true)
	require.NoError(t, err)
	require.NoError(t, w.Begin(&Connection{ID: connA}).Event(&Event{Kind: KindData, Payload: []byte("short")}, Place{}))
	require.NoError(t, w.Close())
	require.Equal(t, map[string]string{
		"notes.txt":                        before["notes.txt"],
		"9f0c6a1be3d2a417-ff.upstream.bak": before["notes.txt"],
		"9f0c6a1be3d2a417-2a.downstream":   "short",
	}, contents(t, dir))

	file := filepath.Join(dir, "notes.txt")
	_, err = NewRawWriter(file, false)
	require.ErrorContains(t, err, "make the output directory: ")
}

// TestRawStaysInItsDirectory has a link under a stream's name that points elsewhere.
func TestRawStaysInItsDirectory(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	w, err := NewRawWriter(dir, false)
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, "9f0c6a1be3d2a417-2a.downstream")))
	require.NoError(t, w.Begin(&Connection{ID: connA}).Event(&Event{Kind: KindData, Payload: []byte("x")}, Place{}))
	require.ErrorContains(t, w.Flush(), "open a stream's file: ")
	require.NoFileExists(t, elsewhere)
}
