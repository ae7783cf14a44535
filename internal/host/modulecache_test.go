package host

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPruneKeepsTheNewest(t *testing.T) {
	for _, row := range []struct {
		name  string
		files int
		want  []string
	}{
		{"none", 0, nil},
		{"as many as are kept", 3, []string{"v0/0", "v0/2", "v1/1"}},
		{"one more", 4, []string{"v0/2", "v1/1", "v1/3"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			for i := range row.files { // of two versions of wazero, each newer than the one before
				name := filepath.Join(dir, fmt.Sprintf("v%d", i%2), fmt.Sprint(i))
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
				require.NoError(t, os.WriteFile(name, nil, 0o600))
				written := time.Unix(1732320000+int64(i), 0)
				require.NoError(t, os.Chtimes(name, written, written))
			}
			prune(dir, 3)
			var left []string
			names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
			require.NoError(t, err)
			for _, name := range names {
				name, err = filepath.Rel(dir, name)
				require.NoError(t, err)
				left = append(left, name)
			}
			require.Equal(t, row.want, left)
		})
	}
}

func TestModuleCacheIsTheUsers(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	dir := ModuleCache()
	require.DirExists(t, dir)
	require.True(t, filepath.IsLocal(must(filepath.Rel(home, dir))), dir)

	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	require.Empty(t, ModuleCache(), "a user without a home")
}

func must(name string, err error) string {
	if err != nil {
		panic(err)
	}
	return name
}
