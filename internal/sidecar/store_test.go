package sidecar

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

func TestGlobalStrategy(t *testing.T) {
	c := start(t, nil)
	get := func() Global { return into[Global](t, http.StatusOK, c.do(http.MethodGet, globalPath, "")) }
	require.Equal(t, Global{Persisted: true}, get())

	forced := Global{
		Strategy: &Strategy{Switch: strategy.SwitchForceOff, Interval: 30, Duration: 1, CPUMaxRate: 80, MemMaxRate: 70},
		Revision: 1, By: "api", At: epoch, Persisted: true,
	}
	require.Equal(t, forced, c.setGlobal(`{"switch":"FORCE_OFF"}`))
	require.Equal(t, forced, get())

	c.clock.set(epoch.Add(time.Minute))
	removed := Global{Revision: 2, By: "api", At: epoch.Add(time.Minute), Persisted: true}
	require.Equal(t, removed, into[Global](t, http.StatusOK, c.do(http.MethodDelete, globalPath, "")))
	require.Equal(t, removed, get())
}

func TestGlobalStrategyIsRefusedWithEveryFault(t *testing.T) {
	c := start(t, nil)
	c.setGlobal(on)
	before := c.read("strategy.json")
	r := c.do(http.MethodPut, globalPath, `{"switch":"MAYBE","interval":29,"cpu_max_rate":100,"speed":1,"duration":"1"}`)
	p := into[Problem](t, http.StatusBadRequest, r)
	var paths []string
	for _, f := range p.Faults {
		paths = append(paths, f.Path)
	}
	require.ElementsMatch(t, []string{"switch", "interval", "cpu_max_rate", `"speed"`, "duration"}, paths)
	require.Equal(t, ReasonInvalid, p.Reason)
	require.Equal(t, before, c.read("strategy.json"))
	require.Equal(t, int64(1), c.state().Revision)

	for _, body := range []string{"", "[]", "{", `{"switch":"ON"} {}`} {
		require.Equal(t, ReasonInvalid, problem(t, http.StatusBadRequest, c.do(http.MethodPut, globalPath, body)), body)
	}
}

func TestGlobalStrategyBodyLimit(t *testing.T) {
	c := start(t, nil)
	most := on + strings.Repeat(" ", strategy.MaxConfigBytes-len(on))
	require.Equal(t, http.StatusOK, c.do(http.MethodPut, globalPath, most).status)
	require.Equal(t, ReasonTooLarge,
		problem(t, http.StatusRequestEntityTooLarge, c.do(http.MethodPut, globalPath, most+" ")))
}

func TestRestartKeepsTheStrategy(t *testing.T) {
	dir := t.TempDir()
	first := start(t, func(o *Options) { o.Dir = dir })
	want := first.setGlobal(`{"switch":"FORCE_OFF"}`)
	require.NoError(t, first.server.Close())

	info, err := os.Stat(filepath.Join(dir, "strategy.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	second := start(t, func(o *Options) { o.Dir = dir })
	require.Equal(t, want, into[Global](t, http.StatusOK, second.do(http.MethodGet, globalPath, "")))
	require.Equal(t, "forced_off", second.state().Reason)
	require.Equal(t, http.StatusOK, second.do(http.MethodDelete, globalPath, "").status)
	require.NoError(t, second.server.Close())

	third := start(t, func(o *Options) { o.Dir = dir })
	require.Equal(t, int64(2), third.state().Revision)
	require.Equal(t, "switch_off", third.state().Reason)
}

func TestDamagedStateStopsTheStart(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "EOF"},
		{"torn", `{"version":1,"revision":1,"str`, "unexpected EOF"},
		{"no JSON", "\x00\x00", "invalid character"},
		{"other version", `{"version":2,"revision":1}`, "version: want 1, got 2"},
		{"unknown key", `{"version":1,"color":"red"}`, "unknown field"},
		{"two values", `{"version":1} {}`, "nothing after it"},
		{"negative revision", `{"version":1,"revision":-1}`, "revision: want 0 or more"},
		{"strategy out of bounds", `{"version":1,"revision":1,"strategy":{"interval":1}}`, "interval: want"},
		{"too long", `{"version":1}` + strings.Repeat(" ", maxStoreBytes), "at most"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "strategy.json")
			require.NoError(t, os.WriteFile(path, []byte(tc.text), 0o600))
			_, err := Start(t.Context(), Options{
				Dir: filepath.Dir(path), Listen: []Endpoint{{Network: "unix", Address: socketPath(t)}},
			})
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, tc.want)
			left, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, tc.text, string(left))
		})
	}
}

func TestAtomicWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	require.NoError(t, writeFileAtomically(path, []byte("old")))
	require.NoError(t, writeFileAtomically(path, []byte("new")))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new", string(text))

	// A folder in the file's place cannot be replaced.
	blocked := filepath.Join(dir, "d")
	require.NoError(t, os.MkdirAll(filepath.Join(blocked, "x"), 0o700))
	require.Error(t, writeFileAtomically(blocked, []byte("new")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "no temporary file is left")
}

// FORCE_OFF works on a full disk, and is written when there is room again.
func TestStrategyThatCannotBeWritten(t *testing.T) {
	full := errors.New("no space left on device")
	var mu sync.Mutex
	failing := full
	c := start(t, func(o *Options) {
		o.writeState = func(path string, data []byte) error {
			mu.Lock()
			defer mu.Unlock()
			if failing != nil {
				return failing
			}
			return writeFileAtomically(path, data)
		}
	})
	set := c.setGlobal(`{"switch":"FORCE_OFF"}`)
	require.False(t, set.Persisted)
	require.Equal(t, "forced_off", c.state().Reason)
	require.Equal(t, Ready{
		Status: "degraded", Details: []string{"strategy: it is in force, but is not written to the state file"},
	}, into[Ready](t, http.StatusOK, c.do(http.MethodGet, readyPath, "")))
	require.Contains(t, c.do(http.MethodGet, metricsPath, "").body, "\nl4dump_sidecar_strategy_unwritten 1\n")
	require.Empty(t, c.read("strategy.json"))

	mu.Lock()
	failing = nil
	mu.Unlock()
	eventually(t, func() bool { return strings.Contains(c.read("strategy.json"), "FORCE_OFF") })
	eventually(t, func() bool { return strings.Contains(c.log.String(), "the global strategy is written") })
	set.Persisted = true
	require.Equal(t, set, into[Global](t, http.StatusOK, c.do(http.MethodGet, globalPath, "")))
	require.Equal(t, 1, strings.Count(c.log.String(), "cannot write the global strategy"), "once, not each time")
}

// Whoever reads, at any moment, finds one of the writes, and all of it.
func TestConcurrentWriters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "global.json")
	c := start(t, func(o *Options) { o.StrategyFile = file })
	text := func(n int) string {
		return fmt.Sprintf(`{"switch":"ON","interval":%d,"duration":%d,"cpu_max_rate":%d}`, 1000+n, n, n)
	}
	whole := func(s *Strategy) bool {
		return s == nil || (s.Interval == 1000+s.Duration && s.CPUMaxRate == float64(s.Duration) && s.MemMaxRate == 70)
	}
	const writes = 20
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := range writes {
				c.setGlobal(text(1 + w*writes + i))
			}
		})
	}
	writers.Go(func() {
		for range writes {
			c.do(http.MethodDelete, globalPath, "")
		}
	})
	writers.Go(func() {
		for i := range writes {
			if err := writeFileAtomically(file, []byte(text(61+i))); err != nil {
				t.Errorf("write file: %v", err)
			}
		}
	})
	stop, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		for {
			select {
			case <-stop:
				return
			default:
			}
			g := into[Global](t, http.StatusOK, c.do(http.MethodGet, globalPath, ""))
			if !whole(g.Strategy) {
				t.Errorf("torn: %+v", g)
			}
			if text := c.read("strategy.json"); text != "" {
				if r, err := parseRecord([]byte(text)); err != nil || !whole(r.Strategy) {
					t.Errorf("torn on disk: %s", text)
				}
			}
		}
	}()
	writers.Wait()
	// The last content of the file is taken over, and is the last write that there is.
	eventually(t, func() bool { return c.server.file.get().Valid })
	eventually(t, func() bool { r, _ := c.server.store.get(); return r.FileDigest == digestOf(text(60+writes)) })
	close(stop)
	<-read

	g := into[Global](t, http.StatusOK, c.do(http.MethodGet, globalPath, ""))
	require.GreaterOrEqual(t, g.Revision, int64(4*writes+1))
	require.LessOrEqual(t, g.Revision, int64(5*writes))
	last := c.setGlobal(`{"switch":"OFF"}`)
	require.Equal(t, g.Revision+1, last.Revision)
	require.Equal(t, "api", last.By)
}
