package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// logPipe is a proxy's standard error as a container's runtime makes it: a pipe with a reader, which can stop. What was
// read is in a file.
type logPipe struct {
	t       *testing.T
	log     string // path of the file
	write   *os.File
	reading sync.Mutex // held while the reader stands still
	stalled bool       // it does so by stall
}

// newLogPipe returns a pipe whose reader reads. It ends when the test does, after the proxy that writes.
func newLogPipe(t *testing.T) *logPipe {
	t.Helper()
	p := &logPipe{t: t, log: filepath.Join(t.TempDir(), "log")}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	p.write = write
	log, err := os.Create(p.log)
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		block := make([]byte, 1<<16)
		for {
			p.reading.Lock()
			p.reading.Unlock() //nolint:staticcheck // empty on purpose: it waits while the reader stands still
			n, err := read.Read(block)
			_, _ = log.Write(block[:n]) // the test misses what is not there
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = write.Close()
		<-ended
		_ = read.Close()
		_ = log.Close()
	})
	return p
}

// stall makes the reader stand still, after at most one more read, until resume.
func (p *logPipe) stall() {
	p.reading.Lock()
	p.stalled = true
}

// resume lets the reader read again, if it does not. A test that ends calls it first, so that the proxy can end.
func (p *logPipe) resume() {
	if p.stalled {
		p.stalled = false
		p.reading.Unlock()
	}
}

// full reports whether a writer must wait.
func (p *logPipe) full() bool {
	p.t.Helper()
	raw, err := p.write.SyscallConn()
	require.NoError(p.t, err)
	writable := 0
	var fault error
	require.NoError(p.t, raw.Control(func(fd uintptr) {
		writable, fault = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 0)
	}))
	if errors.Is(fault, unix.EINTR) {
		return false
	}
	require.NoError(p.t, fault)
	return writable == 0
}

// waitsForPipe reports whether a thread of the proxy's waits until a pipe can be written (/proc/PID/task/TID/wchan).
func (p *proxy) waitsForPipe() bool {
	p.t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	for _, thread := range threads {
		where, err := os.ReadFile(thread) // fails if the thread has ended
		if err == nil && bytes.Contains(where, []byte("pipe_write")) {
			return true
		}
	}
	return false
}
