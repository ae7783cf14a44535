package host

import (
	"bytes"
	"context"
	"crypto/rand"

	"github.com/tetratelabs/wazero/api"
)

// wasiFunctions are the imports from wasi_snapshot_preview1 that Envoy 1.40 provides.
var wasiFunctions = []string{
	"args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get", "environ_sizes_get", "fd_advise",
	"fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_get", "fd_fdstat_set_flags", "fd_fdstat_set_rights",
	"fd_filestat_get", "fd_filestat_set_size", "fd_filestat_set_times", "fd_pread", "fd_prestat_dir_name",
	"fd_prestat_get", "fd_pwrite", "fd_read", "fd_readdir", "fd_renumber", "fd_seek", "fd_sync", "fd_tell", "fd_write",
	"path_create_directory", "path_filestat_get", "path_filestat_set_times", "path_link", "path_open", "path_readlink",
	"path_remove_directory", "path_rename", "path_symlink", "path_unlink_file", "poll_oneoff", "proc_exit",
	"random_get", "sched_yield", "sock_accept", "sock_recv", "sock_send", "sock_shutdown",
}

// pollFails is poll_oneoff of Envoy before 1.39.
func pollFails(_ context.Context, _ api.Module, stack []uint64) {
	const enosys = 52
	stack[0] = enosys
}

// randomSource is crypto/rand for a guest.
type randomSource struct{}

func (randomSource) Read(p []byte) (int, error) { return rand.Read(p) }

// maxGuestLine bounds a line that the guest writes to its standard output or error.
const maxGuestLine = 4096

// guestOutput logs what a guest writes to standard output or error, line by line: the text of a panic above all. Envoy logs
// each write as a line, which cuts a panic of Go into words.
type guestOutput struct {
	vm    *VM
	level LogLevel
	line  []byte
}

// Write is called with the VM's lock held.
func (o *guestOutput) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		text, after, ended := bytes.Cut(rest, []byte("\n"))
		if room := maxGuestLine - len(o.line); len(text) > room {
			text, after, ended = text[:room], rest[room:], true
		}
		o.line = append(o.line, text...)
		if ended {
			o.vm.engine.options.Log.plugin(o.level, o.vm.thread, o.vm.current.prefix, o.line)
			o.line = o.line[:0]
		}
		rest = after
	}
	return len(p), nil
}
