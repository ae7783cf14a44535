package capture

import "strings"

// continues reports whether the input called name may go on in the midst of a line that broke off in the one called
// before: it is the same file, made anew, or what followed it when a log was rotated.
//
//	0.log.20261123-012345, 0.log    by the kubelet
//	c0ffee-json.log.1, c0ffee-json.log    by Docker
func continues(before, name string) bool {
	if before == name {
		return true
	}
	log, rotated := cutRotation(before)
	other, _ := cutRotation(name)
	return rotated && log == other
}

// cutRotation returns name without the point, digits and hyphens that a rotation has appended. rotated is false where
// there are none.
func cutRotation(name string) (log string, rotated bool) {
	log, rotated = strings.CutSuffix(strings.TrimRight(name, "0123456789-"), ".log.")
	if !rotated || strings.HasSuffix(name, ".") {
		return name, false
	}
	return log + ".log", true
}
