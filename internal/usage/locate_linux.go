package usage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/cgroups/v3"
	"github.com/moby/sys/mountinfo"
)

// cgroupsSupported says whether there are cgroups to be found.
const cgroupsSupported = true

// locate finds what o asks for. If ScopeAuto finds that a cgroup cannot be seen, it takes the next best and notes
// that; what can be seen and is malformed is an error in any case.
func locate(o *Options) (*placement, error) {
	switch o.Scope {
	case ScopeHost:
		return &placement{scope: ScopeHost, withNode: true}, nil
	case ScopePod:
		return locateWhole(ScopePod, o)
	case ScopeCgroup:
		return locateWhole(ScopeCgroup, o)
	}
	var notes []string
	scopes := []Scope{ScopePod, ScopeCgroup}
	if o.PodUID == "" {
		scopes = scopes[1:]
	}
	for _, scope := range scopes {
		p, missing, err := locateGroups(scope, o)
		if err != nil {
			missing = err
		}
		if missing != nil {
			if !isInvisible(missing) {
				return nil, missing
			}
			notes = append(notes, strings.ReplaceAll(missing.Error(), "\n", "; "))
		}
		if err == nil {
			p.withNode, p.note = true, strings.Join(notes, "; ")
			return p, nil
		}
	}
	return &placement{scope: ScopeHost, withNode: true, note: strings.Join(notes, "; ")}, nil
}

// locateWhole finds a cgroup that has both CPU and memory.
func locateWhole(scope Scope, o *Options) (*placement, error) {
	p, missing, err := locateGroups(scope, o)
	if err == nil {
		err = missing
	}
	if err == nil {
		return p, nil
	}
	if isInvisible(err) && !errors.Is(err, ErrNoCgroup) {
		err = fmt.Errorf("%w: %w", ErrNoCgroup, err)
	}
	return nil, fmt.Errorf("measure scope %s: %w", scope, err)
}

// locateGroups finds the pod's cgroup or the process's own. If only one of CPU and memory can be measured there,
// missing says why the other cannot; isInvisible holds for it.
func locateGroups(scope Scope, o *Options) (p *placement, missing, err error) {
	hierarchies, err := findHierarchies(o.Cgroup)
	if err != nil {
		return nil, nil, err
	}
	var find finder
	if scope == ScopePod {
		find = func(_ string, h hierarchy) (string, error) { return findPod(h.dir, o.PodUID) }
	} else if find, err = ownFinder(o.Proc); err != nil {
		return nil, nil, err
	}
	p = &placement{scope: scope}
	var cpuErr, memoryErr error
	p.cpu, cpuErr = cpuGroups(hierarchies, find)
	p.memory, memoryErr = memoryGroups(hierarchies, find)
	switch {
	case cpuErr != nil && !isInvisible(cpuErr):
		return nil, nil, cpuErr
	case memoryErr != nil && !isInvisible(memoryErr):
		return nil, nil, memoryErr
	case cpuErr == nil || memoryErr == nil:
		return p, errors.Join(cpuErr, memoryErr), nil
	case cpuErr.Error() == memoryErr.Error(): // one hierarchy, one reason
		return nil, nil, cpuErr
	}
	return nil, nil, errors.Join(cpuErr, memoryErr)
}

// finder returns the path, below a hierarchy's visible root, of the cgroup that is looked for.
type finder func(controller string, h hierarchy) (string, error)

// isInvisible reports whether err says that a cgroup cannot be seen from here, as opposed to one that is malformed.
func isInvisible(err error) bool {
	return errors.Is(err, ErrNoCgroup) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// hierarchy is a tree of cgroups.
type hierarchy struct {
	version version
	dir     string // of its root, as far as it is visible
}

// The controllers.
const (
	controllerCPU    = "cpu"
	controllerUsage  = "cpuacct" // cgroup v1's; in v2 the usage of CPU is always counted
	controllerCPUSet = "cpuset"
	controllerMemory = "memory"
)

// findHierarchies returns the hierarchy of each controller below root: one for all (cgroup v2), one for each or two
// (v1), or a mixture, with v2 in the folder unified.
func findHierarchies(root string) (map[string]hierarchy, error) {
	_, err := readControllers(root)
	if err == nil {
		h := hierarchy{version: cgroup2, dir: root}
		return map[string]hierarchy{
			controllerCPU: h, controllerUsage: h, controllerCPUSet: h, controllerMemory: h,
		}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	found := map[string]hierarchy{}
	for _, c := range []string{controllerCPU, controllerUsage, controllerCPUSet, controllerMemory} {
		names := []string{c}
		if c == controllerCPU || c == controllerUsage {
			names = append(names, "cpu,cpuacct", "cpuacct,cpu") // if the short names are not linked to it
		}
		for _, name := range names {
			dir := filepath.Join(root, name)
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				found[c] = hierarchy{version: cgroup1, dir: dir}
				break
			}
		}
	}
	dir := filepath.Join(root, "unified")
	unified, err := readControllers(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, c := range unified {
		switch h := (hierarchy{version: cgroup2, dir: dir}); c {
		case controllerCPU:
			found[controllerCPU], found[controllerUsage] = h, h
		case controllerCPUSet, controllerMemory:
			found[c] = h
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("find a cgroup hierarchy in %s: %w", root, ErrNoCgroup)
	}
	return found, nil
}

// readControllers returns the controllers of a cgroup v2 hierarchy.
func readControllers(dir string) ([]string, error) {
	return parseFile(filepath.Join(dir, "cgroup.controllers"), parseControllers)
}

// cpuGroups returns the cgroup that find finds and its ancestors, as far as CPU usage can be read.
func cpuGroups(hierarchies map[string]hierarchy, find finder) ([]cpuGroup, error) {
	account, ok := hierarchies[controllerUsage]
	if !ok {
		return nil, fmt.Errorf("find controller %s: %w", controllerUsage, ErrNoCgroup)
	}
	limit, ok := hierarchies[controllerCPU]
	name := controllerCPU
	if !ok { // usage without quotas
		limit, name = account, controllerUsage
	}
	leaf, err := find(name, limit)
	if err != nil {
		return nil, err
	}
	var groups []cpuGroup
	for p := range ancestors(leaf) {
		g := cpuGroup{
			version: limit.version, path: p, leaf: p == leaf,
			dir: filepath.Join(limit.dir, p), account: filepath.Join(account.dir, p),
		}
		file := "cpu.stat"
		if g.version == cgroup1 {
			file = "cpuacct.usage"
		}
		if _, err := os.Stat(filepath.Join(g.account, file)); err != nil {
			if g.leaf || !isInvisible(err) {
				return nil, err
			}
			continue
		}
		if h, ok := hierarchies[controllerCPUSet]; ok && g.leaf {
			// Its place may be another one than the quota's. What is not visible does not narrow anything.
			if set, err := find(controllerCPUSet, h); err == nil && h.version == g.version {
				g.cpuset = filepath.Join(h.dir, set)
			} else if err != nil && !isInvisible(err) {
				return nil, err
			}
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// memoryGroups returns the cgroup that find finds and its ancestors, as far as memory usage can be read.
func memoryGroups(hierarchies map[string]hierarchy, find finder) ([]memoryGroup, error) {
	h, ok := hierarchies[controllerMemory]
	if !ok {
		return nil, fmt.Errorf("find controller %s: %w", controllerMemory, ErrNoCgroup)
	}
	leaf, err := find(controllerMemory, h)
	if err != nil {
		return nil, err
	}
	var groups []memoryGroup
	for p := range ancestors(leaf) {
		g := memoryGroup{version: h.version, path: p, leaf: p == leaf, dir: filepath.Join(h.dir, p)}
		file := "memory.current"
		if g.version == cgroup1 {
			file = "memory.usage_in_bytes"
		}
		if _, err := os.Stat(filepath.Join(g.dir, file)); err == nil {
			groups = append(groups, g)
		} else if g.leaf || !isInvisible(err) {
			return nil, err
		}
	}
	return groups, nil
}

// ancestors yields p, which is absolute and clean, and each folder above it up to "/".
func ancestors(p string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for yield(p) && p != "/" {
			p = path.Dir(p)
		}
	}
}

// ownFinder returns a function that finds the process's own cgroup: its path below a hierarchy's visible root.
func ownFinder(proc string) (finder, error) {
	own, err := parseFile(filepath.Join(proc, "self", "cgroup"), parseOwn)
	if err != nil {
		return nil, err
	}
	mounts, err := parseFile(filepath.Join(proc, "self", "mountinfo"), parseCgroupMounts)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return func(controller string, h hierarchy) (string, error) {
		p := own.unified
		if h.version == cgroup1 {
			p = own.controllers[controller]
		}
		if p == "" {
			return "", fmt.Errorf("find the process's cgroup in %s: %w", h.dir, ErrNoCgroup)
		}
		visible, ok := below(mountRoot(mounts, h.dir), p)
		if !ok {
			return "", fmt.Errorf("find the process's cgroup %s in %s: %w", p, h.dir, ErrNoCgroup)
		}
		return visible, nil
	}, nil
}

// ownPaths is where a process is in each hierarchy. In a cgroup namespace paths begin at the namespace's root, and what
// is above it begins with "/..".
type ownPaths struct {
	controllers map[string]string // cgroup v1: by controller
	unified     string            // cgroup v2; empty if there is none
}

// parseOwn reads /proc/PID/cgroup (cgroups(7)).
func parseOwn(r io.Reader) (ownPaths, error) {
	controllers, unified, err := cgroups.ParseCgroupFromReaderUnified(r)
	if err != nil {
		return ownPaths{}, err
	}
	for controller, p := range controllers {
		if !strings.HasPrefix(p, "/") {
			return ownPaths{}, malformed("an absolute path for "+controller, p)
		}
	}
	if unified != "" && !strings.HasPrefix(unified, "/") {
		return ownPaths{}, malformed("an absolute path", unified)
	}
	return ownPaths{controllers: controllers, unified: unified}, nil
}

// parseCgroupMounts reads the cgroup mounts of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
func parseCgroupMounts(r io.Reader) ([]*mountinfo.Info, error) {
	return mountinfo.GetMountsFromReader(r, mountinfo.FSTypeFilter("cgroup", "cgroup2"))
}

// mountRoot returns the path, within its hierarchy, of the cgroup that is visible at dir, for below: "/" if the
// mounts do not tell. A container's runtime mounts just the container's own cgroup, so that its path ends where the mount begins.
func mountRoot(mounts []*mountinfo.Info, dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	root, longest := "/", -1
	for _, m := range mounts {
		// A later mount hides an earlier one at the same place.
		if rel, ok := below(m.Mountpoint, dir); ok && len(m.Mountpoint) >= longest {
			root, longest = strings.TrimSuffix(m.Root, "/")+rel, len(m.Mountpoint)
		}
	}
	return root
}

// below returns p as it is seen from root, "/" for root itself. It is not visible if it is not below root, or if
// the way there is not known: a path that leaves a cgroup namespace says how far up it goes, and not from where.
func below(root, p string) (visible string, ok bool) {
	root = strings.TrimSuffix(root, "/")
	rest, ok := strings.CutPrefix(p, root)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	if slices.Contains(strings.Split(rest, "/"), "..") {
		return "", false
	}
	return path.Clean("/" + rest), true
}
