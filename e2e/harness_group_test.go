package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// group is a cgroup of a test's own, in which nothing else happens.
type group struct {
	dirs []string // one for each hierarchy
}

// newGroup returns a cgroup, or false if this machine does not let the test make one that measures CPU and memory.
func newGroup(t *testing.T) (*group, bool) {
	t.Helper()
	hierarchies := []string{""} // cgroup v2
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err != nil {
		hierarchies = []string{"cpu", "cpuacct", "memory"}
	}
	name := fmt.Sprintf("l4dump-test-%d-%s", os.Getpid(), strings.NewReplacer("/", "-", ".", "-").Replace(t.Name()))
	g := new(group)
	t.Cleanup(func() {
		for _, dir := range g.dirs {
			waitFor(t, "the cgroup to be empty", func() bool {
				err := os.Remove(dir)
				return err == nil || errors.Is(err, fs.ErrNotExist)
			})
		}
	})
	for _, h := range hierarchies {
		dir := filepath.Join(cgroupRoot, h, name)
		if os.Mkdir(dir, 0o700) != nil {
			return nil, false
		}
		g.dirs = append(g.dirs, dir)
	}
	found := 0
	for _, dir := range g.dirs {
		// Its loops must get their CPU on a busy machine too: four times as much as others (cgroup v1 and v2).
		for file, weight := range map[string]string{"cpu.shares": "4096", "cpu.weight": "400"} {
			_ = writeExisting(filepath.Join(dir, file), weight) // without, they only need longer
		}
		for _, file := range []string{"cpuacct.usage", "memory.usage_in_bytes", "memory.current"} {
			if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
				found++
			}
		}
	}
	if found != max(1, len(hierarchies)-1) {
		return nil, false
	}
	args := append(g.wrapper(), "true")
	if exec.Command(args[0], args[1:]...).Run() != nil {
		return nil, false
	}
	return g, true
}

func writeExisting(name, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// wrapper returns what stands before a command so that it runs in the group; nil is no group.
func (g *group) wrapper() []string {
	if g == nil {
		return nil
	}
	const script = `for dir in $1; do echo $$ >"$dir/cgroup.procs" || exit 1; done; shift; exec "$@"`
	return []string{"sh", "-c", script, "sh", strings.Join(g.dirs, " ")}
}

// keepBusy runs a loop on each CPU until the function that it returns is called.
func (g *group) keepBusy(t *testing.T) (end func()) {
	t.Helper()
	var loops []*exec.Cmd
	end = func() {
		for _, loop := range loops {
			_ = loop.Process.Kill()
			_ = loop.Wait() // killed
		}
		loops = nil
	}
	t.Cleanup(func() { end() })
	for range runtime.NumCPU() {
		args := append(g.wrapper(), "sh", "-c", "while :; do :; done")
		loop := exec.Command(args[0], args[1:]...)
		require.NoError(t, loop.Start())
		loops = append(loops, loop)
	}
	return end
}

const cgroupRoot = "/sys/fs/cgroup"
