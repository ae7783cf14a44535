package sidecar

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// faultyFolder is a folder on a disk that can be full.
type faultyFolder struct {
	dumpFolder

	mu        sync.Mutex
	room      int   // bytes that can still be written; ENOSPC after them
	truncates error // of Truncate
}

func (f *faultyFolder) set(room int, truncates error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room, f.truncates = room, truncates
}

func (f *faultyFolder) Open(name string) (appendFile, error) {
	file, err := f.dumpFolder.Open(name)
	return faultyFile{file, f}, err
}

type faultyFile struct {
	appendFile
	folder *faultyFolder
}

func (f faultyFile) Write(p []byte) (int, error) {
	f.folder.mu.Lock()
	defer f.folder.mu.Unlock()
	n := min(len(p), f.folder.room)
	f.folder.room -= n
	written, err := f.appendFile.Write(p[:n])
	if err == nil && n < len(p) {
		err = &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return written, err
}

func (f faultyFile) Truncate(size int64) error {
	f.folder.mu.Lock()
	defer f.folder.mu.Unlock()
	if f.folder.truncates != nil {
		return f.folder.truncates
	}
	return f.appendFile.Truncate(size)
}

func newFiles(t *testing.T, dir string, r Rotation, now func() time.Time) *dumpFiles {
	t.Helper()
	folder, closeFolder, err := openRootFolder(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, closeFolder()) })
	return &dumpFiles{rotation: r, now: now, folder: folder, changed: func(error) {}, born: make(map[string]time.Time)}
}

// contents returns the files of a folder by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := make(map[string]string)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		files[e.Name()] = string(text)
	}
	return files
}

func TestRotationBySize(t *testing.T) {
	dir, now := t.TempDir(), &clock{now: epoch}
	files := newFiles(t, dir, Rotation{MaxFileBytes: 10, MaxAge: time.Hour, MaxTotalBytes: 1000}, now.Now)
	require.NoError(t, files.append(portraitFile, []byte("aaaa"))) // 5
	require.NoError(t, files.append(portraitFile, []byte("bbbb"))) // 10: just fits
	require.Equal(t, map[string]string{portraitFile: "aaaa\nbbbb\n"}, contents(t, dir))
	require.NoError(t, files.append(portraitFile, []byte("c")))
	require.NoError(t, files.append(portraitFile, []byte("dddddddd"))) // 11: one over
	require.NoError(t, files.append(memDumpFile, []byte("e")))
	require.Equal(t, map[string]string{
		"dump_portrait_data-20260301T120000.000000000Z.log": "aaaa\nbbbb\n",
		"dump_portrait_data-20260301T120000.000000001Z.log": "c\n",
		portraitFile: "dddddddd\n",
		memDumpFile:  "e\n",
	}, contents(t, dir))
	total, err := files.health()
	require.NoError(t, err)
	require.Equal(t, int64(10+2+9+2), total)

	require.ErrorIs(t, files.append(portraitFile, []byte("0123456789")), errLineTooLong)
	require.NoError(t, files.append(portraitFile, []byte("012345678")), "the longest")
}

// The length that counts is that of the line which is written, not of the one that would be if the file were kept.
func TestRotationAsksForTheLine(t *testing.T) {
	dir, now := t.TempDir(), &clock{now: epoch}
	files := newFiles(t, dir, Rotation{MaxFileBytes: 10, MaxAge: time.Hour, MaxTotalBytes: 1000}, now.Now)
	whole := "0123456789" // and its end: one byte too long
	line := func(first bool) [][]byte {
		if first {
			return [][]byte{[]byte(whole)}
		}
		return [][]byte{[]byte("b")}
	}
	require.NoError(t, files.append(memDumpFile, []byte("aaaaaaaa")))
	require.ErrorIs(t, files.appendLine(memDumpFile, line), errLineTooLong)
	require.Equal(t, map[string]string{memDumpFile: "aaaaaaaa\n"}, contents(t, dir))
	whole = whole[:9]
	require.NoError(t, files.appendLine(memDumpFile, line))
	require.Equal(t, whole+"\n", contents(t, dir)[memDumpFile])
	require.Len(t, contents(t, dir), 2)
}

func TestRotationByAge(t *testing.T) {
	dir, now := t.TempDir(), &clock{now: epoch}
	rotation := Rotation{MaxFileBytes: 1000, MaxAge: time.Hour, MaxTotalBytes: 10000}
	files := newFiles(t, dir, rotation, now.Now)
	require.NoError(t, files.append(portraitFile, []byte("a")))
	now.set(epoch.Add(time.Hour - 1))
	require.NoError(t, files.append(portraitFile, []byte("b")))
	require.Len(t, contents(t, dir), 1)
	now.set(epoch.Add(time.Hour))
	require.NoError(t, files.append(portraitFile, []byte("c")))
	require.Equal(t, map[string]string{
		"dump_portrait_data-20260301T130000.000000000Z.log": "a\nb\n",
		portraitFile: "c\n",
	}, contents(t, dir))

	// A file of a former process is as old as its last line.
	require.NoError(t, os.Chtimes(filepath.Join(dir, portraitFile), epoch, epoch))
	again := newFiles(t, dir, rotation, now.Now)
	require.NoError(t, again.append(portraitFile, []byte("d")))
	require.Equal(t, "d\n", contents(t, dir)[portraitFile])
}

func TestTotalCap(t *testing.T) {
	dir, now := t.TempDir(), &clock{now: epoch}
	const limit = 40
	files := newFiles(t, dir, Rotation{MaxFileBytes: 10, MaxAge: time.Hour, MaxTotalBytes: limit}, now.Now)
	foreign := "dump_portrait_data-mine.log"
	require.NoError(t, os.WriteFile(filepath.Join(dir, foreign), make([]byte, 100), 0o600))
	for i := range 30 {
		now.set(epoch.Add(time.Duration(i) * time.Second))
		name := []string{portraitFile, memDumpFile, staticFile}[i%3]
		require.NoError(t, files.append(name, fmt.Appendf(nil, "line %03d", i)))
		got := contents(t, dir)
		delete(got, foreign)
		total := 0
		for _, text := range got {
			total += len(text)
		}
		require.LessOrEqual(t, total, limit)
		require.Equal(t, fmt.Sprintf("line %03d\n", i), got[name])
	}
	// The newest four lines are there; what is not ours is, too.
	got := contents(t, dir)
	require.Contains(t, got, foreign)
	delete(got, foreign)
	require.ElementsMatch(t, []string{"line 026\n", "line 027\n", "line 028\n", "line 029\n"}, slices.Collect(maps.Values(got)))
}

func TestDumpFileModes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, portraitFile)
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	require.NoError(t, os.Chmod(path, 0o644))
	files := newFiles(t, dir, Rotation{MaxFileBytes: 100, MaxAge: time.Hour, MaxTotalBytes: 1000}, time.Now)
	require.NoError(t, files.append(portraitFile, []byte("a")))
	require.NoError(t, files.append(memDumpFile, []byte("a")))
	for _, name := range []string{portraitFile, memDumpFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode(), name)
	}
}

func TestDumpFileThatIsALink(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("x"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, portraitFile)))
	files := newFiles(t, dir, Rotation{MaxFileBytes: 100, MaxAge: time.Hour, MaxTotalBytes: 1000}, time.Now)
	require.Error(t, files.append(portraitFile, []byte("a")))
	text, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "x", string(text))
}

func TestDumpFileThatSomebodyRemoved(t *testing.T) {
	dir := t.TempDir()
	files := newFiles(t, dir, Rotation{MaxFileBytes: 100, MaxAge: time.Hour, MaxTotalBytes: 1000}, time.Now)
	require.NoError(t, files.append(portraitFile, []byte("a")))
	require.NoError(t, os.Remove(filepath.Join(dir, portraitFile)))
	require.NoError(t, files.append(portraitFile, []byte("b")))
	require.Equal(t, map[string]string{portraitFile: "b\n"}, contents(t, dir))
}

func TestHalfALine(t *testing.T) {
	dir := t.TempDir()
	files := newFiles(t, dir, Rotation{MaxFileBytes: 1000, MaxAge: time.Hour, MaxTotalBytes: 10000}, time.Now)
	folder := &faultyFolder{dumpFolder: files.folder, room: 8}
	files.folder = folder
	require.NoError(t, files.append(portraitFile, []byte("whole"))) // leaves room for 2 bytes
	require.ErrorIs(t, files.append(portraitFile, []byte("half")), syscall.ENOSPC)
	require.Equal(t, map[string]string{portraitFile: "whole\n"}, contents(t, dir), "it is taken back")

	// Where even that fails, the next line is one of its own all the same.
	folder.set(2, errors.New("truncate fails"))
	require.ErrorContains(t, files.append(portraitFile, []byte("half")), "truncate fails")
	folder.set(100, nil)
	require.NoError(t, files.append(portraitFile, []byte("next")))
	require.Equal(t, map[string]string{portraitFile: "whole\nha\nnext\n"}, contents(t, dir))
}

// A full disk is reported, and stops nothing else.
func TestFullDisk(t *testing.T) {
	folder := &faultyFolder{}
	c := start(t, func(o *Options) {
		o.openFolder = func(dir string) (dumpFolder, func() error, error) {
			inner, closeFolder, err := openRootFolder(dir)
			folder.dumpFolder = inner
			return folder, closeFolder, err
		}
	})
	checkFullDisk(t, c, func() { folder.set(1<<20, nil) })
}

// checkFullDisk is what a sidecar does whose disk is full, until free is called.
func checkFullDisk(t *testing.T, c *sidecar, free func()) {
	t.Helper()
	c.setGlobal(on)
	post := func() reply { return c.do(http.MethodPost, portraitPath+"RPC?port=1", `{}`) }
	for range 3 {
		r := post()
		require.Equal(t, ReasonNotWritten, problem(t, http.StatusInsufficientStorage, r))
		require.NotContains(t, r.body, c.dir, "paths are not the client's business")
	}
	ready := into[Ready](t, http.StatusOK, c.do(http.MethodGet, readyPath, ""))
	require.Equal(t, "degraded", ready.Status)
	require.Contains(t, strings.Join(ready.Details, "\n"), "no space left on device")
	require.Contains(t, c.do(http.MethodGet, metricsPath, "").body, "\nl4dump_sidecar_dump_write_failing 1\n")
	status := into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, ""))
	require.Contains(t, status.Files.Error, "no space left on device")
	require.Equal(t, 1, strings.Count(c.log.String(), "cannot write dump files"), "once, not each time")
	require.True(t, c.state().Recording, "the plugin is told as before")
	c.setGlobal(`{"switch":"FORCE_OFF"}`)
	require.Equal(t, "forced_off", c.state().Reason)
	c.setGlobal(on)

	free()
	require.Equal(t, http.StatusCreated, post().status, "what was not written does not count")
	require.Equal(t, "["+epochWindow+"][RPC][1]{}\n", c.read(portraitFile))
	require.Contains(t, c.log.String(), "dump files are written again")
	require.Contains(t, c.do(http.MethodGet, metricsPath, "").body, "\nl4dump_sidecar_dump_write_failing 0\n")
}
