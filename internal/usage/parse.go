package usage

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// noLimit is a limit that is not there, in bytes.
	noLimit = uint64(math.MaxUint64)
	// cgroup1NoLimit is where cgroup v1's "no limit" begins: the kernel writes the largest multiple of the page size
	// that fits in 63 bits, so the value depends on the machine.
	cgroup1NoLimit = uint64(1) << 62
	// maxCPUs bounds what a cpuset may name; Linux stops at 8192.
	maxCPUs = 1 << 16
	// maxValueBytes bounds a file that holds one line.
	maxValueBytes = 64 << 10
	// maxQuoted is how much of a malformed text an error repeats.
	maxQuoted = 80
)

// parseFile opens path and parses it. An error names path; a file or directory that is not there is fs.ErrNotExist.
func parseFile[T any](path string, parse func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(path)
	if err != nil {
		var none T
		return none, err
	}
	defer func() { _ = f.Close() }() // it was only read
	v, err := parse(f)
	if err != nil {
		return v, fmt.Errorf("parse %s: %w", path, err)
	}
	return v, nil
}

// cpuStat is a cgroup's use of CPU since it was made.
type cpuStat struct {
	usageMicroseconds uint64
	throttling        throttling
}

// throttling counts a quota's periods since the cgroup was made; both are 0 if the controller is off.
type throttling struct {
	periods   uint64 // in which the cgroup ran
	throttled uint64 // of them, those in which it used up its quota and was held back
}

// parseCPUStat reads cgroup v2's cpu.stat (kernel: admin-guide/cgroup-v2.rst).
func parseCPUStat(r io.Reader) (cpuStat, error) {
	var s cpuStat
	err := parseKeyed(r, "usage_usec", keyed{
		"usage_usec": &s.usageMicroseconds, "nr_periods": &s.throttling.periods, "nr_throttled": &s.throttling.throttled,
	})
	if err != nil {
		return cpuStat{}, err
	}
	return s, nil
}

// quota is a limit of CPU time per period.
type quota struct {
	cpus   float64       // +Inf if there is none
	period time.Duration // 0 if it is not known
}

// parseCPUMax reads cgroup v2's cpu.max, "quota period" in microseconds; the quota is "max" if there is none.
func parseCPUMax(r io.Reader) (quota, error) {
	text, err := parseLine(r)
	if err != nil {
		return quota{}, err
	}
	most, period, found := strings.Cut(text, " ")
	if !found {
		return quota{}, malformed("a quota and a period", text)
	}
	p, err := strconv.ParseUint(period, 10, 63)
	if err != nil || p == 0 {
		return quota{}, malformed("a period in microseconds", text)
	}
	out := quota{cpus: math.Inf(1), period: microseconds(p)}
	if most == "max" {
		return out, nil
	}
	q, err := strconv.ParseUint(most, 10, 63)
	if err != nil || q == 0 {
		return quota{}, malformed(`a quota in microseconds or "max"`, text)
	}
	out.cpus = float64(q) / float64(p)
	return out, nil
}

// microseconds returns n microseconds, or the longest duration if that is shorter.
func microseconds(n uint64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/1000)) * time.Microsecond
}

// parseMax reads a limit of cgroup v2, as memory.max, in bytes: noLimit for "max".
func parseMax(r io.Reader) (uint64, error) {
	text, err := parseLine(r)
	if err != nil {
		return 0, err
	}
	if text == "max" {
		return noLimit, nil
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, malformed(`bytes or "max"`, text)
	}
	return v, nil
}

// parseLimitInBytes reads a limit of cgroup v1, as memory.limit_in_bytes: noLimit for the kernel's huge "no limit".
func parseLimitInBytes(r io.Reader) (uint64, error) {
	v, err := parseUint(r)
	if err == nil && v >= cgroup1NoLimit {
		return noLimit, nil
	}
	return v, err
}

// parseUint reads a file that holds one number, as memory.current or cpuacct.usage.
func parseUint(r io.Reader) (uint64, error) {
	text, err := parseLine(r)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, malformed("a number", text)
	}
	return v, nil
}

// parseCFSQuota reads cgroup v1's cpu.cfs_quota_us, in microseconds: -1 is no quota.
func parseCFSQuota(r io.Reader) (int64, error) {
	text, err := parseLine(r)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v == 0 || v < -1 {
		return 0, malformed("a quota in microseconds or -1", text)
	}
	return v, nil
}

// parseCFSPeriod reads cgroup v1's cpu.cfs_period_us, in microseconds.
func parseCFSPeriod(r io.Reader) (uint64, error) {
	v, err := parseUint(r)
	if err == nil && v == 0 {
		return 0, malformed("a period in microseconds", "0")
	}
	return v, err
}

// parseThrottling reads cgroup v1's cpu.stat.
func parseThrottling(r io.Reader) (throttling, error) {
	var t throttling
	if err := parseKeyed(r, "nr_throttled", keyed{"nr_periods": &t.periods, "nr_throttled": &t.throttled}); err != nil {
		return throttling{}, err
	}
	return t, nil
}

// memoryStat is what is used of a cgroup's memory.stat, in bytes.
type memoryStat struct {
	// reclaimable is what the kernel takes back before it refuses memory to anybody, with that of the cgroup's
	// descendants: the page cache of files (not of shared memory, which only swap can hold) and caches of inodes and
	// directory entries.
	reclaimable uint64
	limit       uint64 // the least of the cgroup's limit and its ancestors', visible or not; noLimit if it is not said
}

// parseMemoryStat2 reads cgroup v2's memory.stat, which does not say a limit (kernel: admin-guide/cgroup-v2.rst).
func parseMemoryStat2(r io.Reader) (memoryStat, error) {
	var inactive, active, slab uint64
	err := parseKeyed(r, "inactive_file", keyed{
		"inactive_file": &inactive, "active_file": &active, "slab_reclaimable": &slab,
	})
	if err != nil {
		return memoryStat{}, err
	}
	return memoryStat{reclaimable: add(inactive, active, slab), limit: noLimit}, nil
}

// parseMemoryStat1 reads cgroup v1's memory.stat, which does not say how much slab is reclaimable (kernel:
// admin-guide/cgroup-v1/memory.rst).
func parseMemoryStat1(r io.Reader) (memoryStat, error) {
	s := memoryStat{limit: noLimit}
	var inactive, active uint64
	err := parseKeyed(r, "total_inactive_file", keyed{
		"total_inactive_file":       &inactive,
		"total_active_file":         &active,
		"hierarchical_memory_limit": &s.limit,
	})
	if err != nil {
		return memoryStat{}, err
	}
	s.reclaimable = add(inactive, active)
	if s.limit >= cgroup1NoLimit {
		s.limit = noLimit
	}
	return s, nil
}

// add returns the sum of counters, at most the largest number.
func add(counters ...uint64) uint64 {
	sum := uint64(0)
	for _, n := range counters {
		sum += min(n, math.MaxUint64-sum)
	}
	return sum
}

// parseHugePages reads from /proc/meminfo how many bytes the node has set aside as huge pages, used or not: 0 if it has
// none. No other memory can be taken from them, so MemAvailable leaves them out while MemTotal has them (kernel:
// admin-guide/mm/hugetlbpage.rst).
func parseHugePages(r io.Reader) (uint64, error) {
	var kilobytes, pages, pageKilobytes uint64
	values := map[string]*uint64{"Hugetlb": &kilobytes, "HugePages_Total": &pages, "Hugepagesize": &pageKilobytes}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		into := values[key]
		if into == nil {
			continue
		}
		v, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(value, " kB")), 10, 63)
		if err != nil {
			return 0, malformed(key+" and a number", lines.Text())
		}
		*into = v
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	// Hugetlb is of every page size; kernels before 4.17 do not have it.
	most := max(kilobytes, multiply(pages, pageKilobytes))
	return multiply(most, 1024), nil
}

// multiply returns the product, or the largest number if that is smaller.
func multiply(a, b uint64) uint64 {
	if high, low := bits.Mul64(a, b); high == 0 {
		return low
	}
	return math.MaxUint64
}

// parseCPUSet reads a list of CPUs, as "0-3,7", and returns how many it names: 0 for an empty list.
func parseCPUSet(r io.Reader) (int, error) {
	text, err := parseLine(r)
	if err != nil || text == "" {
		return 0, err
	}
	const want = `CPUs as "0-3,7"`
	count := 0
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		low, err := strconv.ParseUint(first, 10, 32)
		if err != nil {
			return 0, malformed(want, text)
		}
		high, err := strconv.ParseUint(last, 10, 32)
		if err != nil || high < low || high >= maxCPUs {
			return 0, malformed(want, text)
		}
		count += int(high-low) + 1
	}
	if count > maxCPUs {
		return 0, malformed(want, text)
	}
	return count, nil
}

// parseControllers reads cgroup v2's cgroup.controllers: names with blanks between.
func parseControllers(r io.Reader) ([]string, error) {
	text, err := parseLine(r)
	return strings.Fields(text), err
}

// parseLine reads a file that holds at most one line, without its end.
func parseLine(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxValueBytes+1))
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(string(b), "\n")
	if len(b) > maxValueBytes || strings.Contains(text, "\n") {
		return "", malformed("one line", text)
	}
	return text, nil
}

// keyed is where the values of a "key value" file go.
type keyed map[string]*uint64

// parseKeyed reads "key value" lines into values. There must be exactly one with the required key; the others may be
// absent. Lines with other keys are the kernel's business and are skipped.
func parseKeyed(r io.Reader, required string, values keyed) error {
	found := 0
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		into := values[key]
		if into == nil {
			continue
		}
		v, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return malformed(key+" and a number", lines.Text())
		}
		*into = v
		if key == required {
			found++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("find %s: %w", required, err)
	}
	if found != 1 {
		return fmt.Errorf("want one line with %s and a number, got %d", required, found)
	}
	return nil
}

// malformed returns the error for a text that is not what was wanted.
func malformed(want, got string) error {
	if len(got) > maxQuoted {
		return fmt.Errorf("want %s, got %q and %d bytes more", want, got[:maxQuoted], len(got)-maxQuoted)
	}
	return fmt.Errorf("want %s, got %q", want, got)
}
