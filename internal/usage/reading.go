package usage

import (
	"fmt"
	"strings"
	"time"
)

// Figure is one measured percentage, where it came from and when it was taken.
type Figure struct {
	// Percent is 0 to 100: of the node's capacity, or of a cgroup's limit.
	Percent float64
	// Source is what was measured, as "host:/proc/stat" or "cgroup2:/kubepods.slice/kubepods-pod1.slice"; the path is
	// the cgroup's within the hierarchy that is visible.
	Source string
	// Throttled is the share of the interval's periods in which the kernel held the cgroup back, in percent. Percent is
	// at least that much.
	Throttled float64
	// Taken is when the counters were read; a CPU figure is about the interval that ended then.
	Taken time.Time
}

// String returns the percentage and its source, as "93.1% (cgroup2:/pod, throttled 10.0%)".
func (f Figure) String() string {
	if f.Throttled > 0 {
		return fmt.Sprintf("%.1f%% (%s, throttled %.1f%%)", f.Percent, f.Source, f.Throttled)
	}
	return fmt.Sprintf("%.1f%% (%s)", f.Percent, f.Source)
}

// Reading is what one Read measured. Its slices are shared between readers of the same Reading: do not change them.
type Reading struct {
	// CPU and Memory are the largest of their parts.
	CPU, Memory Figure
	// CPUParts and MemoryParts are the figures that were compared: the node first, then the cgroup, then its ancestors.
	CPUParts, MemoryParts []Figure
	// Scope is what was measured: ScopeHost, or ScopeCgroup or ScopePod, with the node if ScopeAuto was asked for and the
	// node can be measured.
	Scope Scope
	// Note says what was looked for and cannot be measured. It is empty if nothing was missing.
	Note string
}

// String returns both figures, the scope and the note on one line.
func (r Reading) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cpu %v, memory %v, scope %s", r.CPU, r.Memory, r.Scope)
	if r.Note != "" {
		fmt.Fprintf(&b, " (%s)", r.Note)
	}
	return b.String()
}

// largest returns the figure with the highest percentage, the first of equal ones. There is at least one.
func largest(parts []Figure) Figure {
	most := parts[0]
	for _, f := range parts[1:] {
		if f.Percent > most.Percent {
			most = f
		}
	}
	return most
}

// percent returns part of whole in percent, between 0 and 100: counters that are read one after the other can exceed
// each other by a little. All of nothing is 100.
func percent(part, whole float64) float64 {
	if whole <= 0 {
		return 100
	}
	return min(max(part/whole*100, 0), 100)
}
