package sidecar

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"l4dump/internal/fault"
	"l4dump/strategy"
)

// strategyFile watches a file whose content is the global strategy, as a mounted ConfigMap's.
type strategyFile struct {
	path  string
	store *store
	log   *slog.Logger
	poll  time.Duration // how often it is read, whatever the file system tells
	quiet time.Duration // how long after a change the file is read

	mu     sync.Mutex
	status StrategyFileStatus
	seen   string // digest of the content, or the error, that was judged last
}

// by is the author of what comes from the file.
func (f *strategyFile) by() string { return "file:" + f.path }

func (f *strategyFile) get() StrategyFileStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// run reads the file after each change until ctx ends. The folder is watched, not the file: it is replaced by a rename,
// or by that of a folder which a symbolic link leads to. If that cannot be watched, the file is read periodically.
func (f *strategyFile) run(ctx context.Context) {
	var events <-chan fsnotify.Event
	var failures <-chan error
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = watcher.Close() }()
		err = watcher.Add(filepath.Dir(f.path))
		events, failures = watcher.Events, watcher.Errors
	}
	if err != nil {
		f.log.Warn("cannot watch the strategy file, it is polled", "error", err, "interval", f.poll)
	}
	poll := time.NewTicker(f.poll)
	defer poll.Stop()
	quiet := time.NewTimer(f.quiet)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			quiet.Reset(f.quiet)
		case _, ok := <-failures: // an overflow of the queue: read now
			if !ok {
				failures = nil
				continue
			}
			quiet.Reset(f.quiet)
		case <-quiet.C:
			f.load()
		case <-poll.C:
			f.load()
		}
	}
}

// load reads the file and takes its content over if it is another one and valid.
func (f *strategyFile) load() {
	text, err := readFileLimited(f.path, strategy.MaxConfigBytes)
	if errors.Is(err, fs.ErrNotExist) {
		f.removed()
		return
	}
	if err != nil {
		if f.judge("error: "+err.Error(), StrategyFileStatus{Present: true, Faults: fault.Faults{{Message: err.Error()}}}) {
			f.log.Error("read strategy file; the strategy stays", "error", err)
		}
		return
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	global, err := strategy.ParseStrategy(text, true)
	if err != nil {
		faults := fault.Faults{{Message: err.Error()}}
		errors.As(err, &faults)
		if f.judge(digest, StrategyFileStatus{Present: true, Faults: faults}) {
			f.log.Error("refuse strategy file; the strategy stays", "file", f.path, "faults", faults.Error())
		}
		return
	}
	f.judge(digest, StrategyFileStatus{Present: true, Valid: true})
	if f.store.setFromFile(Strategy(global), f.by(), digest) {
		f.log.Info("global strategy set", "by", f.by(), "switch", string(global.Switch))
	}
}

func (f *strategyFile) removed() {
	f.judge("", StrategyFileStatus{})
	if f.store.removeFile(f.by()) {
		f.log.Info("global strategy removed with its file", "by", f.by())
	}
}

// judge sets the status and reports whether seen is another content than before.
func (f *strategyFile) judge(seen string, status StrategyFileStatus) bool {
	status.Path = f.path
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := f.seen != seen
	f.seen, f.status = seen, status
	return changed
}
