package sidecar

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestStrategyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "global.json")
	c := start(t, func(o *Options) { o.StrategyFile = file })
	write := func(text string) { require.NoError(t, writeFileAtomically(file, []byte(text))) }
	revision := int64(0)
	next := func(by string, want strategy.Switch) {
		t.Helper()
		revision++
		eventually(t, func() bool { return c.state().Revision == revision })
		g := into[Global](t, http.StatusOK, c.do(http.MethodGet, globalPath, ""))
		require.Equal(t, by, g.By)
		got := strategy.Switch("")
		if g.Strategy != nil {
			got = g.Strategy.Switch
		}
		require.Equal(t, want, got)
	}
	status := func() StrategyFileStatus {
		return *into[Status](t, http.StatusOK, c.do(http.MethodGet, statusPath, "")).StrategyFile
	}
	require.Equal(t, StrategyFileStatus{Path: file}, status())

	write(on)
	next("file:"+file, strategy.SwitchOn)
	require.Equal(t, StrategyFileStatus{Path: file, Present: true, Valid: true}, status())

	c.setGlobal(`{"switch":"FORCE_OFF"}`)
	next("api", strategy.SwitchForceOff)

	write(`{"switch":"OFF"}`)
	next("file:"+file, strategy.SwitchOff)

	// An invalid one is logged with every fault, and changes nothing.
	write(`{"switch":"OFF","interval":1,"duration":0}`)
	eventually(t, func() bool { return !status().Valid })
	require.Len(t, status().Faults, 2)
	require.Contains(t, c.log.String(), "refuse strategy file")
	require.Contains(t, c.log.String(), "interval: want")
	require.Contains(t, c.log.String(), "duration: want")
	require.Equal(t, revision, c.state().Revision)
	require.Equal(t, []string{"strategy file: it is not valid"},
		into[Ready](t, http.StatusOK, c.do(http.MethodGet, readyPath, "")).Details)

	write(on)
	next("file:"+file, strategy.SwitchOn)

	// Removing it removes its strategy.
	require.NoError(t, os.Remove(file))
	next("file:"+file, "")

	// But not that of somebody else.
	write(on)
	next("file:"+file, strategy.SwitchOn)
	c.setGlobal(`{"switch":"FORCE_OFF"}`)
	next("api", strategy.SwitchForceOff)
	require.NoError(t, os.Remove(file))
	eventually(t, func() bool { return !status().Present })
	require.Equal(t, revision, c.state().Revision)

	// The same content after it was gone is a new write.
	write(on)
	next("file:"+file, strategy.SwitchOn)
	require.Equal(t, 1, strings.Count(c.log.String(), "refuse strategy file"))
}

// A ConfigMap's files are links to links: an update replaces a link to a folder.
func TestStrategyFileInConfigMap(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "global.json"), []byte(text), 0o600))
		require.NoError(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..1", on)
	require.NoError(t, os.Symlink(filepath.Join("..data", "global.json"), filepath.Join(dir, "global.json")))
	c := start(t, func(o *Options) {
		o.StrategyFile = filepath.Join(dir, "global.json")
		o.limits.filePoll = time.Hour // only the file system's word counts
	})
	require.Equal(t, int64(1), c.state().Revision, "read before it answers")
	// A change between the first reading and the start of the watch is read by the one that follows it.
	version("..2", `{"switch":"FORCE_OFF"}`)
	eventually(t, func() bool { return c.state().Reason == "forced_off" })
}

// Without word from the file system, as on some network mounts, the file is read now and then.
func TestStrategyFileIsPolled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mounted later")
	c := start(t, func(o *Options) { o.StrategyFile = filepath.Join(dir, "global.json") })
	eventually(t, func() bool { return strings.Contains(c.log.String(), "it is polled") })
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "global.json"), []byte(on), 0o600))
	eventually(t, func() bool { return c.state().Revision == 1 })
}

func TestStrategyFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "global.json")
	require.NoError(t, os.Mkdir(file, 0o700))
	c := start(t, func(o *Options) { o.StrategyFile = file })
	status := c.server.file.get()
	require.True(t, status.Present)
	require.False(t, status.Valid)
	require.Contains(t, status.Faults[0].Message, "want a regular file")
	require.Contains(t, c.log.String(), "read strategy file")
	require.Zero(t, c.state().Revision)
}

func TestStrategyFileLimit(t *testing.T) {
	for _, tc := range []struct {
		name  string
		extra int
		valid bool
	}{{"longest", 0, true}, {"longer by 1", 1, false}} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "global.json")
			text := on + strings.Repeat(" ", strategy.MaxConfigBytes-len(on)+tc.extra)
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			c := start(t, func(o *Options) { o.StrategyFile = file })
			require.Equal(t, tc.valid, c.server.file.get().Valid)
		})
	}
}

func TestRestartWithStrategyFile(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "global.json")
	restart := func() *sidecar {
		return start(t, func(o *Options) { o.Dir, o.StrategyFile = dir, file })
	}
	require.NoError(t, os.WriteFile(file, []byte(on), 0o600))
	c := restart()
	require.Equal(t, int64(1), c.state().Revision)
	c.setGlobal(`{"switch":"FORCE_OFF"}`)
	require.NoError(t, c.server.Close())

	c = restart() // the file has not changed: it does not undo what came later
	require.Equal(t, int64(2), c.state().Revision)
	require.Equal(t, "forced_off", c.state().Reason)
	require.NoError(t, c.server.Close())

	require.NoError(t, os.WriteFile(file, []byte(`{"switch":"ON","interval":60}`), 0o600))
	c = restart() // it has changed meanwhile
	require.Equal(t, int64(3), c.state().Revision)
	require.NoError(t, c.server.Close())

	require.NoError(t, os.Remove(file))
	c = restart() // it was removed meanwhile
	require.Equal(t, int64(4), c.state().Revision)
	require.Nil(t, c.state().Global)
}
