package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/sidecar"
)

const cgroupRoot = "/sys/fs/cgroup"

// group is a cgroup of a test's own, in which nothing else happens.
type group struct {
	dirs []string // one for each hierarchy
}

// newGroup returns a cgroup, or false where this machine does not let the test make one that measures CPU and memory.
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

// usualCPU returns the highest of some readings of CPU usage, in percent.
func (c *sidecarProcess) usualCPU(readings int) float64 {
	c.t.Helper()
	highest := 0.0
	var last sidecar.UsageFigure
	for range readings {
		waitFor(c.t, "a new reading", func() bool {
			now := c.status().Usage.CPU
			isNew := last == (sidecar.UsageFigure{}) || now.Percent != last.Percent || now.AgeMillis < last.AgeMillis
			last = now
			return isNew
		})
		highest = max(highest, last.Percent)
	}
	return highest
}

// What the plugin's log and `l4dump ctl status` say.
const (
	cpuStops        = "l4dump: recording stops: CPU usage is at its limit"
	recordingGoesOn = "l4dump: recording goes on"
)

var (
	recordingStatus = regexp.MustCompile(`(?m)^recording +yes: `)
	cpuStatus       = regexp.MustCompile(`(?m)^recording +no: CPU (is|was) at `)
)

// TestBusyMachine keeps the CPU busy: recording stops with its reason, and goes on when the load ends.
func TestBusyMachine(t *testing.T) {
	if _, own := newGroup(t); own {
		t.Parallel() // what else runs does not count
	}
	onEach(t, func(t *testing.T, s subject) {
		g, own := newGroup(t)
		scope, share := "host", 0.5
		if own {
			scope, share = "cgroup", 0.1
		}
		c := newMeasuringSidecar(t, socketPath(t), "--scope", scope)
		c.wrapper = g.wrapper()
		c.start()
		idle := c.usualCPU(5)
		schedule := unlimited(openStrategy(t))
		schedule.CPUMaxRate = min(math.Round(idle+share*(100-idle)), schedule.CPUMaxRate)
		t.Logf("scope %s, at most %.1f %% of CPU before the load, limit %g %%", scope, idle, schedule.CPUMaxRate)

		service := startService(t, echo)
		config := newConfig(t, service.address(), plugins{
			// A single good reading in between must not close the fuse: the loops share the CPUs with whatever else runs.
			listenerName: guardedConfig(schedule, quickSidecar, `{"margin": 5, "readings": 100}`),
		})
		config.lead(t, sidecarCluster, c.address)
		p := start(t, s, config)
		live := dialLive(t, p.address(listenerName))
		live.waitForRecords(p)
		waitFor(t, "the status to say that it records", func() bool { return recordingStatus.MatchString(c.ctl("status")) })
		stops, goesOn := p.logged(cpuStops), p.logged(recordingGoesOn)

		endLoad := g.keepBusy(t)
		p.waitForMetric("l4dump_off_cpu", 1)
		p.waitForLog(cpuStops, stops+1)
		p.waitForPolls("ok", 5) // by then each worker knows
		if own {
			live.beSilent()
			require.Equal(t, stops+1, p.logged(cpuStops), "once, not with each poll")
			require.Equal(t, goesOn, p.logged(recordingGoesOn))
		}
		waitFor(t, "the status to say why not", func() bool { return cpuStatus.MatchString(c.ctl("status")) })

		endLoad()
		p.waitForMetric("l4dump_off_cpu", 0)
		live.waitForRecords(p)
		p.waitForLog(recordingGoesOn, goesOn+1)
		waitFor(t, "the status to say that it records again", func() bool { return recordingStatus.MatchString(c.ctl("status")) })
		live.finish(p)
	})
}
