package sidecar

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// stallingFolder is a folder on a disk whose writes wait until it is released.
type stallingFolder struct {
	dumpFolder
	released chan struct{}
}

func (f stallingFolder) Open(name string) (appendFile, error) {
	<-f.released
	return f.dumpFolder.Open(name)
}

// stallDisk makes all that is written wait until release is called.
func stallDisk(o *Options) (release func()) {
	released := make(chan struct{})
	o.writeState = func(path string, data []byte) error {
		<-released
		return writeFileAtomically(path, data)
	}
	o.openFolder = func(dir string) (dumpFolder, func() error, error) {
		folder, closeFolder, err := openRootFolder(dir)
		return stallingFolder{folder, released}, closeFolder, err
	}
	return func() { close(released) }
}

// requireAnswersAtOnce holds that no time passes for polls, probes, metrics and what a person asks, whatever the disk does.
func requireAnswersAtOnce(t *testing.T, c *sidecar, reason string) {
	t.Helper()
	start := time.Now()
	require.Equal(t, reason, c.state().Reason)
	for _, path := range []string{healthPath, readyPath, metricsPath, statusPath, windowPath, globalPath} {
		require.Equal(t, http.StatusOK, c.do(http.MethodGet, path, "").status, path)
	}
	require.Equal(t, start, time.Now())
}

func TestStalledDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var release func()
		c, _ := startPiped(t, func(o *Options) { release = stallDisk(o) })
		c.meter.set(10, 20, time.Now())

		start := time.Now()
		set := c.setGlobal(on)
		require.False(t, set.Persisted)
		require.Equal(t, c.server.options.limits.persist, time.Since(start), "it waits for the disk, but not for long")
		c.meter.set(10, 20, time.Now())
		requireAnswersAtOnce(t, c, "recorded")
		require.Contains(t, c.log.String(), "the disk has not answered for 1s")

		// A portrait waits for the disk, in a place of its own; a second one is refused.
		posted := make(chan int)
		go func() { posted <- c.do(http.MethodPost, portraitPath+"RPC?port=1", "{}").status }()
		synctest.Wait()
		requireAnswersAtOnce(t, c, "recorded")
		require.Equal(t, ReasonBusy,
			problem(t, http.StatusServiceUnavailable, c.do(http.MethodPost, portraitPath+"RPC?port=1", "{}")))

		// FORCE_OFF is in force while its request waits, also after more requests than may send a strategy at a time.
		for range 2 * c.server.options.limits.strategies {
			go c.do(http.MethodPut, globalPath, on)
		}
		synctest.Wait()
		go c.do(http.MethodPut, globalPath, `{"switch":"FORCE_OFF"}`)
		synctest.Wait()
		requireAnswersAtOnce(t, c, "forced_off")
		time.Sleep(time.Second)
		synctest.Wait()

		release()
		require.Equal(t, http.StatusCreated, <-posted)
		synctest.Wait()
		global, persisted := c.server.store.get()
		require.True(t, persisted)
		onDisk, err := parseRecord([]byte(c.read("strategy.json")))
		require.NoError(t, err)
		require.Equal(t, global.Revision, onDisk.Revision)
		require.Contains(t, c.log.String(), "the global strategy is written")
	})
}

// A disk that never answers does not keep the sidecar from ending.
func TestStalledDiskAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var release func()
		o := Options{Dir: t.TempDir(), Listen: []Endpoint{{Network: "unix", Address: "/s"}}}
		o.listen = func(_ context.Context, e Endpoint) (net.Listener, Endpoint, error) { return newPipeListener(), e, nil }
		release = stallDisk(&o)
		server, err := Start(context.Background(), o)
		require.NoError(t, err)
		server.store.set(nil, writtenByAPI)
		synctest.Wait()
		start := time.Now()
		require.EqualError(t, server.Close(), "stop: a write to the disk does not end")
		require.Equal(t, server.options.limits.shutdown, time.Since(start))
		release()
		synctest.Wait() // what is written now is there before the folder is removed
	})
}
