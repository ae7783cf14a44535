package capture

import (
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
	h := &writing{writer: w}
	d := NewDecoder(h, Options{})
	require.NoError(t, d.Run(t.Context(), strings.NewReader(logOf(log)), "log"))
	require.NoError(t, d.Finish())
	require.LessOrEqual(t, w.order.Len(), maxOpen)
	require.Len(t, w.open, w.order.Len())
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
	h := &writing{writer: w}
	d := NewDecoder(h, Options{})
	log := append(conversation(connA), conversation(connB)[:2]...)
	require.NoError(t, d.Run(t.Context(), strings.NewReader(logOf(log)), "log"))
	require.Len(t, w.open, 1)
	require.NoError(t, w.Close())
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
	require.NoError(t, w.WriteRecord(&record.Record{
		Kind: record.KindData, Header: record.Header{Conn: connA}, Payload: []byte("short"),
	}))
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
	err = w.WriteRecord(&record.Record{Kind: record.KindData, Header: record.Header{Conn: connA}, Payload: []byte("x")})
	require.ErrorContains(t, err, "open a stream's file: ")
	require.NoFileExists(t, elsewhere)
}
