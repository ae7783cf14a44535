package usage

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// fixtureUID is the pod in the fixtures.
const fixtureUID = "0b9f1c52-8f3e-4d0a-9c61-5a7e2d4b8f10"

// fixtureStart is when a fixture's first sample is taken.
var fixtureStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fixture is a root with proc and cgroup below it, made of testdata/fixtures/node.txtar and another archive, and a
// clock.
type fixture struct {
	t     testing.TB
	root  string
	now   time.Time
	later map[string]string // what the second sample finds, by path
}

func newFixture(t testing.TB, name string) *fixture {
	t.Helper()
	f := &fixture{t: t, root: t.TempDir(), now: fixtureStart, later: map[string]string{}}
	require.NoError(t, os.MkdirAll(filepath.Join(f.root, "cgroup"), 0o755))
	for _, archive := range []string{"node", name} {
		a, err := txtar.ParseFile(filepath.Join("testdata", "fixtures", archive+".txtar"))
		require.NoError(t, err)
		for _, file := range a.Files {
			if later, ok := strings.CutPrefix(file.Name, "later/"); ok {
				f.later[later] = string(file.Data)
				continue
			}
			f.write(file.Name, string(file.Data))
		}
	}
	if f.has("cgroup/cpu,cpuacct") {
		require.NoError(t, os.Symlink("cpu,cpuacct", f.path("cgroup/cpu")))
		require.NoError(t, os.Symlink("cpu,cpuacct", f.path("cgroup/cpuacct")))
	}
	return f
}

func (f *fixture) path(name string) string { return filepath.Join(f.root, filepath.FromSlash(name)) }

func (f *fixture) has(name string) bool {
	_, err := os.Stat(f.path(name))
	return err == nil
}

// write replaces a file. Mounts in mountinfo are those of the fixture.
func (f *fixture) write(name, text string) {
	f.t.Helper()
	if name == "proc/self/mountinfo" {
		text = strings.ReplaceAll(text, "/sys/fs/cgroup", f.path("cgroup"))
	}
	require.NoError(f.t, os.MkdirAll(filepath.Dir(f.path(name)), 0o755))
	require.NoError(f.t, os.WriteFile(f.path(name), []byte(text), 0o600))
}

func (f *fixture) remove(name string) {
	f.t.Helper()
	require.NoError(f.t, os.RemoveAll(f.path(name)))
}

// move renames a cgroup, and what the second sample finds in it.
func (f *fixture) move(from, to string) {
	f.t.Helper()
	require.NoError(f.t, os.MkdirAll(filepath.Dir(f.path(to)), 0o755))
	require.NoError(f.t, os.Rename(f.path(from), f.path(to)))
	for _, name := range slices.Collect(maps.Keys(f.later)) {
		if rest, ok := strings.CutPrefix(name, from+"/"); ok {
			f.later[to+"/"+rest] = f.later[name]
			delete(f.later, name)
		}
	}
}

// next continues with the second sample.
func (f *fixture) next() {
	f.t.Helper()
	f.now = f.now.Add(time.Second)
	for name, text := range f.later {
		f.write(name, text)
	}
}

func (f *fixture) reader(scope Scope, uid string) *Reader {
	f.t.Helper()
	r, err := NewReader(Options{
		Proc: f.path("proc"), Cgroup: f.path("cgroup"), Scope: scope, PodUID: uid,
		Clock: func() time.Time { return f.now },
	})
	require.NoError(f.t, err)
	return r
}

// normal returns the reading as it would be if the fixture were at the root, without the noise of floating point.
func (f *fixture) normal(r Reading) Reading {
	figures := []*Figure{&r.CPU, &r.Memory}
	for _, parts := range [][]Figure{r.CPUParts, r.MemoryParts} {
		for i := range parts {
			figures = append(figures, &parts[i])
		}
	}
	for _, figure := range figures {
		figure.Percent = math.Round(figure.Percent*1e6) / 1e6
		figure.Source = strings.ReplaceAll(figure.Source, f.root, "")
	}
	r.Note = strings.ReplaceAll(r.Note, f.root, "")
	return r
}

// text returns the error's text as it would be if the fixture were at the root.
func (f *fixture) text(err error) string { return strings.ReplaceAll(err.Error(), f.root, "") }
