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
	cpuset  string // the directory with the set of CPUs; empty if it is not asked
	leaf    bool   // the cgroup itself, not an ancestor
}

// cpuSample is a cgroup's CPU counters at one moment.
type cpuSample struct {
	source     string
	usage      time.Duration // of CPU time
	throttling throttling
	period     time.Duration // of the quota; 0 if it is not known
	limitCPUs  float64
	taken      time.Time
}

// read returns the counters and the limit: the least of the quota, the set of CPUs and the node's, of which there are 0
// if they are not known. An ancestor without a quota adds nothing to its descendants and the node, and a cgroup without
// any limit has nothing to be a share of: ok is then false.
func (g cpuGroup) read(nodeCPUs int, now func() time.Time) (s cpuSample, ok bool, err error) {
	quota, err := g.quota()
	if err != nil {
		return cpuSample{}, false, fmt.Errorf("read cpu limit: %w", err)
	}
	if !g.leaf && math.IsInf(quota.cpus, 1) {
		return cpuSample{}, false, nil
	}
	cpus, err := g.cpus()
	if err != nil {
		return cpuSample{}, false, fmt.Errorf("read cpu set: %w", err)
	}
	s = cpuSample{source: g.version.source(g.path), period: quota.period, limitCPUs: quota.cpus}
	for _, n := range []int{cpus, nodeCPUs} {
		if n > 0 {
			s.limitCPUs = min(s.limitCPUs, float64(n))
		}
	}
	if math.IsInf(s.limitCPUs, 1) {
		return cpuSample{}, false, nil
	}
	if s.usage, s.throttling, err = g.stat(); err != nil {
		return cpuSample{}, false, fmt.Errorf("read cpu usage: %w", err)
	}
	s.taken = now()
	return s, true, nil
}

// quota returns the cgroup's own quota.
func (g cpuGroup) quota() (quota, error) {
	none := quota{cpus: math.Inf(1)}
	if g.version == cgroup2 {
		return optional(filepath.Join(g.dir, "cpu.max"), parseCPUMax, none)
	}
	most, err := optional(filepath.Join(g.dir, "cpu.cfs_quota_us"), parseCFSQuota, -1)
	if err != nil || most < 0 {
		return none, err
	}
	period, err := parseFile(filepath.Join(g.dir, "cpu.cfs_period_us"), parseCFSPeriod)
	if err != nil {
		return quota{}, err
	}
	return quota{cpus: float64(most) / float64(period), period: microseconds(period)}, nil
}

// cpus returns the size of the set of CPUs, 0 if none is known.
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

// stat returns the CPU time used and the throttling since the cgroup was made.
func (g cpuGroup) stat() (usage time.Duration, t throttling, err error) {
	if g.version == cgroup2 {
		s, err := parseFile(filepath.Join(g.account, "cpu.stat"), parseCPUStat)
		return microseconds(s.usageMicroseconds), s.throttling, err
	}
	nanoseconds, err := parseFile(filepath.Join(g.account, "cpuacct.usage"), parseUint)
	if err != nil {
		return 0, throttling{}, err
	}
	t, err = optional(filepath.Join(g.dir, "cpu.stat"), parseThrottling, throttling{})
	return time.Duration(min(nanoseconds, math.MaxInt64)), t, err
}

// groupCPU returns the share of the limit that a cgroup used between two samples, or the share of the interval in which
// it was throttled if that is more: a cgroup with many threads can be held back in every period without using all of its
// quota. The error is ErrNoInterval if there is no earlier sample, no time has passed, or the counters started again.
func groupCPU(previous, current cpuSample) (Figure, error) {
	elapsed := current.taken.Sub(previous.taken)
	switch {
	case previous.source == "":
		return Figure{}, fmt.Errorf("%w: first sample of %s", ErrNoInterval, current.source)
	case elapsed <= 0:
		return Figure{}, fmt.Errorf("%w: no time has passed for %s", ErrNoInterval, current.source)
	case current.usage < previous.usage, current.throttling.throttled < previous.throttling.throttled:
		return Figure{}, fmt.Errorf("%w: the counters of %s started again", ErrNoInterval, current.source)
	}
	used := current.usage - previous.usage
	f := Figure{Source: current.source, Taken: current.taken, Throttled: throttled(previous, current)}
	f.Percent = max(percent(used.Seconds(), elapsed.Seconds()*current.limitCPUs), f.Throttled)
	return f, nil
}

// throttled returns the share of an interval's periods in which a cgroup was held back, in percent. The kernel counts
// only periods in which the cgroup ran, so the length of the interval counts too: one throttled period of a cgroup that
// then rests is not the whole interval.
func throttled(previous, current cpuSample) float64 {
	held := current.throttling.throttled - previous.throttling.throttled
	if held == 0 {
		return 0
	}
	// There may be fewer than before: the line is not there while the controller is off.
	periods := float64(current.throttling.periods - min(previous.throttling.periods, current.throttling.periods))
	if current.period > 0 {
		periods = max(periods, current.taken.Sub(previous.taken).Seconds()/current.period.Seconds())
	}
	return percent(float64(held), periods)
}

// memoryGroup is a cgroup's memory usage and limit.
type memoryGroup struct {
	version version
	path    string // within the hierarchy, as "/kubepods/pod1"
	dir     string
	leaf    bool // the cgroup itself, not an ancestor
}

// memorySample is a cgroup's memory at one moment.
type memorySample struct {
	figure Figure
	// missing says why what the kernel would give back counts as used; nil if it does not.
	missing error
}

// read returns the share of the limit that is used, without what the kernel would give back. The limit is the least of
// the cgroup's, the one from which the kernel slows it down (cgroup v2's memory.high), and the node's memory, noLimit if
// that is not known. An ancestor without a limit adds nothing to its descendants and the node, and a cgroup without any
// limit has nothing to be a share of: ok is then false.
func (g memoryGroup) read(nodeBytes uint64, now func() time.Time) (s memorySample, ok bool, err error) {
	usageName, parseStat := "memory.current", parseMemoryStat2
	limits := []limitFile{{"memory.max", parseMax}, {"memory.high", parseMax}}
	if g.version == cgroup1 {
		usageName, parseStat = "memory.usage_in_bytes", parseMemoryStat1
		limits = []limitFile{{"memory.limit_in_bytes", parseLimitInBytes}}
	}
	limit := noLimit
	for _, file := range limits {
		bytes, err := optional(filepath.Join(g.dir, file.name), file.parse, noLimit)
		if err != nil {
			return memorySample{}, false, fmt.Errorf("read memory limit: %w", err)
		}
		limit = min(limit, bytes)
	}
	if !g.leaf && limit == noLimit {
		return memorySample{}, false, nil
	}
	usage, err := parseFile(filepath.Join(g.dir, usageName), parseUint)
	if err != nil {
		return memorySample{}, false, fmt.Errorf("read memory usage: %w", err)
	}
	stat, err := parseFile(filepath.Join(g.dir, "memory.stat"), parseStat)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // as in a sandbox
		s.missing = fmt.Errorf("page cache counts as used: %w", err)
		stat, err = memoryStat{limit: noLimit}, nil
	}
	if err != nil {
		return memorySample{}, false, fmt.Errorf("read memory usage: %w", err)
	}
	if limit = min(limit, stat.limit, nodeBytes); limit == noLimit {
		return memorySample{}, false, nil
	}
	usage -= min(usage, stat.reclaimable) // read after usage, so it may be more
	s.figure = Figure{
		Percent: percent(float64(usage), float64(limit)),
		Source:  g.version.source(g.path),
		Taken:   now(),
	}
	return s, true, nil
}

// limitFile is a file that holds a limit in bytes.
type limitFile struct {
	name  string
	parse func(io.Reader) (uint64, error)
}

// optional parses a file that the kernel has only if a controller is on, or from some version on.
func optional[T any](path string, parse func(io.Reader) (T, error), absent T) (T, error) {
	v, err := parseFile(path, parse)
	if errors.Is(err, fs.ErrNotExist) {
		return absent, nil
	}
	return v, err
}
