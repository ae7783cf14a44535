package usage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"time"
)

// version is a cgroup version. It decides which files hold what.
type version int

const (
	cgroup1 version = 1
	cgroup2 version = 2
)

// source names a cgroup, as "cgroup2:/pod".
func (v version) source(path string) string { return "cgroup" + strconv.Itoa(int(v)) + ":" + path }

// cpuGroup is a cgroup's CPU usage and limit.
type cpuGroup struct {
	version version
	path    string // within the hierarchy, as "/kubepods/pod1"
	dir     string // with the quota: the controller cpu
	account string // the directory with the usage: cgroup v1's controller cpuacct, else dir
	cpuset  string // the directory with the set of CPUs; empty where it is not asked
	leaf    bool   // the cgroup itself, not an ancestor
}

// cpuSample is a cgroup's CPU counters at one moment.
type cpuSample struct {
	source           string
	usage            time.Duration // of CPU time
	throttledPeriods uint64
	limitCPUs        float64
	taken            time.Time
}

// read returns the counters and the limit: the least of the quota, the set of CPUs and the node's. An ancestor without
// a quota has nothing to say that its descendants or the node do not: ok is then false.
func (g cpuGroup) read(nodeCPUs int, now func() time.Time) (s cpuSample, ok bool, err error) {
	quota, err := g.quota()
	if err != nil {
		return cpuSample{}, false, fmt.Errorf("read cpu limit: %w", err)
	}
	if !g.leaf && math.IsInf(quota, 1) {
		return cpuSample{}, false, nil
	}
	cpus, err := g.cpus()
	if err != nil {
		return cpuSample{}, false, fmt.Errorf("read cpu set: %w", err)
	}
	if cpus == 0 {
		cpus = nodeCPUs
	}
	s = cpuSample{
		source:    g.version.source(g.path),
		limitCPUs: min(quota, float64(cpus), float64(nodeCPUs)),
	}
	if s.usage, s.throttledPeriods, err = g.stat(); err != nil {
		return cpuSample{}, false, fmt.Errorf("read cpu usage: %w", err)
	}
	s.taken = now()
	return s, true, nil
}

// quota returns the quota in CPUs, +Inf where there is none.
func (g cpuGroup) quota() (float64, error) {
	if g.version == cgroup2 {
		return optional(filepath.Join(g.dir, "cpu.max"), parseCPUMax, math.Inf(1))
	}
	quota, err := optional(filepath.Join(g.dir, "cpu.cfs_quota_us"), parseCFSQuota, -1)
	if err != nil || quota < 0 {
		return math.Inf(1), err
	}
	period, err := parseFile(filepath.Join(g.dir, "cpu.cfs_period_us"), parseCFSPeriod)
	if err != nil {
		return 0, err
	}
	return float64(quota) / float64(period), nil
}

// cpus returns the size of the set of CPUs, 0 where none is known.
func (g cpuGroup) cpus() (int, error) {
	if g.cpuset == "" {
		return 0, nil
	}
	names := []string{"cpuset.cpus.effective"}
	if g.version == cgroup1 {
		names = []string{"cpuset.effective_cpus", "cpuset.cpus"}
	}
	for _, name := range names {
		if n, err := optional(filepath.Join(g.cpuset, name), parseCPUSet, 0); n != 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// stat returns the CPU time used and the periods throttled since the cgroup was made.
func (g cpuGroup) stat() (usage time.Duration, throttledPeriods uint64, err error) {
	if g.version == cgroup2 {
		s, err := parseFile(filepath.Join(g.account, "cpu.stat"), parseCPUStat)
		return time.Duration(min(s.usageMicroseconds, math.MaxInt64/1000)) * time.Microsecond, s.throttledPeriods, err
	}
	nanoseconds, err := parseFile(filepath.Join(g.account, "cpuacct.usage"), parseUint)
	if err != nil {
		return 0, 0, err
	}
	throttledPeriods, err = optional(filepath.Join(g.dir, "cpu.stat"), parseThrottledPeriods, 0)
	return time.Duration(min(nanoseconds, math.MaxInt64)), throttledPeriods, err
}

// groupCPU returns the share of the limit that a cgroup used between two samples, 100 where it was throttled. The error
// is ErrNoInterval where there is no earlier sample, no time has passed, or the counters started again.
func groupCPU(previous, current cpuSample) (Figure, error) {
	elapsed := current.taken.Sub(previous.taken)
	switch {
	case previous.source == "":
		return Figure{}, fmt.Errorf("%w: first sample of %s", ErrNoInterval, current.source)
	case elapsed <= 0:
		return Figure{}, fmt.Errorf("%w: no time has passed for %s", ErrNoInterval, current.source)
	case current.usage < previous.usage, current.throttledPeriods < previous.throttledPeriods:
		return Figure{}, fmt.Errorf("%w: the counters of %s started again", ErrNoInterval, current.source)
	}
	f := Figure{Source: current.source, Taken: current.taken}
	if f.Throttled = current.throttledPeriods > previous.throttledPeriods; f.Throttled {
		f.Percent = 100
	} else {
		used := current.usage - previous.usage
		f.Percent = percent(used.Seconds(), elapsed.Seconds()*current.limitCPUs)
	}
	return f, nil
}

// memoryGroup is a cgroup's memory usage and limit.
type memoryGroup struct {
	version version
	path    string // within the hierarchy, as "/kubepods/pod1"
	dir     string
	leaf    bool // the cgroup itself, not an ancestor
}

// read returns the share of the limit that is used, without the page cache that the kernel would drop first. The limit
// of a cgroup that has none is the node's memory. An ancestor without a limit has nothing to say that its descendants
// or the node do not: ok is then false.
func (g memoryGroup) read(nodeBytes uint64, now func() time.Time) (f Figure, ok bool, err error) {
	limitName, usageName, parseLimit, parseStat := "memory.max", "memory.current", parseMax, parseMemoryStat2
	if g.version == cgroup1 {
		limitName, usageName = "memory.limit_in_bytes", "memory.usage_in_bytes"
		parseLimit, parseStat = parseLimitInBytes, parseMemoryStat1
	}
	limit, err := optional(filepath.Join(g.dir, limitName), parseLimit, noLimit)
	if err != nil {
		return Figure{}, false, fmt.Errorf("read memory limit: %w", err)
	}
	if !g.leaf && limit == noLimit {
		return Figure{}, false, nil
	}
	usage, err := parseFile(filepath.Join(g.dir, usageName), parseUint)
	if err != nil {
		return Figure{}, false, fmt.Errorf("read memory usage: %w", err)
	}
	stat, err := parseFile(filepath.Join(g.dir, "memory.stat"), parseStat)
	if err != nil {
		return Figure{}, false, fmt.Errorf("read memory usage: %w", err)
	}
	limit = min(limit, stat.limit, nodeBytes)
	usage -= min(usage, stat.inactiveFile) // read after usage, so it may be more
	return Figure{
		Percent: percent(float64(usage), float64(limit)),
		Source:  g.version.source(g.path),
		Taken:   now(),
	}, true, nil
}

// optional parses a file that the kernel has only where a controller is on, or from some version on.
func optional[T any](path string, parse func(io.Reader) (T, error), absent T) (T, error) {
	v, err := parseFile(path, parse)
	if errors.Is(err, fs.ErrNotExist) {
		return absent, nil
	}
	return v, err
}
