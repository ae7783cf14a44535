package dumplog

import "strings"

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

// cutRotation returns name without what a rotation has appended: a point or a hyphen, digits and hyphens, and the
// ending of a compressed file. rotated is false if there is no such thing.
func cutRotation(name string) (log string, rotated bool) {
	plain := name
	for _, ending := range []string{".gz", ".zst", ".xz", ".bz2"} {
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
