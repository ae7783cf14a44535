package usage

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
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
	throttledPeriods  uint64 // periods at whose end the cgroup was held back; 0 where the controller is off
}

// parseCPUStat reads cgroup v2's cpu.stat (kernel: admin-guide/cgroup-v2.rst).
func parseCPUStat(r io.Reader) (cpuStat, error) {
	var s cpuStat
	err := parseKeyed(r, "usage_usec", keyed{"usage_usec": &s.usageMicroseconds, "nr_throttled": &s.throttledPeriods})
	if err != nil {
		return cpuStat{}, err
	}
	return s, nil
}

// parseCPUMax reads cgroup v2's cpu.max, "quota period" in microseconds, and returns the quota in CPUs: +Inf for "max".
func parseCPUMax(r io.Reader) (float64, error) {
	text, err := parseLine(r)
	if err != nil {
		return 0, err
	}
	quota, period, found := strings.Cut(text, " ")
	if !found {
		return 0, malformed("a quota and a period", text)
	}
	p, err := strconv.ParseUint(period, 10, 63)
	if err != nil || p == 0 {
		return 0, malformed("a period in microseconds", text)
	}
	if quota == "max" {
		return math.Inf(1), nil
	}
	q, err := strconv.ParseUint(quota, 10, 63)
	if err != nil || q == 0 {
		return 0, malformed(`a quota in microseconds or "max"`, text)
	}
	return float64(q) / float64(p), nil
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

// parseThrottledPeriods reads nr_throttled of cgroup v1's cpu.stat.
func parseThrottledPeriods(r io.Reader) (uint64, error) {
	var v uint64
	err := parseKeyed(r, "nr_throttled", keyed{"nr_throttled": &v})
	return v, err
}

// memoryStat is what is used of a cgroup's memory.stat, in bytes.
type memoryStat struct {
	inactiveFile uint64 // page cache that the kernel drops first, with that of the cgroup's descendants
	limit        uint64 // the least of the cgroup's limit and its ancestors', visible or not; noLimit if it is not said
}

// parseMemoryStat2 reads cgroup v2's memory.stat, which does not say a limit (kernel: admin-guide/cgroup-v2.rst).
func parseMemoryStat2(r io.Reader) (memoryStat, error) {
	s := memoryStat{limit: noLimit}
	if err := parseKeyed(r, "inactive_file", keyed{"inactive_file": &s.inactiveFile}); err != nil {
		return memoryStat{}, err
	}
	return s, nil
}

// parseMemoryStat1 reads cgroup v1's memory.stat (kernel: admin-guide/cgroup-v1/memory.rst).
func parseMemoryStat1(r io.Reader) (memoryStat, error) {
	s := memoryStat{limit: noLimit}
	err := parseKeyed(r, "total_inactive_file", keyed{
		"total_inactive_file":       &s.inactiveFile,
		"hierarchical_memory_limit": &s.limit,
	})
	if err != nil {
		return memoryStat{}, err
	}
	if s.limit >= cgroup1NoLimit {
		s.limit = noLimit
	}
	return s, nil
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
