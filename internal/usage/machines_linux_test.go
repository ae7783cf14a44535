package usage

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// readTwice returns the reading of a fixture's interval of one second.
func (f *fixture) readTwice(r *Reader) Reading {
	f.t.Helper()
	_, err := r.Read(f.t.Context())
	require.ErrorIs(f.t, err, ErrNoInterval)
	f.next()
	got, err := r.Read(f.t.Context())
	require.NoError(f.t, err)
	return f.normal(got)
}

// The share of the interval in which a cgroup was throttled counts, not that it was throttled at all.
func TestThrottling(t *testing.T) {
	before := cpuSample{
		source: "cgroup2:/", usage: 5 * time.Second, limitCPUs: 1, period: 100 * time.Millisecond,
		throttling: throttling{periods: 1000, throttled: 10}, taken: fixtureStart,
	}
	tests := []struct {
		name               string
		used               time.Duration
		periods, throttled uint64
		period             time.Duration
		want, share        float64
	}{
		{name: "never", used: 150 * time.Millisecond, periods: 10, period: 100 * time.Millisecond, want: 15},
		{name: "one of ten, below what is used", used: 150 * time.Millisecond, periods: 10, throttled: 1, period: 100 * time.Millisecond, want: 15, share: 10},
		{name: "two of ten, above what is used", used: 150 * time.Millisecond, periods: 10, throttled: 2, period: 100 * time.Millisecond, want: 20, share: 20},
		{name: "all", used: 400 * time.Millisecond, periods: 10, throttled: 10, period: 100 * time.Millisecond, want: 100, share: 100},
		{name: "the only one in which it ran", used: 100 * time.Millisecond, periods: 1, throttled: 1, period: 100 * time.Millisecond, want: 10, share: 10},
		{name: "more periods than the clock has", used: 0, periods: 20, throttled: 2, period: 100 * time.Millisecond, want: 10, share: 10},
		{name: "short periods", used: 50 * time.Millisecond, periods: 100, throttled: 25, period: 10 * time.Millisecond, want: 25, share: 25},
		{name: "no period known", used: 0, periods: 4, throttled: 1, want: 25, share: 25},
		{name: "no period counted", used: 0, throttled: 1, period: 100 * time.Millisecond, want: 10, share: 10},
		{name: "nothing known", used: 0, throttled: 1, want: 100, share: 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			after := before
			after.usage += tt.used
			after.throttling.periods += tt.periods
			after.throttling.throttled += tt.throttled
			after.period = tt.period
			after.taken = before.taken.Add(time.Second)
			got, err := groupCPU(before, after)
			require.NoError(t, err)
			require.Equal(t, Figure{Percent: tt.want, Source: "cgroup2:/", Throttled: tt.share, Taken: after.taken}, got)
		})
	}
}

// What the kernel gives back without pressure is not used, in either version of cgroups; what it cannot give back is.
func TestMemoryThatIsGivenBack(t *testing.T) {
	const (
		own  = "cgroup/system.slice/l4dump.service/"
		own1 = "cgroup/memory/"
	)
	stat := func(keys map[string]int) string {
		text := "anon 1\n"
		for key, percent := range keys {
			text += key + " " + strconv.Itoa(percent*10<<20) + "\n"
		}
		return text
	}
	tests := []struct {
		name, fixture string
		files         map[string]string // the usage is 500 MiB of 1000 MiB if nothing else is said
		want          float64
	}{
		{name: "inactive", files: map[string]string{own + "memory.stat": stat(map[string]int{"inactive_file": 10})}, want: 40},
		{name: "active", files: map[string]string{own + "memory.stat": stat(map[string]int{"inactive_file": 10, "active_file": 20})}, want: 20},
		{
			name: "slab", want: 15,
			files: map[string]string{own + "memory.stat": stat(map[string]int{"inactive_file": 10, "active_file": 20, "slab_reclaimable": 5})},
		},
		{
			name: "shared memory, locked and huge pages stay", want: 40,
			files: map[string]string{own + "memory.stat": stat(map[string]int{
				"inactive_file": 10, "shmem": 5, "unevictable": 5, "slab_unreclaimable": 5, "hugetlb": 5, "file": 20,
			})},
		},
		{
			name: "swap is apart", want: 40,
			files: map[string]string{
				own + "memory.stat": stat(map[string]int{"inactive_file": 10}), own + "memory.swap.current": "1048576000\n",
				own + "memory.swap.max": "1048576000\n",
			},
		},
		{
			name: "slowed down from", want: 80,
			files: map[string]string{own + "memory.stat": stat(map[string]int{"inactive_file": 10}), own + "memory.high": "524288000\n"},
		},
		{
			name: "slowed down, without a limit", want: 80,
			files: map[string]string{
				own + "memory.stat": stat(map[string]int{"inactive_file": 10}), own + "memory.high": "524288000\n", own + "memory.max": "max\n",
			},
		},
		{
			name: "cgroup v1", fixture: "cgroup1", want: 20,
			files: map[string]string{
				own1 + "memory.stat": stat(map[string]int{
					"inactive_file": 1, "active_file": 1, "total_inactive_file": 10, "total_active_file": 20, "total_unevictable": 5,
				}),
			},
		},
		{
			name: "cgroup v1, swap is apart", fixture: "cgroup1", want: 40,
			files: map[string]string{
				own1 + "memory.stat":                 stat(map[string]int{"total_inactive_file": 10, "total_swap": 30}),
				own1 + "memory.memsw.usage_in_bytes": "1048576000\n",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, usage, limit := own, "memory.current", "memory.max"
			if tt.fixture == "cgroup1" {
				dir, usage, limit = own1, "memory.usage_in_bytes", "memory.limit_in_bytes"
			} else {
				tt.fixture = "cgroup2"
			}
			f := newFixture(t, tt.fixture)
			f.write(dir+usage, "524288000\n")
			f.write(dir+limit, "1048576000\n")
			for name, text := range tt.files {
				f.write(name, text)
			}
			got := f.readTwice(f.reader(ScopeCgroup, ""))
			require.Equal(t, tt.want, got.Memory.Percent)
			require.Empty(t, got.Note)
		})
	}
}

// Huge pages that are set aside are neither used nor there for anybody else.
func TestHugePagesOfTheNode(t *testing.T) {
	const half = "MemTotal: 16777216 kB\nMemFree: 4194304 kB\nMemAvailable: 6291456 kB\n" +
		"HugePages_Total: 4096\nHugePages_Free: 4096\nHugepagesize: 2048 kB\n"
	f := newFixture(t, "unlimited")
	f.write("proc/meminfo", half)
	got := f.readTwice(f.reader(ScopeAuto, ""))
	require.Equal(t, []Figure{at(25, "host:/proc/meminfo"), at(25, "cgroup2:/app")}, got.MemoryParts,
		"2 of the 8 GiB that are left; so is a cgroup without a limit")
}

// ScopeAuto continues with what can be read, and says what cannot.
func TestReaderContinues(t *testing.T) {
	const (
		service = "cgroup2:/system.slice/l4dump.service"
		zeros   = "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nbtime 1\n"
	)
	hostCPU, hostMemory := at(25, "host:/proc/stat"), at(25, "host:/proc/meminfo")
	group := at(50, service)
	tests := []struct {
		name        string
		files       map[string]string // in both samples
		remove      []string
		cpu, memory []Figure
		note        string
	}{
		{
			name: "stat is all zeros", files: map[string]string{"proc/stat": zeros},
			cpu: []Figure{group}, memory: []Figure{hostMemory, group},
			note: "read the node's cpu times: the counters of /proc/stat are all 0",
		},
		{
			name: "stat is missing", remove: []string{"proc/stat"},
			cpu: []Figure{group}, memory: []Figure{hostMemory, group},
			note: "read the node's cpu times: open /proc/stat: no such file or directory",
		},
		{
			name: "stat is hidden", files: map[string]string{"proc/stat": ""},
			cpu: []Figure{group}, memory: []Figure{hostMemory, group},
			note: `read the node's cpu times: parse /proc/stat: want cpu and at least seven counters, got ""`,
		},
		{
			name: "stat and cpuinfo are missing", remove: []string{"proc/stat", "proc/cpuinfo"},
			cpu: []Figure{group}, memory: []Figure{hostMemory, group},
			note: "read the node's cpu times: open /proc/stat: no such file or directory",
		},
		{
			name: "meminfo is missing", remove: []string{"proc/meminfo"},
			cpu: []Figure{hostCPU, group}, memory: []Figure{group},
			note: "read the node's memory from /proc/meminfo: couldn't read /proc/meminfo: open /proc/meminfo: no such file or directory",
		},
		{
			name: "meminfo is all zeros", files: map[string]string{"proc/meminfo": "MemTotal: 0 kB\nMemAvailable: 0 kB\n"},
			cpu: []Figure{hostCPU, group}, memory: []Figure{group},
			note: "read the node's memory from /proc/meminfo: want MemTotal and MemAvailable, got 0 and 0 bytes",
		},
		{
			name: "memory.stat is missing", remove: []string{"cgroup/system.slice/l4dump.service/memory.stat"},
			cpu: []Figure{hostCPU, group}, memory: []Figure{hostMemory, at(62.5, service)},
			note: "page cache counts as used: open /cgroup/system.slice/l4dump.service/memory.stat: no such file or directory",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "cgroup2")
			if tt.name == "memory.stat is missing" {
				f.write("cgroup/system.slice/l4dump.service/memory.current", "335544320\n")
			}
			for name, text := range tt.files {
				f.write(name, text)
				delete(f.later, name)
			}
			for _, name := range tt.remove {
				f.remove(name)
				delete(f.later, name)
			}
			got := f.readTwice(f.reader(ScopeAuto, ""))
			require.Equal(t, tt.cpu, got.CPUParts)
			require.Equal(t, tt.memory, got.MemoryParts)
			require.Equal(t, tt.note, got.Note)
			require.Equal(t, ScopeCgroup, got.Scope)
		})
	}
}

// A cgroup that has limits of its own needs nothing of the node.
func TestReaderNeedsNoNode(t *testing.T) {
	f := newFixture(t, "cgroup2")
	f.remove("proc/stat")
	f.remove("proc/meminfo")
	f.remove("proc/cpuinfo")
	delete(f.later, "proc/stat")
	got := f.readTwice(f.reader(ScopeCgroup, ""))
	require.Equal(t, 50.0, got.CPU.Percent)
	require.Equal(t, 50.0, got.Memory.Percent)
	require.Empty(t, got.Note)
}

// With neither the node nor a limit there is nothing to be a share of.
func TestReaderNothingMeasurable(t *testing.T) {
	tests := []struct {
		name   string
		scope  Scope
		remove []string
		want   string
	}{
		{name: "cpu", scope: ScopeAuto, remove: []string{"proc/stat", "proc/cpuinfo"}, want: "read the node's cpu times: open /proc/stat: no such file or directory"},
		{name: "cpu, cgroup", scope: ScopeCgroup, remove: []string{"proc/stat", "proc/cpuinfo"}, want: "count the node's cpus: open /proc/stat: no such file or directory"},
		{name: "memory", scope: ScopeAuto, remove: []string{"proc/meminfo"}, want: "read the node's memory from /proc/meminfo: couldn't read /proc/meminfo: open /proc/meminfo: no such file or directory"},
		{name: "memory, cgroup", scope: ScopeCgroup, remove: []string{"proc/meminfo"}, want: "read the node's memory from /proc/meminfo: couldn't read /proc/meminfo: open /proc/meminfo: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "unlimited")
			f.remove("cgroup/app/cpuset.cpus.effective")
			for _, name := range tt.remove {
				f.remove(name)
			}
			_, err := f.reader(tt.scope, "").Read(t.Context())
			require.NotErrorIs(t, err, ErrNoInterval)
			require.Equal(t, tt.want, f.text(err))
		})
	}
}

// Counters of the node that stand still are waited for, and then gone without; without a cgroup that is an error.
func TestReaderPatience(t *testing.T) {
	const steps = 6 // of a second each, the first without an interval
	tests := []struct {
		name, fixture string
		scope         Scope
		moves         int    // the second at which the counters advance; 0 is never
		want          []bool // whether there is a reading, second by second
		err, note     string // the last
	}{
		{
			name: "cgroup continues", fixture: "cgroup2", scope: ScopeAuto,
			want: []bool{false, false, false, true, true, true},
			note: "read the node's cpu times: the counters of /proc/stat stand still",
		},
		{
			name: "the node comes back", fixture: "cgroup2", scope: ScopeAuto, moves: 5,
			want: []bool{false, false, false, true, true, true},
		},
		{
			name: "nothing else", fixture: "nocgroup", scope: ScopeAuto,
			want: []bool{false, false, false, false, false, false},
			err: "measure cpu: there has been no interval for 3s or longer: " +
				"the counters of host:/proc/stat stand still or started again",
		},
		{
			name: "host", fixture: "cgroup2", scope: ScopeHost,
			want: []bool{false, false, false, false, false, false},
			err: "measure cpu: there has been no interval for 3s or longer: " +
				"the counters of host:/proc/stat stand still or started again",
		},
		{
			name: "cgroup alone", fixture: "cgroup2", scope: ScopeCgroup,
			want: []bool{false, true, true, true, true, true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, tt.fixture)
			later := f.later["proc/stat"]
			f.later = nil
			r := f.reader(tt.scope, "")
			var got []bool
			var last Reading
			var err error
			for second := range steps {
				if second > 0 {
					if second == tt.moves {
						f.write("proc/stat", later)
					}
					f.next()
				}
				last, err = r.Read(t.Context())
				got = append(got, err == nil)
				if err != nil && second < 3 {
					require.ErrorIs(t, err, ErrNoInterval)
				}
			}
			require.Equal(t, tt.want, got)
			if tt.err != "" {
				require.NotErrorIs(t, err, ErrNoInterval)
				require.Equal(t, tt.err, f.text(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.note, f.normal(last).Note)
		})
	}
}

func TestAdd(t *testing.T) {
	require.Equal(t, uint64(6), add(1, 2, 3))
	require.Equal(t, uint64(math.MaxUint64), add(math.MaxUint64, 1))
	require.Equal(t, uint64(math.MaxUint64), add(math.MaxUint64-1, 1))
}
