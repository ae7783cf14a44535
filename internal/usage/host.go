package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v4/common"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
)

// nodeCPU is the node's counters of CPU time at one moment.
type nodeCPU struct {
	times cpu.TimesStat // since the node's start
	taken time.Time
}

// nodeMemory is the node's memory at one moment, in bytes, without the huge pages that are set aside.
type nodeMemory struct {
	total, available uint64
	taken            time.Time
}

// host reads the node's counters below proc, which only Linux has.
type host struct {
	proc string
}

// readCPU returns the node's counters of CPU time. Counters that are all 0, as a sandbox shows them, are an error.
func (h host) readCPU(ctx context.Context, now func() time.Time) (nodeCPU, error) {
	times, err := cpu.TimesWithContext(h.context(ctx), false)
	if err != nil {
		return nodeCPU{}, fmt.Errorf("read the node's cpu times: %w", err)
	}
	if len(times) == 0 { // gopsutil swallows what is wrong with the file
		return nodeCPU{}, fmt.Errorf("read the node's cpu times: %w", h.explainNoTimes())
	}
	if sum(times[0]) == 0 {
		return nodeCPU{}, fmt.Errorf("read the node's cpu times: the counters of %s are all 0", h.cpuSource())
	}
	return nodeCPU{times: times[0], taken: now()}, nil
}

// readMemory returns the node's memory.
func (h host) readMemory(ctx context.Context, now func() time.Time) (nodeMemory, error) {
	memory, err := mem.VirtualMemoryWithContext(h.context(ctx))
	if err != nil {
		return nodeMemory{}, fmt.Errorf("read the node's memory from %s: %w", h.memorySource(), err)
	}
	if memory.Total == 0 || memory.Available == 0 && memory.Free == 0 {
		return nodeMemory{}, fmt.Errorf("read the node's memory from %s: want MemTotal and MemAvailable, got %d and %d bytes",
			h.memorySource(), memory.Total, memory.Available)
	}
	huge, err := h.hugePages()
	if err != nil {
		return nodeMemory{}, fmt.Errorf("read the node's memory: %w", err)
	}
	return nodeMemory{total: memory.Total - min(huge, memory.Total), available: memory.Available, taken: now()}, nil
}

// cpus returns how many CPUs the node has online.
func (h host) cpus(ctx context.Context) (int, error) {
	n, err := cpu.CountsWithContext(h.context(ctx), true)
	if err != nil {
		return 0, fmt.Errorf("count the node's cpus: %w", err)
	}
	if n == 0 {
		return 0, errors.New("count the node's cpus: found none")
	}
	return n, nil
}

// context tells gopsutil where proc is.
func (h host) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: h.proc})
}

// memory returns the share of the node's memory that is not available.
func (h host) memory(m nodeMemory) Figure {
	available := min(m.available, m.total)
	return Figure{
		Percent: percent(float64(m.total-available), float64(m.total)),
		Source:  "host:" + h.memorySource(),
		Taken:   m.taken,
	}
}

// cpu returns the share of the interval between two samples in which the node's CPUs were busy. The error is
// ErrNoInterval if the counters stand still or started again.
func (h host) cpu(previous, current nodeCPU) (Figure, error) {
	source := "host:" + h.cpuSource()
	p, c := previous.times, current.times
	if sum(c) <= sum(p) {
		return Figure{}, fmt.Errorf("%w: the counters of %s stand still or started again", ErrNoInterval, source)
	}
	// Guest time is part of user and nice. Idle and iowait may each go back a little: the kernel says so.
	idle := max(c.Idle-p.Idle, 0) + max(c.Iowait-p.Iowait, 0)
	busy := max(c.User-p.User, 0) + max(c.Nice-p.Nice, 0) + max(c.System-p.System, 0) +
		max(c.Irq-p.Irq, 0) + max(c.Softirq-p.Softirq, 0) + max(c.Steal-p.Steal, 0)
	return Figure{Percent: percent(busy, busy+idle), Source: source, Taken: current.taken}, nil
}

// sum returns all CPU time, idle or not, in seconds.
func sum(t cpu.TimesStat) float64 {
	return t.User + t.Nice + t.System + t.Idle + t.Iowait + t.Irq + t.Softirq + t.Steal
}
