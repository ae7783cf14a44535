package host

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// maxCachedModules is how many compiled modules are kept: some 7 MB each.
const maxCachedModules = 32

// ModuleCache returns the folder in which this user's compiled modules are kept, for Options.CacheDir; empty if this
// user has no such folder. All processes share it: a module is found by its content and that of the compiler's version.
// It removes the oldest modules, so that the folder does not grow with each change of a plugin.
func ModuleCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	dir = filepath.Join(dir, "l4dump", "modules")
	if os.MkdirAll(dir, 0o700) != nil {
		return ""
	}
	prune(dir, maxCachedModules)
	return dir
}

// prune removes all but the newest files in the folders of dir, of which wazero makes one for each of its versions. What
// it cannot remove stays: another process may have removed it, and nothing depends on it.
func prune(dir string, keep int) {
	type file struct {
		name    string
		written time.Time
	}
	var files []file
	names, _ := filepath.Glob(filepath.Join(dir, "*", "*")) // the pattern is valid
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			files = append(files, file{name, info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(b.written.Compare(a.written), cmp.Compare(a.name, b.name))
	})
	for _, old := range files[min(keep, len(files)):] {
		_ = os.Remove(old.name)
	}
}
