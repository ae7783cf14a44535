// Package machine says what a measurement ran on.
package machine

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
)

// Machine is a machine before a measurement.
type Machine struct {
	fs     procfs.FS
	model  string
	cores  int
	gib    uint64
	kernel string
	load   float64
}

// Read reads /proc, which is at root.
func Read(root string) (*Machine, error) {
	fs, err := procfs.NewFS(root)
	if err != nil {
		return nil, fmt.Errorf("read the machine: %w", err)
	}
	m := &Machine{fs: fs}
	cpus, err := fs.CPUInfo()
	if err != nil {
		return nil, fmt.Errorf("read the machine's processors: %w", err)
	}
	for i := range cpus {
		m.model, m.cores = cpus[i].ModelName, m.cores+1
	}
	memory, err := fs.Meminfo()
	if err != nil {
		return nil, fmt.Errorf("read the machine's memory: %w", err)
	}
	if memory.MemTotalBytes != nil {
		m.gib = (*memory.MemTotalBytes + 1<<29) >> 30
	}
	release, err := os.ReadFile(root + "/sys/kernel/osrelease")
	if err != nil {
		return nil, fmt.Errorf("read the machine's kernel: %w", err)
	}
	m.kernel = strings.TrimSpace(string(release))
	m.load, err = m.loadNow()
	return m, err
}

func (m *Machine) loadNow() (float64, error) {
	load, err := m.fs.LoadAvg()
	if err != nil {
		return 0, fmt.Errorf("read the machine's load: %w", err)
	}
	return load.Load1, nil
}

// After describes the machine after a measurement, in one line.
func (m *Machine) After() (string, error) {
	load, err := m.loadNow()
	return fmt.Sprintf("%s, %d cores, %d GiB; Linux %s; %s; load average %.1f before, %.1f after",
		m.model, m.cores, m.gib, m.kernel, runtime.Version(), m.load, load), err
}
