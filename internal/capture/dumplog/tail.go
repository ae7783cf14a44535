package dumplog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// tailPoll is how often a followed file is looked at if no event says that it has changed.
const tailPoll = 250 * time.Millisecond

// Tail follows a log file that grows, is renamed and made anew, or is truncated, as tail -F does. A caller alternates:
//
//	for err = tail.Next(); err == nil; err = tail.Next() {
//		… read tail to its io.EOF …
//	}
type Tail struct {
	ctx     context.Context // ends a Read that waits
	path    string
	file    *os.File
	read    int64             // bytes of file
	poll    time.Duration     // the longest time between two looks
	watcher *fsnotify.Watcher // nil if the system has none: then polling alone sees changes
}

// OpenTail returns a Tail of the file at path, which Next opens. When ctx is canceled, Next and Read return its error.
func OpenTail(ctx context.Context, path string) *Tail {
	t := &Tail{ctx: ctx, path: path, poll: tailPoll}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return t
	}
	// The directory tells of a new file under the name. If it cannot be watched, polling sees it.
	_ = watcher.Add(filepath.Dir(path))
	t.watcher = watcher
	return t
}

// Next opens the file from its beginning: the first time, and when Read has returned io.EOF because there is another
// file under the name, or none of the old bytes. The first time, a file that does not exist is an error; later Next
// waits for it.
func (t *Tail) Next() error {
	first := t.file == nil
	if !first {
		if err := t.file.Close(); err != nil {
			return fmt.Errorf("close %s: %w", t.path, err)
		}
	}
	for {
		file, err := os.Open(t.path)
		if err == nil {
			t.file, t.read = file, 0
			if t.watcher != nil {
				_ = t.watcher.Add(t.path) // follows a symbolic link, which the directory's watch does not
			}
			return nil
		}
		if first || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := t.wait(); err != nil {
			return err
		}
	}
}

// Read waits for bytes. io.EOF means that this file is at its end for good.
func (t *Tail) Read(b []byte) (int, error) {
	for {
		replaced, err := t.replaced()
		if err != nil {
			return 0, err
		}
		// What was written before the file was replaced is read now: looking came first.
		n, err := t.file.Read(b)
		t.read += int64(n)
		if n > 0 {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if replaced {
			return 0, io.EOF
		}
		if err := t.wait(); err != nil {
			return 0, err
		}
	}
}

// replaced reports whether the file was truncated, or another one has its name.
func (t *Tail) replaced() (bool, error) {
	current, err := t.file.Stat()
	if err != nil {
		return false, err
	}
	if current.Size() < t.read {
		return true, nil
	}
	named, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // renamed: until there is a new file, the writer may continue in this one
	}
	if err != nil {
		return false, err
	}
	return !os.SameFile(current, named), nil
}

// wait returns when the file may have changed.
func (t *Tail) wait() error {
	timer := time.NewTimer(t.poll)
	defer timer.Stop()
	var events <-chan fsnotify.Event
	var failures <-chan error
	if t.watcher != nil {
		events, failures = t.watcher.Events, t.watcher.Errors
	}
	select {
	case <-t.ctx.Done():
		return t.ctx.Err()
	case <-events:
	case <-failures: //nolint:errcheck // events were missed: look again
	case <-timer.C:
	}
	return nil
}

// Close releases the file and the watch.
func (t *Tail) Close() error {
	var err error
	if t.watcher != nil {
		err = t.watcher.Close()
	}
	if t.file != nil {
		err = errors.Join(err, t.file.Close())
	}
	return err
}
