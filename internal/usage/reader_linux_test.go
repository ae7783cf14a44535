package usage

import (
	"context"
	"io/fs"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// at returns the figure that a fixture's second sample makes.
func at(percent float64, source string) Figure {
	return Figure{Percent: percent, Source: source, Taken: fixtureStart.Add(time.Second)}
}

// atThrottled is at for a cgroup that was held back in a share of the interval.
func atThrottled(percent, share float64, source string) Figure {
	f := at(percent, source)
	f.Throttled = share
	return f
}

func TestReader(t *testing.T) {
	const (
		service  = "cgroup2:/system.slice/l4dump.service"
		kubepods = "cgroup2:/kubepods.slice"
		pod2     = kubepods + "/kubepods-burstable.slice/kubepods-burstable-pod0b9f1c52_8f3e_4d0a_9c61_5a7e2d4b8f10.slice"
		pod1     = "cgroup1:/kubepods/burstable/pod" + fixtureUID
		noPod    = "find pod f00 in /cgroup: no such cgroup is visible"
		noOwn    = "find the process's cgroup / in /cgroup: no such cgroup is visible"
	)
	hostCPU, hostMemory := at(25, "host:/proc/stat"), at(25, "host:/proc/meminfo")
	tests := []struct {
		name    string
		fixture string
		scope   Scope
		uid     string
		want    Reading // CPU and Memory are taken from the parts
		cpu     int     // index of the part that decides
		memory  int
	}{
		{
			name: "host", fixture: "cgroup2", scope: ScopeHost,
			want: Reading{Scope: ScopeHost, CPUParts: []Figure{hostCPU}, MemoryParts: []Figure{hostMemory}},
		},
		{
			name: "cgroup v2, auto", fixture: "cgroup2", scope: ScopeAuto,
			want: Reading{
				Scope:    ScopeCgroup,
				CPUParts: []Figure{hostCPU, at(50, service)}, MemoryParts: []Figure{hostMemory, at(50, service)},
			},
			cpu: 1, memory: 1,
		},
		{
			name: "cgroup v2, cgroup", fixture: "cgroup2", scope: ScopeCgroup,
			want: Reading{Scope: ScopeCgroup, CPUParts: []Figure{at(50, service)}, MemoryParts: []Figure{at(50, service)}},
		},
		{
			name: "cgroup namespace", fixture: "container2", scope: ScopeCgroup,
			want: Reading{
				Scope:    ScopeCgroup,
				CPUParts: []Figure{at(80, "cgroup2:/")}, MemoryParts: []Figure{at(75, "cgroup2:/")},
			},
		},
		{
			name: "no limit: of the node", fixture: "unlimited", scope: ScopeCgroup,
			want: Reading{
				Scope:    ScopeCgroup,
				CPUParts: []Figure{at(25, "cgroup2:/app")}, MemoryParts: []Figure{at(12.5, "cgroup2:/app")},
			},
		},
		{
			name: "no limit: the node decides", fixture: "unlimited", scope: ScopeAuto,
			want: Reading{
				Scope:       ScopeCgroup,
				CPUParts:    []Figure{hostCPU, at(25, "cgroup2:/app")},
				MemoryParts: []Figure{hostMemory, at(12.5, "cgroup2:/app")},
			},
		},
		{
			name: "set of CPUs", fixture: "cpuset", scope: ScopeCgroup,
			want: Reading{
				Scope:    ScopeCgroup,
				CPUParts: []Figure{at(50, "cgroup2:/app")}, MemoryParts: []Figure{at(6.25, "cgroup2:/app")},
			},
		},
		{
			name: "ancestors' limits", fixture: "nested", scope: ScopeAuto,
			want: Reading{
				Scope:       ScopeCgroup,
				CPUParts:    []Figure{hostCPU, at(7.5, "cgroup2:/a/b/c"), at(40, "cgroup2:/a/b"), at(90, "cgroup2:/a")},
				MemoryParts: []Figure{hostMemory, at(1.220703, "cgroup2:/a/b/c"), at(20, "cgroup2:/a/b"), at(90, "cgroup2:/a")},
			},
			cpu: 3, memory: 3,
		},
		{
			name: "throttled", fixture: "throttled", scope: ScopeAuto,
			want: Reading{
				Scope:       ScopeCgroup,
				CPUParts:    []Figure{hostCPU, at(40, "cgroup2:/pod/app"), atThrottled(40, 10, "cgroup2:/pod")},
				MemoryParts: []Figure{hostMemory, at(20, "cgroup2:/pod/app"), at(25, "cgroup2:/pod")},
			},
			cpu: 1,
		},
		{
			name: "pod, systemd driver, v2", fixture: "pod2", scope: ScopePod, uid: fixtureUID,
			want: Reading{
				Scope: ScopePod, CPUParts: []Figure{at(30, pod2)},
				MemoryParts: []Figure{at(60, pod2), at(50, kubepods)},
			},
		},
		{
			name: "pod, auto", fixture: "pod2", scope: ScopeAuto, uid: fixtureUID,
			want: Reading{
				Scope: ScopePod, CPUParts: []Figure{hostCPU, at(30, pod2)},
				MemoryParts: []Figure{hostMemory, at(60, pod2), at(50, kubepods)},
			},
			cpu: 1, memory: 1,
		},
		{
			name: "unknown pod, cgroup outside the namespace", fixture: "pod2", scope: ScopeAuto, uid: "f00",
			want: Reading{
				Scope: ScopeHost, CPUParts: []Figure{hostCPU}, MemoryParts: []Figure{hostMemory},
				Note: noPod + "; " + noOwn,
			},
		},
		{
			name: "unknown pod, own cgroup", fixture: "container2", scope: ScopeAuto, uid: "f00",
			want: Reading{
				Scope:       ScopeCgroup,
				CPUParts:    []Figure{hostCPU, at(80, "cgroup2:/")},
				MemoryParts: []Figure{hostMemory, at(75, "cgroup2:/")},
				Note:        noPod,
			},
			cpu: 1, memory: 1,
		},
		{
			name: "cgroup v1, only the container's mounted", fixture: "cgroup1", scope: ScopeAuto,
			want: Reading{
				Scope:       ScopeCgroup,
				CPUParts:    []Figure{hostCPU, at(30, "cgroup1:/")},
				MemoryParts: []Figure{hostMemory, at(50, "cgroup1:/")},
			},
			cpu: 1, memory: 1,
		},
		{
			name: "pod, cgroupfs driver, v1", fixture: "pod1", scope: ScopePod, uid: fixtureUID,
			want: Reading{
				Scope: ScopePod, CPUParts: []Figure{at(40, pod1)},
				MemoryParts: []Figure{at(25, pod1), at(50, "cgroup1:/kubepods")},
			},
			memory: 1,
		},
		{
			name: "hybrid", fixture: "hybrid", scope: ScopeCgroup,
			want: Reading{
				Scope:    ScopeCgroup,
				CPUParts: []Figure{at(60, "cgroup1:/app")}, MemoryParts: []Figure{at(40, "cgroup2:/app.slice")},
			},
		},
		{
			name: "no cgroups", fixture: "nocgroup", scope: ScopeAuto,
			want: Reading{
				Scope: ScopeHost, CPUParts: []Figure{hostCPU}, MemoryParts: []Figure{hostMemory},
				Note: "find a cgroup hierarchy in /cgroup: no such cgroup is visible",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, tt.fixture)
			r := f.reader(tt.scope, tt.uid)
			_, err := r.Read(t.Context())
			require.ErrorIs(t, err, ErrNoInterval)
			require.EqualError(t, err, "measure cpu: there is no interval yet: first sample")
			f.next()
			got, err := r.Read(t.Context())
			require.NoError(t, err)
			tt.want.CPU, tt.want.Memory = tt.want.CPUParts[tt.cpu], tt.want.MemoryParts[tt.memory]
			require.Equal(t, tt.want, f.normal(got))
		})
	}
}

func TestReaderMissing(t *testing.T) {
	tests := []struct {
		name, fixture string
		scope         Scope
		uid           string
		remove        string
		want          string
	}{
		{
			name: "no cgroups", fixture: "nocgroup", scope: ScopeCgroup,
			want: "measure scope cgroup: find a cgroup hierarchy in /cgroup: no such cgroup is visible",
		},
		{
			name: "unknown pod", fixture: "pod1", scope: ScopePod, uid: "f00",
			want: "measure scope pod: find pod f00 in /cgroup/cpu,cpuacct: no such cgroup is visible\n" +
				"find pod f00 in /cgroup/memory: no such cgroup is visible",
		},
		{
			name: "own cgroup in another namespace", fixture: "pod2", scope: ScopeCgroup,
			want: "measure scope cgroup: find the process's cgroup / in /cgroup: no such cgroup is visible",
		},
		{
			name: "no memory controller", fixture: "cgroup2", scope: ScopeCgroup,
			remove: "cgroup/system.slice/l4dump.service/memory.current",
			want: "measure scope cgroup: no such cgroup is visible: " +
				"stat /cgroup/system.slice/l4dump.service/memory.current: no such file or directory",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, tt.fixture)
			if tt.remove != "" {
				f.remove(tt.remove)
			}
			_, err := f.reader(tt.scope, tt.uid).Read(t.Context())
			require.ErrorIs(t, err, ErrNoCgroup)
			require.Equal(t, tt.want, f.text(err))
		})
	}
}

func TestReaderWithoutMemoryController(t *testing.T) {
	f := newFixture(t, "cgroup2")
	f.remove("cgroup/system.slice/l4dump.service/memory.current")
	r := f.reader(ScopeAuto, "")
	_, err := r.Read(t.Context())
	require.ErrorIs(t, err, ErrNoInterval)
	f.next()
	got, err := r.Read(t.Context())
	require.NoError(t, err)
	got = f.normal(got)
	require.Equal(t, at(50, "cgroup2:/system.slice/l4dump.service"), got.CPU)
	require.Equal(t, at(25, "host:/proc/meminfo"), got.Memory)
	require.Equal(t, ScopeCgroup, got.Scope)
	require.Equal(t, "stat /cgroup/system.slice/l4dump.service/memory.current: no such file or directory", got.Note)
}

func TestReaderMalformed(t *testing.T) {
	const own = "cgroup/system.slice/l4dump.service/"
	tests := []struct {
		name, fixture, file, text string
		want                      string
	}{
		{
			name: "stat", fixture: "nocgroup", file: "proc/stat", text: "cpu one 2 3\n",
			want: `read the node's cpu times: parse /proc/stat: want cpu and at least seven counters, got "cpu one 2 3\n"`,
		},
		{
			name: "empty stat", fixture: "nocgroup", file: "proc/stat",
			want: `read the node's cpu times: parse /proc/stat: want cpu and at least seven counters, got ""`,
		},
		{
			name: "meminfo", fixture: "nocgroup", file: "proc/meminfo", text: "MemTotal: 1O kB\n",
			want: `read the node's memory from /proc/meminfo: strconv.ParseUint: parsing "1O": invalid syntax`,
		},
		{
			name: "empty meminfo", fixture: "nocgroup", file: "proc/meminfo",
			want: "read the node's memory from /proc/meminfo: want MemTotal and MemAvailable, got 0 and 0 bytes",
		},
		{
			name: "own cgroup", file: "proc/self/cgroup", text: "system.slice\n",
			want: `parse /proc/self/cgroup: invalid cgroup entry: "system.slice"`,
		},
		{
			name: "own cgroup's path", file: "proc/self/cgroup", text: "0::system.slice\n",
			want: `parse /proc/self/cgroup: want an absolute path, got "system.slice"`,
		},
		{
			name: "mountinfo", file: "proc/self/mountinfo", text: "22 27 0:21 / /proc\n",
			want: "parse /proc/self/mountinfo: parsing '22 27 0:21 / /proc' failed: not enough fields (5)",
		},
		{
			name: "cpu.max", file: own + "cpu.max", text: "150000\n",
			want: `read cpu limit: parse /` + own + `cpu.max: want a quota and a period, got "150000"`,
		},
		{
			name: "cpu.stat", file: own + "cpu.stat", text: "usage_usec -1\n",
			want: `read cpu usage: parse /` + own + `cpu.stat: want usage_usec and a number, got "usage_usec -1"`,
		},
		{
			name: "cpuset", file: own + "cpuset.cpus.effective", text: "3-0\n",
			want: `read cpu set: parse /` + own + `cpuset.cpus.effective: want CPUs as "0-3,7", got "3-0"`,
		},
		{
			name: "memory.max", file: own + "memory.max", text: "much\n",
			want: `read memory limit: parse /` + own + `memory.max: want bytes or "max", got "much"`,
		},
		{
			name: "memory.current", file: own + "memory.current", text: "\n",
			want: `read memory usage: parse /` + own + `memory.current: want a number, got ""`,
		},
		{
			name: "memory.stat", file: own + "memory.stat", text: "anon 1\n",
			want: "read memory usage: parse /" + own + "memory.stat: want one line with inactive_file and a number, got 0",
		},
		{
			name: "an ancestor's", file: "cgroup/system.slice/cpu.max", text: "max 0\n",
			want: `read cpu limit: parse /cgroup/system.slice/cpu.max: want a period in microseconds, got "max 0"`,
		},
		{
			name: "v1 quota", fixture: "cgroup1", file: "cgroup/cpu/cpu.cfs_quota_us", text: "0\n",
			want: `read cpu limit: parse /cgroup/cpu/cpu.cfs_quota_us: want a quota in microseconds or -1, got "0"`,
		},
		{
			name: "v1 period", fixture: "cgroup1", file: "cgroup/cpu/cpu.cfs_period_us", text: "0\n",
			want: `read cpu limit: parse /cgroup/cpu/cpu.cfs_period_us: want a period in microseconds, got "0"`,
		},
		{
			name: "v1 usage", fixture: "cgroup1", file: "cgroup/cpu/cpuacct.usage", text: "1 2\n",
			want: `read cpu usage: parse /cgroup/cpuacct/cpuacct.usage: want a number, got "1 2"`,
		},
		{
			name: "v1 throttling", fixture: "cgroup1", file: "cgroup/cpu/cpu.stat", text: "nr_throttled x\n",
			want: `read cpu usage: parse /cgroup/cpu/cpu.stat: want nr_throttled and a number, got "nr_throttled x"`,
		},
		{
			name: "v1 limit", fixture: "cgroup1", file: "cgroup/memory/memory.limit_in_bytes", text: "-1\n",
			want: `read memory limit: parse /cgroup/memory/memory.limit_in_bytes: want a number, got "-1"`,
		},
		{
			name: "v1 memory.stat", fixture: "cgroup1", file: "cgroup/memory/memory.stat", text: "inactive_file 1\n",
			want: "read memory usage: parse /cgroup/memory/memory.stat: " +
				"want one line with total_inactive_file and a number, got 0",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.fixture == "" {
				tt.fixture = "cgroup2"
			}
			f := newFixture(t, tt.fixture)
			f.write(tt.file, tt.text)
			scope := ScopeAuto
			if tt.fixture == "nocgroup" {
				scope = ScopeHost
			}
			_, err := f.reader(scope, "").Read(t.Context())
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrNoInterval)
			require.Equal(t, tt.want, f.text(err))
		})
	}
}

func TestReaderBounds(t *testing.T) {
	const own = "cgroup/system.slice/l4dump.service/"
	tests := []struct {
		name        string
		file        string
		text        string
		cpu, memory float64
	}{
		{name: "as it is", file: own + "memory.max", text: "536870912\n", cpu: 50, memory: 50},
		{name: "all of the quota", file: own + "cpu.stat", text: "usage_usec 2500000\n", cpu: 100, memory: 50},
		{name: "more than the quota", file: own + "cpu.stat", text: "usage_usec 2500001\n", cpu: 100, memory: 50},
		{name: "nothing used", file: own + "cpu.stat", text: "usage_usec 1000000\n", cpu: 0, memory: 50},
		{name: "quota over the node's CPUs", file: own + "cpu.max", text: "800000 100000\n", cpu: 18.75, memory: 50},
		{name: "quota over the set of CPUs", file: own + "cpuset.cpus.effective", text: "0\n", cpu: 75, memory: 50},
		{name: "set over the node's CPUs", file: own + "cpuset.cpus.effective", text: "0-63\n", cpu: 50, memory: 50},
		{name: "empty set", file: own + "cpuset.cpus.effective", text: "\n", cpu: 50, memory: 50},
		{name: "limit at usage", file: own + "memory.max", text: "268435456\n", cpu: 50, memory: 100},
		{name: "limit under usage", file: own + "memory.max", text: "268435455\n", cpu: 50, memory: 100},
		{name: "limit of nothing", file: own + "memory.max", text: "0\n", cpu: 50, memory: 100},
		{name: "limit over the node's memory", file: own + "memory.max", text: "17179869185\n", cpu: 50, memory: 1.5625},
		{name: "cache over usage", file: own + "memory.stat", text: "inactive_file 314572801\n", cpu: 50, memory: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "cgroup2")
			r := f.reader(ScopeCgroup, "")
			_, err := r.Read(t.Context())
			require.ErrorIs(t, err, ErrNoInterval)
			f.later[tt.file] = tt.text
			f.next()
			got, err := r.Read(t.Context())
			require.NoError(t, err)
			got = f.normal(got)
			require.Equal(t, tt.cpu, got.CPU.Percent)
			require.Equal(t, tt.memory, got.Memory.Percent)
		})
	}
}

func TestReaderNodeBounds(t *testing.T) {
	tests := []struct {
		name, stat string
		want       float64 // where there is no error
		err        string
	}{
		{name: "idle", stat: "cpu  10000 200 5000 80400 800 100 100 0 50 0\n", want: 0},
		{name: "waiting for disks", stat: "cpu  10000 200 5000 80000 1200 100 100 0 50 0\n", want: 0},
		{name: "busy", stat: "cpu  10100 300 5100 80000 800 150 130 20 50 0\n", want: 100},
		{name: "guests are users", stat: "cpu  10200 200 5000 80200 800 100 100 0 250 0\n", want: 50},
		{name: "taken by the hypervisor", stat: "cpu  10000 200 5000 80000 800 100 100 400 50 0\n", want: 100},
		{name: "iowait goes back", stat: "cpu  10100 200 5000 80300 790 100 100 0 50 0\n", want: 25},
		{
			name: "standing still", stat: "cpu  10000 200 5000 80000 800 100 100 0 50 0\n",
			err: "measure cpu: there is no interval yet: the counters of host:/proc/stat stand still or started again",
		},
		{
			name: "started again", stat: "cpu  1 2 3 4 5 6 7 8 9 10\n",
			err: "measure cpu: there is no interval yet: the counters of host:/proc/stat stand still or started again",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "nocgroup")
			r := f.reader(ScopeHost, "")
			_, err := r.Read(t.Context())
			require.ErrorIs(t, err, ErrNoInterval)
			f.later["proc/stat"] = tt.stat
			f.next()
			got, err := r.Read(t.Context())
			if tt.err != "" {
				require.ErrorIs(t, err, ErrNoInterval)
				require.Equal(t, tt.err, f.text(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, f.normal(got).CPU.Percent)
		})
	}
}

func TestReaderCountersStartAgain(t *testing.T) {
	const stat = "cgroup/system.slice/l4dump.service/cpu.stat"
	tests := []struct{ name, text string }{
		{name: "usage", text: "usage_usec 999999\nnr_throttled 1\n"},
		{name: "throttling", text: "usage_usec 1000001\nnr_throttled 0\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "cgroup2")
			f.write(stat, "usage_usec 1000000\nnr_throttled 1\n")
			r := f.reader(ScopeCgroup, "")
			_, err := r.Read(t.Context())
			require.ErrorIs(t, err, ErrNoInterval)

			f.later[stat] = tt.text
			f.next()
			_, err = r.Read(t.Context())
			require.EqualError(t, err, "measure cpu: there is no interval yet: "+
				"the counters of cgroup2:/system.slice/l4dump.service started again")

			f.later[stat] = "usage_usec 1150001\nnr_throttled 1\n"
			f.write(stat, tt.text)
			f.next()
			got, err := r.Read(t.Context())
			if tt.name == "throttling" {
				require.NoError(t, err)
				require.Equal(t, 10.0, f.normal(got).CPU.Throttled, "held back since")
				return
			}
			require.NoError(t, err)
			require.Equal(t, 10.000133, f.normal(got).CPU.Percent)
		})
	}
}

func TestReaderMinInterval(t *testing.T) {
	f := newFixture(t, "cgroup2")
	r := f.reader(ScopeCgroup, "")
	_, err := r.Read(t.Context())
	require.ErrorIs(t, err, ErrNoInterval)

	f.now = fixtureStart.Add(MinInterval - 1)
	_, err = r.Read(t.Context())
	require.EqualError(t, err, "measure cpu: there is no interval yet: only 49.999999ms since the last sample")

	f.now = fixtureStart.Add(MinInterval)
	f.write("cgroup/system.slice/l4dump.service/cpu.stat", "usage_usec 1037500\n")
	got, err := r.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, 50.0, f.normal(got).CPU.Percent, "the interval began with the first sample")

	f.now = fixtureStart
	_, err = r.Read(t.Context())
	require.ErrorIs(t, err, ErrNoInterval, "the clock was set back")
	f.next()
	f.write("cgroup/system.slice/l4dump.service/cpu.stat", "usage_usec 1337500\n")
	got, err = r.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, 20.0, f.normal(got).CPU.Percent)
}

func TestReaderFollowsItsCgroup(t *testing.T) {
	const from, to = "cgroup/system.slice/l4dump.service", "cgroup/moved.slice/l4dump.service"
	f := newFixture(t, "cgroup2")
	r := f.reader(ScopeCgroup, "")
	_, err := r.Read(t.Context())
	require.ErrorIs(t, err, ErrNoInterval)

	f.move(from, to)
	f.write("proc/self/cgroup", "0::/moved.slice/l4dump.service\n")
	f.next()
	_, err = r.Read(t.Context())
	require.EqualError(t, err,
		"measure cpu: there is no interval yet: first sample of cgroup2:/moved.slice/l4dump.service")

	f.next()
	got, err := r.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "cgroup2:/moved.slice/l4dump.service", got.CPU.Source)
	require.Equal(t, 0.0, got.CPU.Percent)

	f.next()
	f.remove(to)
	_, err = r.Read(t.Context())
	require.ErrorIs(t, err, ErrNoCgroup)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestReaderLooksAgain(t *testing.T) {
	f := newFixture(t, "cgroup2")
	r := f.reader(ScopeAuto, "")
	_, err := r.Read(t.Context())
	require.ErrorIs(t, err, ErrNoInterval)
	f.write("proc/self/cgroup", "0::/system.slice\n") // moved, while the old one stays

	f.next()
	got, err := r.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "cgroup2:/system.slice/l4dump.service", got.CPUParts[1].Source)

	f.now = fixtureStart.Add(locateInterval)
	f.write("proc/stat", strings.ReplaceAll(f.later["proc/stat"], "80280", "90280"))
	_, err = r.Read(t.Context())
	require.EqualError(t, err, "measure cpu: there is no interval yet: first sample of cgroup2:/system.slice")
}

func TestReaderCanceled(t *testing.T) {
	f := newFixture(t, "cgroup2")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.reader(ScopeAuto, "").Read(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// TestReaderThisMachine holds that a real load is measured: GOMAXPROCS goroutines that never rest use half of that many
// CPUs, at least.
func TestReaderThisMachine(t *testing.T) {
	for _, scope := range []Scope{ScopeHost, ScopeAuto} {
		t.Run(string(scope), func(t *testing.T) {
			r, err := NewReader(Options{Scope: scope})
			require.NoError(t, err)
			_, err = r.Read(t.Context())
			require.ErrorIs(t, err, ErrNoInterval)
			stop := burn(runtime.GOMAXPROCS(0))
			defer stop()
			want := 50 * float64(runtime.GOMAXPROCS(0)) / float64(runtime.NumCPU())
			var got Reading
			require.Eventually(t, func() bool {
				got, err = r.Read(t.Context())
				return err == nil && got.CPU.Percent >= want
			}, 30*time.Second, 100*time.Millisecond, "cpu of %v", &got)
			require.LessOrEqual(t, got.CPU.Percent, 100.0)
			require.Positive(t, got.Memory.Percent)
			require.LessOrEqual(t, got.Memory.Percent, 100.0)
			require.Equal(t, "host:/proc/stat", got.CPUParts[0].Source)
			require.Equal(t, "host:/proc/meminfo", got.MemoryParts[0].Source)
		})
	}
}

// burn keeps n goroutines busy until stop is called, which waits for them.
func burn(n int) (stop func()) {
	done := make(chan struct{})
	ended := make(chan int)
	for range n {
		go func() {
			spins := 0
			for {
				select {
				case <-done:
					ended <- spins
					return
				default:
					spins++
				}
			}
		}()
	}
	return func() {
		close(done)
		for range n {
			<-ended
		}
	}
}

func BenchmarkReader(b *testing.B) {
	for _, scope := range []Scope{ScopeHost, ScopeAuto} {
		b.Run("this machine/"+string(scope), func(b *testing.B) {
			now := time.Now()
			r, err := NewReader(Options{Scope: scope, Clock: func() time.Time { return now }})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Second)
				// The machine's clock does not keep up, so that its counters may stand still.
				_, _ = r.Read(b.Context())
			}
		})
	}
	b.Run("pod", func(b *testing.B) {
		f := newFixture(b, "pod2")
		r := f.reader(ScopePod, fixtureUID)
		_, err := r.Read(b.Context())
		require.ErrorIs(b, err, ErrNoInterval)
		b.ReportAllocs()
		for b.Loop() {
			f.now = f.now.Add(time.Second)
			_, err := r.Read(b.Context())
			require.NoError(b, err)
		}
	})
	b.Run("find a pod among 1000", func(b *testing.B) {
		f := newFixture(b, "pod2")
		for i := range 1000 {
			f.write("cgroup/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod"+
				strconv.Itoa(i)+".slice/cri-containerd-1.scope/cpu.stat", "")
		}
		b.ReportAllocs()
		for b.Loop() {
			_, err := findPod(f.path("cgroup"), "f00")
			require.ErrorIs(b, err, ErrNoCgroup)
		}
	})
}
