package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMachine(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	_, err := Read(root)
	require.ErrorContains(t, err, "read the machine's processors")
	write("cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\n\n"+
		"processor\t: 1\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\n\n")
	_, err = Read(root)
	require.ErrorContains(t, err, "read the machine's memory")
	write("meminfo", "MemTotal:       25165824 kB\n")
	_, err = Read(root)
	require.ErrorContains(t, err, "read the machine's kernel")
	write("sys/kernel/osrelease", "6.18.5\n")
	_, err = Read(root)
	require.ErrorContains(t, err, "read the machine's load")
	write("loadavg", "0.25 0.10 0.05 1/100 4242\n")
	m, err := Read(root)
	require.NoError(t, err)
	write("loadavg", "2.00 0.10 0.05 1/100 4242\n")
	text, err := m.After()
	require.NoError(t, err)
	require.Equal(t, "AMD EPYC, 2 cores, 24 GiB; Linux 6.18.5; "+runtime.Version()+"; load average 0.2 before, 2.0 after", text)
}
