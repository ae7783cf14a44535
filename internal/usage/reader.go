// Package usage measures how much of their CPU and memory the node and the process's cgroups use (Linux, cgroup v1, v2
// and both at once; macOS without cgroups), so that recording can stop before it hurts.
//
// A percentage is the largest of these: the node's busy share, and for each cgroup from the measured one up to the root
// of what is visible the share that it uses of its own limit. So the tightest limit decides, wherever it is set.
package usage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrNoInterval is Read's error while CPU usage is not known: it is counted since some moment, so two samples are
	// needed. It comes with a Reader's first Read, with the first one after counters started again (a cgroup was made
	// anew, or moved), and with one less than MinInterval after the last. The next Read can succeed; if none does for
	// a few seconds, the error is another one.
	ErrNoInterval = errors.New("measure cpu: there is no interval yet")
	// ErrNoCgroup is the error of a cgroup or a pod that cannot be seen.
	ErrNoCgroup = errors.New("no such cgroup is visible")
)

const (
	// MinInterval is the least time between two samples: the node counts in hundredths of a second.
	MinInterval = 50 * time.Millisecond
	// locateInterval is how often ScopeAuto looks for something better, and a process for the cgroup it may have been
	// moved to.
	locateInterval = time.Minute
	// patience is how long there may be no interval: counters that stand still for longer are not worth waiting for.
	patience = 3 * time.Second
)

// Options say what a Reader measures and where it looks.
type Options struct {
	// Proc is where procfs is, "/proc" if empty.
	Proc string
	// Cgroup is where the cgroup hierarchies are, "/sys/fs/cgroup" if empty. The node's, mounted into the pod, shows
	// the whole pod; a container's own shows the container.
	Cgroup string
	// Scope is ScopeAuto if empty.
	Scope Scope
	// PodUID is the pod's, as Kubernetes' downward API gives it. ScopePod needs it; ScopeAuto uses it.
	PodUID string
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// Reader reads usage. It is for one goroutine at a time.
type Reader struct {
	options Options
	host    host

	placement   *placement // nil until it is known
	locateAfter time.Time
	last        *sample   // the one that the next interval starts at; nil before the first
	waiting     time.Time // since when there is no interval; zero if there is one
	nodeMoved   time.Time // when the node's counters of CPU time were last seen to advance, or first seen
}

// placement is what is measured.
type placement struct {
	scope    Scope  // ScopeHost, ScopeCgroup or ScopePod
	withNode bool   // the node's figures count
	note     string // what was looked for and not found
	nodeCPUs int    // 0 if they are not known; countErr says why
	countErr error
	cpu      []cpuGroup    // the cgroup, then its ancestors
	memory   []memoryGroup // the cgroup, then its ancestors
}

// sample is all counters at one moment.
type sample struct {
	taken   time.Time // before the first counter was read
	node    nodeCPU
	nodeErr error // why node is not known
	cpu     []cpuSample
	memory  []Figure // the node's, if it is measured, then the cgroups'
	notes   []string // what cannot be measured
}

// podUID is what Kubernetes uses: a UUID, or a digest for a static pod.
var podUID = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?$`)

// NewReader returns a Reader. The error names every option that is wrong. What is not there to be read is Read's error:
// it may come later.
func NewReader(o Options) (*Reader, error) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Cgroup == "" {
		o.Cgroup = "/sys/fs/cgroup"
	}
	if o.Scope == "" {
		o.Scope = ScopeAuto
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Reader{options: o, host: host{proc: o.Proc}}, nil
}

// check returns all that is wrong with the options.
func (o *Options) check() error {
	var faults []error
	if _, err := ParseScope(string(o.Scope)); err != nil {
		faults = append(faults, err)
	}
	if !cgroupsSupported && (o.Scope == ScopeCgroup || o.Scope == ScopePod) {
		faults = append(faults, fmt.Errorf("measure scope %s: cgroups are Linux's, and this is %s: want auto or host",
			o.Scope, runtime.GOOS))
	}
	if o.PodUID == "" && o.Scope == ScopePod {
		faults = append(faults, errors.New("measure scope pod: want the pod's UID, got none"))
	}
	if o.PodUID != "" && !podUID.MatchString(o.PodUID) {
		faults = append(faults, fmt.Errorf("read pod UID: %w", malformed("up to 63 letters, digits and hyphens", o.PodUID)))
	}
	return errors.Join(faults...)
}

// Read measures now. CPU is about the time since the last Read that was MinInterval or more before this one; an error
// that is ErrNoInterval says that there is none yet. Any other error names the file and what was wrong with it. If
// ScopePod or ScopeCgroup has nothing to measure, it is ErrNoCgroup. ScopeAuto continues without what cannot be read.
func (r *Reader) Read(ctx context.Context) (Reading, error) {
	if err := ctx.Err(); err != nil {
		return Reading{}, err
	}
	reading, err := r.read(ctx)
	if !errors.Is(err, ErrNoInterval) {
		r.waiting = time.Time{}
		return reading, err
	}
	now := r.options.Clock()
	if r.waiting.IsZero() || now.Before(r.waiting) {
		r.waiting = now
	}
	if now.Sub(r.waiting) >= patience {
		cause := strings.TrimPrefix(err.Error(), ErrNoInterval.Error()+": ")
		return Reading{}, fmt.Errorf("measure cpu: there has been no interval for %v or longer: %s", patience, cause)
	}
	return Reading{}, err
}

// read is Read without patience.
func (r *Reader) read(ctx context.Context) (Reading, error) {
	s, err := r.sample(ctx)
	if isGone(err) { // the cgroup was removed, and may have been made anew elsewhere
		r.placement = nil
		s, err = r.sample(ctx)
	}
	if err != nil {
		return Reading{}, err
	}
	previous := r.last
	if previous == nil {
		r.last = s
		return Reading{}, fmt.Errorf("%w: first sample", ErrNoInterval)
	}
	if elapsed := s.taken.Sub(previous.taken); elapsed >= 0 && elapsed < MinInterval {
		return Reading{}, fmt.Errorf("%w: only %v since the last sample", ErrNoInterval, elapsed)
	}
	r.last = s
	return r.reading(previous, s)
}

// sample reads all counters.
func (r *Reader) sample(ctx context.Context) (*sample, error) {
	s := &sample{taken: r.options.Clock()}
	if err := r.locate(ctx, s.taken); err != nil {
		return nil, err
	}
	if err := r.sampleCPU(ctx, s); err != nil {
		return nil, err
	}
	if err := r.sampleMemory(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// sampleCPU reads the counters of CPU time.
func (r *Reader) sampleCPU(ctx context.Context, s *sample) error {
	p := r.placement
	s.nodeErr = p.countErr
	if p.withNode {
		s.node, s.nodeErr = r.host.readCPU(ctx, r.options.Clock)
	}
	for _, g := range p.cpu {
		c, ok, err := g.read(p.nodeCPUs, r.options.Clock)
		switch {
		case err == nil && ok:
			s.cpu = append(s.cpu, c)
		case err != nil && !p.passOver(s, err):
			return err
		}
	}
	if s.nodeErr == nil {
		return nil
	}
	if len(s.cpu) == 0 {
		return s.nodeErr
	}
	if p.withNode {
		s.note(s.nodeErr)
	}
	return nil
}

// sampleMemory reads how much memory is used.
func (r *Reader) sampleMemory(ctx context.Context, s *sample) error {
	p := r.placement
	node, nodeErr := r.host.readMemory(ctx, r.options.Clock)
	nodeBytes := node.total
	switch {
	case nodeErr != nil:
		nodeBytes = noLimit
	case p.withNode:
		s.memory = append(s.memory, r.host.memory(node))
	}
	for _, g := range p.memory {
		m, ok, err := g.read(nodeBytes, r.options.Clock)
		switch {
		case err == nil && ok:
			s.memory = append(s.memory, m.figure)
			s.note(m.missing)
		case err != nil && !p.passOver(s, err):
			return err
		}
	}
	if len(s.memory) == 0 {
		return nodeErr
	}
	if p.withNode {
		s.note(nodeErr)
	}
	return nil
}

// passOver notes that a cgroup's file may not be read, if the rest can be measured without it.
func (p *placement) passOver(s *sample, err error) bool {
	if !p.withNode || !errors.Is(err, fs.ErrPermission) {
		return false
	}
	s.note(err)
	return true
}

// note notes what cannot be measured; nil is nothing.
func (s *sample) note(err error) {
	if err != nil {
		s.notes = append(s.notes, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// locate finds what to measure, if it is not known or may have changed.
func (r *Reader) locate(ctx context.Context, now time.Time) error {
	// A pod's cgroup stays where it is, and finding it means walking the tree.
	if p := r.placement; p != nil && (p.scope == ScopePod || now.Before(r.locateAfter)) {
		return nil
	}
	p, err := locate(&r.options)
	if err != nil {
		return err
	}
	if len(p.cpu) > 0 {
		p.nodeCPUs, p.countErr = r.host.cpus(ctx)
	}
	r.placement, r.locateAfter = p, now.Add(locateInterval)
	return nil
}

// reading returns the figures for the interval between two samples.
func (r *Reader) reading(previous, current *sample) (Reading, error) {
	p := r.placement
	out := Reading{Scope: p.scope, MemoryParts: current.memory}
	if p.withNode && current.nodeErr == nil {
		f, err := r.nodeCPU(previous, current)
		switch {
		case err == nil:
			out.CPUParts = append(out.CPUParts, f)
		case errors.Is(err, ErrNoInterval):
			return Reading{}, err
		default:
			current.note(err)
		}
	}
	for _, c := range current.cpu {
		f, err := groupCPU(previous.find(c.source), c)
		if err != nil {
			return Reading{}, err
		}
		out.CPUParts = append(out.CPUParts, f)
	}
	notes := current.notes
	if p.note != "" {
		notes = append([]string{p.note}, notes...)
	}
	out.Note = strings.Join(notes, "; ")
	out.CPU, out.Memory = largest(out.CPUParts), largest(out.MemoryParts)
	return out, nil
}

// nodeCPU returns the node's figure. If its counters have stood still for too long and a cgroup can be measured, the
// error is not ErrNoInterval: it is for a note.
func (r *Reader) nodeCPU(previous, current *sample) (Figure, error) {
	if r.nodeMoved.IsZero() || previous.nodeErr != nil {
		r.nodeMoved = previous.taken
	}
	f, err := Figure{}, fmt.Errorf("%w: first sample of host:%s", ErrNoInterval, r.host.cpuSource())
	if previous.nodeErr == nil {
		f, err = r.host.cpu(previous.node, current.node)
	}
	switch {
	case err == nil:
		r.nodeMoved = current.taken
	case len(current.cpu) > 0 && current.taken.Sub(r.nodeMoved) >= patience:
		err = fmt.Errorf("read the node's cpu times: the counters of %s stand still", r.host.cpuSource())
	}
	return f, err
}

// find returns the sample of a source, the zero sample if there is none.
func (s *sample) find(source string) cpuSample {
	for _, c := range s.cpu {
		if c.source == source {
			return c
		}
	}
	return cpuSample{}
}

// isGone reports whether err is that of a cgroup which was removed; ENODEV comes from a file that was open then.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) }
