// Package process runs a process and reads its CPU time and memory.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Process is a child process.
type Process struct {
	cmd    *exec.Cmd
	proc   procfs.Proc
	exited chan struct{}
	stop   context.CancelFunc
}

// Usage is what a process has used.
type Usage struct {
	CPUSeconds    float64 // user and system, of all threads
	ResidentBytes int64
	PeakBytes     int64 // the most resident bytes since the start or ResetPeak
}

// Command is what to start.
type Command struct {
	Path           string
	Args           []string // without the path
	Stdout, Stderr io.Writer
	// Patience is how long the process may take to exit when it is interrupted; then it is killed.
	Patience time.Duration
}

// Start starts a process. It is interrupted when ctx ends or Stop is called.
func Start(ctx context.Context, c Command) (*Process, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = c.Patience
	p := &Process{cmd: cmd, exited: make(chan struct{}), stop: cancel}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
		close(p.exited)
	}()
	var err error
	if p.proc, err = procfs.NewProc(cmd.Process.Pid); err != nil {
		return nil, errors.Join(fmt.Errorf("find the process of %s: %w", c.Path, err), p.Stop())
	}
	return p, nil
}

// Exited is closed when the process has exited.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Stop ends the process and waits until it has exited.
func (p *Process) Stop() error {
	p.stop()
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("stop %s: %s", p.cmd.Path, p.cmd.ProcessState)
	}
	return nil
}

// ResetPeak makes the present memory the peak (/proc/PID/clear_refs).
func (p *Process) ResetPeak() error {
	name := fmt.Sprintf("/proc/%d/clear_refs", p.proc.PID)
	if err := os.WriteFile(name, []byte("5"), 0); err != nil {
		return fmt.Errorf("reset a process's peak of memory: %w", err)
	}
	return nil
}

// Usage reads the process's CPU clock, which is finer than /proc/PID/stat, and /proc/PID/status.
func (p *Process) Usage() (Usage, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(cpuClock(p.proc.PID), &used); err != nil {
		return Usage{}, fmt.Errorf("read a process's CPU time: %w", err)
	}
	status, err := p.proc.NewStatus()
	if err != nil {
		return Usage{}, fmt.Errorf("read a process's memory: %w", err)
	}
	return Usage{
		CPUSeconds: time.Duration(used.Nano()).Seconds(), ResidentBytes: int64(status.VmRSS), PeakBytes: int64(status.VmHWM),
	}, nil
}

// cpuClock returns the clock of a process's CPU time, as clock_getcpuclockid(3) makes it.
func cpuClock(pid int) int32 {
	const scheduled = 2 // CPUCLOCK_SCHED: user and system
	return int32(^pid)<<3 | scheduled
}
