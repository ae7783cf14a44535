package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/record"
	"l4dump/strategy"
)

var soakTime = flag.Duration("soak", 0, "how long TestSoak lasts at least; 0 skips it")

const (
	soakRound = 4 * time.Second // in which connections come and go, before all is quiet and is counted
	// Each of the sidecar's faults, and each configuration, occurs in so many, however slow the machine is.
	leastRounds = 6
	soakLong    = 8 // connections that live from beginning to end
)

// TestSoak has connections come and go in Envoy for a long time, while the plugin's configuration changes each second,
// the sidecar ends and comes back, and usage and the budget let connections in and keep them out. After each round all
// is quiet: every byte that passed is then kept or dropped, and memory stays what it was.
func TestSoak(t *testing.T) {
	if *soakTime == 0 {
		t.Skip("skipped without -soak: run make soak")
	}
	s := subjects(t)[1] // the first Envoy
	s.require(t)

	machine := idleMachine(t)
	sidecar := newMeasuringSidecar(t, socketPath(t),
		"--scope", "cgroup", "--proc", filepath.Join(machine, "proc"), "--cgroup", filepath.Join(machine, "cgroup"))
	sidecar.start()
	service := startService(t, echo)
	c := newConfig(t, service.address(), plugins{listenerName: soakConfigs(t)[0]})
	c.lead(t, sidecarCluster, sidecar.address)
	file := c.discover(t, listenerName)
	p := start(t, s, c)

	load := &churn{address: p.address(listenerName), clients: 8, all: map[string]*churned{}}
	for range soakLong {
		one, err := load.dial()
		require.NoError(t, err)
		load.long = append(load.long, one)
	}
	recorded := &ledgers{churn: load, kept: map[record.ConnID]*[2]counted{}}
	soak := &soak{t: t, proxy: p, sidecar: sidecar, machine: machine, config: file, load: load, recorded: recorded}
	for round, begun := 0, time.Now(); round < leastRounds || time.Since(begun) < *soakTime; round++ {
		soak.round(round)
	}
	soak.finish()
}

// soak is what a soak consists of, and what it has measured.
type soak struct {
	t        *testing.T
	proxy    *proxy
	sidecar  *sidecarProcess
	machine  string
	config   *discovered
	load     *churn
	recorded *ledgers

	changes  int // of the configuration
	resident []int64
	plugin   []int64
	vms      int
}

// soakConfigs are configurations, each for a second. Windows are open for as long as a test runs, counted from now.
func soakConfigs(t *testing.T) []string {
	t.Helper()
	open := openStrategy(t)
	brief := strategy.DefaultStrategy()
	brief.Switch, brief.Interval, brief.Duration = strategy.SwitchOn, 30, 15
	guarded := func(s strategy.Strategy, capture, output string) string {
		return fmt.Sprintf(`{"strategy": %s, "sidecar": %s, "fuse": {"margin": 2}, "capture": {%s}, "output": {%s}}`,
			s.AppendJSON(nil), quickSidecar, capture, output)
	}
	const whole = `"unit": "connections", "max_bytes_per_second": 262144`
	return []string{
		guarded(open, whole, ``),
		guarded(open, `"unit": "bytes", "directions": ["downstream", "upstream"], "max_bytes_per_second": 262144, "max_bytes_per_window": 67108864`, ``),
		invalid,
		guarded(open, `"unit": "connections", "max_bytes_per_second": 16384, "max_connections": 2, "max_connection_time": "1s", "connection_rate": 0.5`, ``),
		guarded(open, whole+`, "mask": {"lengths_only": true}`, ``),
		guarded(open, whole+`, "match": {"first_bytes": ["61"]}, "mask": {"card_numbers": true}`, ``),
		guarded(strategy.DefaultStrategy(), ``, ``),
		guarded(open, whole+`, "except": {"sources": ["127.128.0.0/9"]}`, `"write_bytes": 65536`),
		guarded(brief, whole+`, "max_connections_per_window": 100`, ``),
	}
}

// round lets connections come and go for a while, and then counts.
func (s *soak) round(round int) {
	s.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.load.run(time.Now().Add(soakRound))
	}()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for at, running := 0, true; running; {
		select {
		case <-ended:
			running = false
		case <-second.C:
			s.change(round, at)
			at++
		case <-time.After(100 * time.Millisecond):
		}
		s.read()
	}
	connections, bytes, faults := s.load.totals()
	require.Empty(s.t, faults, "round %d", round)
	s.waitForTotals(connections, bytes, soakLong)
	waitFor(s.t, "the close records", func() bool {
		s.read()
		return s.recorded.onlyLong(s.proxy.reader.dump)
	})
	s.proxy.requireRunning()
	s.load.forget()

	s.resident = append(s.resident, s.proxy.residentBytes())
	plugin, vms := s.proxy.pluginBytes()
	require.Equal(s.t, cmp.Or(s.vms, vms), vms, "a VM has ended, or another one began")
	s.plugin, s.vms = append(s.plugin, plugin), vms
	s.t.Logf("round %d: %d connections, %d MiB; %d recorded; resident %d MiB, in %d VMs %d KiB",
		round, connections, bytes>>20, s.recorded.closed, s.resident[round]>>20, vms, plugin>>10)
}

// change is what happens in each second of a round.
func (s *soak) change(round, second int) {
	s.t.Helper()
	configs := soakConfigs(s.t)
	s.config.update(s.t, configs[s.changes%len(configs)])
	s.changes++

	// The limit is 70 % of 100 MB: nothing happens there, it sheds, or the fuse is open.
	memory := []string{"1000000\n", "1000000\n", "63000000\n", "80000000\n"}[(round+second)%4]
	name := filepath.Join(s.machine, "cgroup", "memory.current")
	require.NoError(s.t, os.WriteFile(name+".next", []byte(memory), 0o600))
	require.NoError(s.t, os.Rename(name+".next", name))

	switch [2]int{round % 4, second} {
	case [2]int{0, 1}:
		s.sidecar.kill()
	case [2]int{1, 1}:
		s.sidecar.stop()
	case [2]int{0, 2}, [2]int{1, 2}:
		s.sidecar.start()
	case [2]int{2, 1}:
		s.sidecar.ctl("off")
	case [2]int{2, 2}:
		s.sidecar.ctl("clear")
	case [2]int{3, 1}:
		s.sidecar.pause()
	case [2]int{3, 2}:
		s.sidecar.resume()
	}
}

func (s *soak) read() {
	s.t.Helper()
	require.NoError(s.t, s.recorded.take(s.proxy.dump()))
}

// waitForTotals waits until the plugin has counted what passed, and requires that all of it was kept or dropped, the
// connections too except those that live.
func (s *soak) waitForTotals(connections, bytes uint64, live int) {
	s.t.Helper()
	var metrics map[string]uint64
	sum := func(kind string) (kept, dropped uint64) {
		for name, value := range metrics {
			if strings.HasPrefix(name, "l4dump_"+kind+"_dropped_") {
				dropped += value
			}
		}
		return metrics["l4dump_"+kind+"_kept_total"], dropped
	}
	waitFor(s.t, fmt.Sprintf("%d connections and %d bytes to be kept or dropped", connections, bytes), func() bool {
		s.read()
		metrics = s.proxy.metrics()
		kept, dropped := sum("bytes")
		counted, refused := sum("connections")
		return metrics["l4dump_bytes_seen_total"] == bytes && kept+dropped == bytes &&
			metrics["l4dump_connections_seen_total"] == connections && counted+refused+uint64(live) >= connections
	})
	counted, refused := sum("connections")
	require.LessOrEqual(s.t, counted+refused, connections)
	require.Zero(s.t, metrics["l4dump_bytes_dropped_unreadable_total"])
}

// finish ends all, and judges.
func (s *soak) finish() {
	s.t.Helper()
	for _, long := range s.load.long {
		require.NoError(s.t, long.end(0))
	}
	connections, bytes, faults := s.load.totals()
	require.Empty(s.t, faults)
	s.waitForTotals(connections, bytes, 0)
	reloads := s.proxy.get("/stats?filter=extension_config_discovery.*config_reload$")
	s.proxy.stop()
	s.read()
	require.Empty(s.t, s.proxy.reader.dump.conns, "connections without a close record, or without a client")
	for _, text := range []string{"[critical]", "Plugin configured to fail", "panic", "Wasm VM failed"} {
		require.Zero(s.t, s.proxy.logged(text), text)
	}
	s.t.Logf("%d connections, %d MiB, %d changes of the configuration; %d recorded, %d of them whole; %d bytes masked; %s",
		connections, bytes>>20, s.changes, s.recorded.closed, s.recorded.whole, s.recorded.masked, reloads)
	require.NotZero(s.t, s.recorded.whole)
	require.Greater(s.t, s.recorded.closed, s.recorded.whole, "nothing was ever dropped")
	require.NotZero(s.t, s.recorded.masked)
	s.requireExplained()

	// What the process holds while all is quiet varies with what its allocator keeps of the last round: at most what is
	// under way at once, 8 connections with 1 MiB in each direction. Leaking 200 bytes with each connection would be more
	// in a soak of ten minutes.
	s.requireSteady("resident memory", s.resident, 16<<20)
	// Go takes memory in arenas of 4 MiB. One VM may need one more when there happens to be more at once than before.
	s.requireSteady("memory of the VMs", s.plugin, int64(s.vms)*4<<20)
}

// requireSteady requires that the later half of what was measured after the warm-up, which is a third of the time, is
// not above the earlier half by more than bound. Both are medians.
func (s *soak) requireSteady(what string, measured []int64, bound int64) {
	s.t.Helper()
	third := len(measured) / 3
	early, late := median(measured[third:2*third]), median(measured[2*third:])
	s.t.Logf("%s: %d KiB early, %d KiB late", what, early>>10, late>>10)
	require.LessOrEqual(s.t, late-early, bound, "%s grows: %d", what, measured)
}

// explained is how decode calls what the recorder has left out and counted.
var explained = []string{" not recorded: dropped by the recorder", ": the recorder dropped "}

// requireExplained requires that decode reads the whole log, and finds nothing missing but what was dropped for a reason.
func (s *soak) requireExplained() {
	s.t.Helper()
	command := exec.Command(commandLine(s.t), "decode", "--format", "json", s.proxy.log)
	var said strings.Builder
	command.Stderr = &said
	require.NoError(s.t, command.Run(), "%s", said.String())
	for line := range strings.Lines(said.String()) {
		if !strings.Contains(line, ": connection ") {
			continue
		}
		require.True(s.t, slices.ContainsFunc(explained, func(text string) bool { return strings.Contains(line, text) }), line)
	}
	s.t.Log(said.String()[max(0, said.Len()-1000):])
}
