package usage

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/stretchr/testify/require"
)

func TestParseOwn(t *testing.T) {
	tests := []struct {
		name, text string
		want       ownPaths
		err        string
	}{
		{name: "v2", text: "0::/a b\n", want: ownPaths{controllers: map[string]string{}, unified: "/a b"}},
		{
			name: "v1 and v2", text: "4:cpu,cpuacct:/a:b\n1:name=systemd:/c\n0::/\n",
			want: ownPaths{
				controllers: map[string]string{"cpu": "/a:b", "cpuacct": "/a:b", "name=systemd": "/c"},
				unified:     "/",
			},
		},
		{name: "empty", want: ownPaths{controllers: map[string]string{}}},
		{name: "two fields", text: "0:/\n", err: `invalid cgroup entry: "0:/"`},
		{name: "relative", text: "4:cpu:a\n", err: `want an absolute path for cpu, got "a"`},
		{name: "no path", text: "4:cpu:\n", err: `want an absolute path for cpu, got ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseOwn(strings.NewReader(tt.text))
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func FuzzParseOwn(f *testing.F) {
	f.Add("0::/a\n4:cpu,cpuacct:/b\n")
	f.Add("0:\n")
	f.Fuzz(func(t *testing.T, text string) {
		own, err := parseOwn(strings.NewReader(text))
		if err != nil {
			require.Equal(t, ownPaths{}, own)
			return
		}
		for _, p := range own.controllers {
			require.True(t, strings.HasPrefix(p, "/"))
		}
	})
}

func FuzzParseCgroupMounts(f *testing.F) {
	f.Add("31 23 0:28 /a /sys/fs/cgroup ro,relatime - cgroup2 cgroup rw\n")
	f.Add("31 23 0:28 / /sys/fs/cgroup/cpu ro master:1 - cgroup cgroup rw,cpu\n31 23\n")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := parseCgroupMounts(strings.NewReader(text))
		if err != nil {
			return
		}
		if visible, ok := below(mountRoot(mounts, "/sys/fs/cgroup/cpu"), "/a/b"); ok {
			require.True(t, strings.HasPrefix(visible, "/"))
			require.NotContains(t, strings.Split(visible, "/"), "..")
		}
	})
}

func TestBelow(t *testing.T) {
	tests := []struct {
		name, root, path string
		want             string
		invisible        bool
	}{
		{name: "root of all", root: "/", path: "/a/b", want: "/a/b"},
		{name: "root itself", root: "/", path: "/", want: "/"},
		{name: "a container's mount", root: "/docker/1", path: "/docker/1", want: "/"},
		{name: "below a mount", root: "/docker/1", path: "/docker/1/a", want: "/a"},
		{name: "beside a mount", root: "/docker/1", path: "/docker/12", invisible: true},
		{name: "above a mount", root: "/docker/1", path: "/docker", invisible: true},
		{name: "namespace within a wider mount", root: "/../..", path: "/", invisible: true},
		{name: "outside the namespace", root: "/", path: "/../b", invisible: true},
		{name: "outside, and so is the mount", root: "/..", path: "/../b", want: "/b"},
		{name: "further outside than the mount", root: "/..", path: "/../../b", invisible: true},
		{name: "end of a path", root: "/", path: "/a/..", invisible: true},
		{name: "dots in a name", root: "/", path: "/a..b", want: "/a..b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := below(tt.root, tt.path)
			require.Equal(t, !tt.invisible, ok)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestMountRoot(t *testing.T) {
	mounts := []*mountinfo.Info{
		{Root: "/", Mountpoint: "/sys/fs/cgroup"},
		{Root: "/old", Mountpoint: "/host/cgroup"},
		{Root: "/../..", Mountpoint: "/host/cgroup"},
		{Root: "/docker/1", Mountpoint: "/sys/fs/cgroup/memory"},
	}
	tests := []struct {
		name, dir, want string
	}{
		{name: "mount", dir: "/sys/fs/cgroup", want: "/"},
		{name: "folder of a mount", dir: "/sys/fs/cgroup/a/b", want: "/a/b"},
		{name: "mount in a mount", dir: "/sys/fs/cgroup/memory", want: "/docker/1/"},
		{name: "its neighbor in name", dir: "/sys/fs/cgroup/memory2", want: "/memory2"},
		{name: "the later of two", dir: "/host/cgroup", want: "/../../"},
		{name: "folder of it", dir: "/host/cgroup/a", want: "/../../a"},
		{name: "none", dir: "/elsewhere", want: "/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, mountRoot(mounts, tt.dir))
		})
	}
}

func TestAncestors(t *testing.T) {
	require.Equal(t, []string{"/a/b", "/a", "/"}, slices.Collect(ancestors("/a/b")))
	require.Equal(t, []string{"/"}, slices.Collect(ancestors("/")))
}

func TestFindPod(t *testing.T) {
	const slice = "pod0b9f1c52_8f3e_4d0a_9c61_5a7e2d4b8f10.slice"
	tests := []struct {
		name, dir string
		missing   bool
	}{
		{name: "systemd, guaranteed", dir: "/kubepods.slice/kubepods-" + slice},
		{name: "systemd, burstable", dir: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-" + slice},
		{name: "systemd, best effort", dir: "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-" + slice},
		{
			name: "systemd, kubelet with a root cgroup",
			dir:  "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-" + slice,
		},
		{name: "cgroupfs, guaranteed", dir: "/kubepods/pod" + fixtureUID},
		{name: "cgroupfs, burstable", dir: "/kubepods/burstable/pod" + fixtureUID},
		{name: "cgroupfs, kubelet with a root cgroup", dir: "/kubelet/kubepods/besteffort/pod" + fixtureUID},
		{name: "deepest", dir: "/a/b/c/d/kubepods/pod" + fixtureUID},
		{name: "too deep", dir: "/a/b/c/d/e/kubepods/pod" + fixtureUID, missing: true},
		{name: "not the kubelet's", dir: "/user/pod" + fixtureUID, missing: true},
		{name: "another pod", dir: "/kubepods/pod" + fixtureUID + "0", missing: true},
		{name: "in another pod", dir: "/kubepods/pod1/pod" + fixtureUID, missing: true},
		{name: "in a container", dir: "/kubepods.slice/cri-1.scope/kubepods-" + slice, missing: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(root, tt.dir), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.controllers"), nil, 0o600))
			got, err := findPod(root, fixtureUID)
			if tt.missing {
				require.ErrorIs(t, err, ErrNoCgroup)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.dir, got)
		})
	}
}

func TestFindHierarchies(t *testing.T) {
	one := func(v version, dir string) map[string]hierarchy {
		h := hierarchy{version: v, dir: dir}
		return map[string]hierarchy{"cpu": h, "cpuacct": h, "cpuset": h, "memory": h}
	}
	tests := []struct {
		name  string
		files map[string]string // a directory where the name ends with a slash
		want  map[string]hierarchy
	}{
		{name: "v2", files: map[string]string{"cgroup.controllers": "cpu\n"}, want: one(cgroup2, "")},
		{
			name:  "v2 wins",
			files: map[string]string{"cgroup.controllers": "\n", "memory/": ""}, want: one(cgroup2, ""),
		},
		{
			name:  "v1, a folder each",
			files: map[string]string{"cpu/": "", "cpuacct/": "", "cpuset/": "", "memory/": ""},
			want: map[string]hierarchy{
				"cpu": {cgroup1, "/cpu"}, "cpuacct": {cgroup1, "/cpuacct"},
				"cpuset": {cgroup1, "/cpuset"}, "memory": {cgroup1, "/memory"},
			},
		},
		{
			name:  "v1, a shared folder without links",
			files: map[string]string{"cpuacct,cpu/": "", "memory/": ""},
			want: map[string]hierarchy{
				"cpu": {cgroup1, "/cpuacct,cpu"}, "cpuacct": {cgroup1, "/cpuacct,cpu"}, "memory": {cgroup1, "/memory"},
			},
		},
		{
			name:  "v1, v2 without controllers",
			files: map[string]string{"memory/": "", "unified/cgroup.controllers": "\n"},
			want:  map[string]hierarchy{"memory": {cgroup1, "/memory"}},
		},
		{
			name:  "v1, v2 with some",
			files: map[string]string{"memory/": "", "unified/cgroup.controllers": "cpu\n"},
			want: map[string]hierarchy{
				"cpu": {cgroup2, "/unified"}, "cpuacct": {cgroup2, "/unified"}, "memory": {cgroup1, "/memory"},
			},
		},
		{name: "none", files: map[string]string{"other/": ""}},
		{name: "v2 that has nothing to measure", files: map[string]string{"unified/cgroup.controllers": "pids\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name+"x")), 0o755))
				if !strings.HasSuffix(name, "/") {
					require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
				}
			}
			got, err := findHierarchies(root)
			if tt.want == nil {
				require.ErrorIs(t, err, ErrNoCgroup)
				return
			}
			require.NoError(t, err)
			for c, h := range got {
				got[c] = hierarchy{h.version, strings.TrimPrefix(h.dir, root)}
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// FuzzHost holds that the node's files make percentages or errors, whatever is in them.
func FuzzHost(f *testing.F) {
	f.Add("cpu 1 2 3 4 5 6 7\n", "cpu 2 3 4 5 6 7 8 9 10 11\n", "MemTotal: 2 kB\nMemAvailable: 1 kB\n")
	f.Add("cpu\n", "", "MemTotal: 1 kB\nMemFree: 2 kB\n")
	f.Fuzz(func(t *testing.T, first, second, meminfo string) {
		x := newFixture(t, "nocgroup")
		x.write("proc/stat", first)
		x.write("proc/meminfo", meminfo)
		x.later["proc/stat"] = second
		r := x.reader(ScopeHost, "")
		if _, err := r.Read(t.Context()); err == nil {
			t.Fatal("want an error: there is no interval")
		}
		x.next()
		got, err := r.Read(t.Context())
		if err != nil {
			require.Equal(t, Reading{}, got)
			return
		}
		for _, figure := range []Figure{got.CPU, got.Memory} {
			require.True(t, figure.Percent >= 0 && figure.Percent <= 100, "%v", figure)
		}
	})
}
