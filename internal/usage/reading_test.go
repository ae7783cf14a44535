package usage

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadingString(t *testing.T) {
	r := Reading{
		CPU:    Figure{Percent: 100, Source: "cgroup2:/pod", Throttled: 12.5},
		Memory: Figure{Percent: 61.04, Source: "host:/proc/meminfo"},
		Scope:  ScopeCgroup,
	}
	require.Equal(t, "cpu 100.0% (cgroup2:/pod, throttled 12.5%), memory 61.0% (host:/proc/meminfo), scope cgroup", r.String())
	r.Note = "no pod"
	require.Equal(t,
		"cpu 100.0% (cgroup2:/pod, throttled 12.5%), memory 61.0% (host:/proc/meminfo), scope cgroup (no pod)", r.String())
}

func TestParseScope(t *testing.T) {
	for _, s := range []Scope{ScopeAuto, ScopeHost, ScopeCgroup, ScopePod} {
		t.Run(string(s), func(t *testing.T) {
			got, err := ParseScope(string(s))
			require.NoError(t, err)
			require.Equal(t, s, got)
		})
	}
	for _, text := range []string{"", "Auto", "node"} {
		t.Run("not "+text, func(t *testing.T) {
			_, err := ParseScope(text)
			require.EqualError(t, err, `parse scope: want auto, host, cgroup or pod, got "`+text+`"`)
		})
	}
}

func TestNewReaderOptions(t *testing.T) {
	long := "123456789012345678901234567890123456789012345678901234567890123"
	noCgroups := func(s Scope) error {
		if cgroupsSupported {
			return nil
		}
		return errors.New("measure scope " + string(s) + ": cgroups are Linux's, and this is " + runtime.GOOS +
			": want auto or host")
	}
	tests := []struct {
		name    string
		options Options
		want    error
	}{
		{name: "none", options: Options{}},
		{name: "host", options: Options{Scope: ScopeHost}},
		{name: "cgroup", options: Options{Scope: ScopeCgroup}, want: noCgroups(ScopeCgroup)},
		{name: "pod", options: Options{Scope: ScopePod, PodUID: "1"}, want: noCgroups(ScopePod)},
		{name: "longest UID", options: Options{PodUID: long}},
		{
			name: "longer UID", options: Options{PodUID: long + "4"},
			want: errors.New(`read pod UID: want up to 63 letters, digits and hyphens, got "` + long + `4"`),
		},
		{
			name: "UID that is a path", options: Options{PodUID: "../.."},
			want: errors.New(`read pod UID: want up to 63 letters, digits and hyphens, got "../.."`),
		},
		{
			name: "two faults", options: Options{Scope: "all", PodUID: "*"},
			want: errors.New(`parse scope: want auto, host, cgroup or pod, got "all"` + "\n" +
				`read pod UID: want up to 63 letters, digits and hyphens, got "*"`),
		},
		{
			name: "pod without UID", options: Options{Scope: ScopePod},
			want: errors.Join(noCgroups(ScopePod), errors.New("measure scope pod: want the pod's UID, got none")),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := NewReader(tt.options)
			if tt.want != nil {
				require.EqualError(t, err, tt.want.Error())
				return
			}
			require.NoError(t, err)
			require.NotNil(t, r)
		})
	}
}
