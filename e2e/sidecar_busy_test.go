package e2e

import (
	"math"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the plugin's log and `l4dump ctl status` say.
const (
	cpuStops           = "l4dump: recording stops: CPU usage is at its limit"
	recordingContinues = "l4dump: recording continues"
)

var (
	recordingStatus = regexp.MustCompile(`(?m)^recording +yes: `)
	cpuStatus       = regexp.MustCompile(`(?m)^recording +no: CPU (is|was) at `)
)

// TestBusyMachine keeps the CPU busy: recording stops with its reason, and continues when the load ends.
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
			listenerName: guardedConfig(schedule, patientSidecar, `{"margin": 5, "readings": 100, "soft": 0}`),
		})
		config.lead(t, sidecarCluster, c.address)
		p := start(t, s, config)
		live := dialLive(t, p.address(listenerName))
		live.waitForRecords(p)
		waitFor(t, "the status to say that it records", func() bool { return recordingStatus.MatchString(c.ctl("status")) })
		stops, continues := p.logged(cpuStops), p.logged(recordingContinues)

		endLoad := g.keepBusy(t)
		p.waitForMetric("l4dump_off_cpu", 1)
		p.waitForLog(cpuStops, stops+1)
		p.waitForPolls("ok", 5) // by then each worker knows
		if own {
			live.beSilent()
			require.Equal(t, stops+1, p.logged(cpuStops), "once, not with each poll")
			require.Equal(t, continues, p.logged(recordingContinues))
		}
		waitFor(t, "the status to say why not", func() bool { return cpuStatus.MatchString(c.ctl("status")) })

		endLoad()
		p.waitForMetric("l4dump_off_cpu", 0)
		live.waitForRecords(p)
		p.waitForLog(recordingContinues, continues+1)
		waitFor(t, "the status to say that it records again", func() bool { return recordingStatus.MatchString(c.ctl("status")) })
		live.finish(p)
	})
}
