package usage

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// maxPodDepth is how many folders deep a pod's cgroup is looked for. It is 3 by default, and more if the kubelet has
// a root cgroup of its own.
const maxPodDepth = 6

// findPod returns the path below root of the cgroup that the kubelet made for the pod:
//
//	/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid, with _ for ->.slice   (systemd driver)
//	/kubepods/burstable/pod<uid>                                                               (cgroupfs driver)
//
// Both without the middle folder for a guaranteed pod, and with folders before for a kubelet with a root cgroup.
func findPod(root, uid string) (string, error) {
	slice, folder := "-pod"+strings.ReplaceAll(uid, "-", "_")+".slice", "pod"+uid
	found := ""
	root, err := filepath.EvalSymlinks(root) // cgroup v1 links cpu to cpu,cpuacct
	if err != nil {
		return "", fmt.Errorf("find pod %s: %w", uid, err)
	}
	err = filepath.WalkDir(root, func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			if p == root {
				return err
			}
			return fs.SkipDir // removed in the meantime, or not visible
		}
		if !entry.IsDir() || p == root {
			return nil
		}
		name, rel := entry.Name(), strings.TrimPrefix(p, strings.TrimSuffix(root, "/"))
		if strings.Contains(rel, "kubepods") && (name == folder || strings.HasSuffix(name, slice)) {
			found = rel
			return fs.SkipAll
		}
		if isLeafOfNode(name) || strings.Count(rel, "/") >= maxPodDepth {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("find pod %s in %s: %w", uid, root, err)
	}
	if found == "" {
		return "", fmt.Errorf("find pod %s in %s: %w", uid, root, ErrNoCgroup)
	}
	return found, nil
}

// isLeafOfNode reports whether there cannot be another pod's cgroup below one of that name, so that a walk is short
// on a node with many containers.
func isLeafOfNode(name string) bool {
	switch filepath.Ext(name) {
	case ".scope", ".service", ".mount", ".socket":
		return true
	case ".slice":
		return strings.Contains(name, "-pod")
	}
	return strings.HasPrefix(name, "pod")
}
