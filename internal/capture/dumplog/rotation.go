package dumplog

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// continues reports whether the input called name may continue in the midst of a line that broke off in the one called
// before: it is the same file, made anew, or what followed it when a log was rotated.
//
//	0.log.20261123-012345.gz, 0.log         by the kubelet
//	c0ffee-json.log.1, c0ffee-json.log      by Docker
//	envoy.log-20261123.xz, envoy.log        by logrotate
func continues(before, name string) bool {
	if before == name {
		return true
	}
	log, rotated := cutRotation(before)
	other, _ := cutRotation(name)
	return rotated && log == other
}

// endings are the names' ends of compressed files.
var endings = []string{".gz", ".zst", ".xz", ".bz2"}

// cutRotation returns name without what a rotation has appended: a point or a hyphen, digits and hyphens, and the
// ending of a compressed file. rotated is false if there is no such thing.
func cutRotation(name string) (log string, rotated bool) {
	plain := name
	for _, ending := range endings {
		plain = strings.TrimSuffix(plain, ending)
	}
	digits := strings.TrimRight(plain, "0123456789-")
	log, rotated = strings.CutSuffix(digits, ".log.")
	if !rotated {
		// The hyphen before the date was taken for one within it.
		log, rotated = strings.CutSuffix(digits, ".log")
		rotated = rotated && strings.HasPrefix(plain[len(digits):], "-")
	}
	if !rotated || strings.HasSuffix(plain, ".") || strings.HasSuffix(plain, "-") {
		return name, false
	}
	return log + ".log", true
}

// Chronological returns names with the files of each log that was rotated in the order in which they were written,
// where the first of them stands; a shell gives the current one first. Others keep their places.
func Chronological(names []string) []string {
	logs := map[string][]string{}
	for _, name := range names {
		log, _ := cutRotation(name)
		logs[log] = append(logs[log], name)
	}
	ordered := make([]string, 0, len(names))
	for _, name := range names {
		log, _ := cutRotation(name)
		slices.SortStableFunc(logs[log], compareRotation)
		ordered = append(ordered, logs[log]...)
		logs[log] = nil
	}
	return ordered
}

// compareRotation orders two files of one log: those with a date by that, those with a number from the highest, which
// is the oldest, and the current one last.
func compareRotation(a, b string) int {
	key := func(name string) (rank int, number int, date string) {
		log, rotated := cutRotation(name)
		if !rotated {
			return 2, 0, ""
		}
		for _, ending := range endings {
			name = strings.TrimSuffix(name, ending)
		}
		const longest = len("1000")
		digits := name[len(log)+1:]
		if n, err := strconv.Atoi(digits); err == nil && len(digits) <= longest {
			return 1, -n, ""
		}
		return 0, 0, digits
	}
	rankA, numberA, dateA := key(a)
	rankB, numberB, dateB := key(b)
	return cmp.Or(cmp.Compare(rankA, rankB), cmp.Compare(numberA, numberB), cmp.Compare(dateA, dateB))
}
