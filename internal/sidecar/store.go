package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// storeVersion is the version of the state file.
const storeVersion = 1

// maxStoreBytes is the longest state file that is read.
const maxStoreBytes = 1 << 20

// writtenByAPI is the author of what came through the API.
const writtenByAPI = "api"

// globalRecord is the global strategy with its origin, as the state file holds it.
type globalRecord struct {
	Version  int       `json:"version"`
	Revision int64     `json:"revision"`
	Strategy *Strategy `json:"strategy"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	// FileDigest is the SHA-256 of the watched file's content that was last taken over, in hex. The same content is no
	// new write, so that a restart does not undo what came through the API since.
	FileDigest string `json:"file_sha256,omitempty"`
}

// store keeps the global strategy. What it returns is always the whole of one change. A change is in force at once; run
// writes it to the disk, however long that takes.
type store struct {
	path    string
	now     func() time.Time
	write   func(path string, data []byte) error
	written func(err error) // is told how each write went; not concurrently

	changed chan struct{} // wakes run

	mu       sync.Mutex
	record   globalRecord
	changes  int           // of record since the start
	tried    int           // how many of them a write has ended with
	saved    int           // how many of them are on disk
	progress chan struct{} // closed when a write has ended, and replaced
}

// openStore reads the state file at path, or starts with no global strategy if there is none. A damaged file is an
// error that names it, and is left as it is: what it forbade may matter, so a person decides.
func openStore(path string, now func() time.Time) (*store, error) {
	s := &store{
		path: path, now: now, write: writeFileAtomically, written: func(error) {}, record: globalRecord{Version: storeVersion},
		changed: make(chan struct{}, 1), progress: make(chan struct{}),
	}
	data, err := readFileLimited(path, maxStoreBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state file: %w", err)
	}
	if s.record, err = parseRecord(data); err != nil {
		return nil, fmt.Errorf("parse state file %s: %w; repair it, or move it away to start without a global strategy",
			path, err)
	}
	return s, nil
}

func parseRecord(data []byte) (globalRecord, error) {
	var r globalRecord
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return globalRecord{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return globalRecord{}, errors.New("want one JSON object and nothing after it")
	}
	if r.Version != storeVersion {
		return globalRecord{}, fmt.Errorf("version: want %d, got %d", storeVersion, r.Version)
	}
	if r.Revision < 0 {
		return globalRecord{}, fmt.Errorf("revision: want 0 or more, got %d", r.Revision)
	}
	return r, nil
}

// get returns the last change, and whether it is on disk.
func (s *store) get() (globalRecord, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record, s.saved == s.changes
}

// set makes global the global strategy; nil is none. It is in force when set returns. change is for await.
func (s *store) set(global *Strategy, by string) (r globalRecord, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r = s.record
	r.Revision++
	r.Strategy, r.By, r.At = global, by, s.now().UTC().Round(0)
	s.replace(r)
	return r, s.changes
}

// setFromFile is set for the content of the watched file, with its digest. It reports whether that was a change.
func (s *store) setFromFile(global Strategy, by, digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.record.FileDigest == digest {
		return false
	}
	r := s.record
	r.Revision++
	r.Strategy, r.By, r.At, r.FileDigest = &global, by, s.now().UTC().Round(0), digest
	s.replace(r)
	return true
}

// removeFile notes that the watched file is gone: if by was the last to change the strategy, there is none then. It
// reports whether it removed the strategy.
func (s *store) removeFile(by string) (cleared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.record
	cleared = r.By == by && r.Strategy != nil
	if !cleared && r.FileDigest == "" {
		return false
	}
	r.FileDigest = ""
	if cleared {
		r.Revision++
		r.Strategy, r.At = nil, s.now().UTC().Round(0)
	}
	s.replace(r)
	return cleared
}

// replace makes r the record. s.mu is held.
func (s *store) replace(r globalRecord) {
	r.Version = storeVersion
	s.record = r
	s.changes++
	select {
	case s.changed <- struct{}{}:
	default: // run is to wake already
	}
}

// await returns whether a change is on disk, as soon as a write has ended with it or with a later one: true or false.
// It returns the error of ctx if that ends before.
func (s *store) await(ctx context.Context, change int) (saved bool, err error) {
	for {
		s.mu.Lock()
		tried, saved, progress := s.tried >= change, s.saved >= change, s.progress
		s.mu.Unlock()
		if tried {
			return saved, nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// run writes each change to the disk, and what the disk refused again after each retry, until ctx ends: then once more.
func (s *store) run(ctx context.Context, retry time.Duration) {
	again := time.NewTicker(retry)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flush()
			return
		case <-s.changed:
		case <-again.C:
		}
		s.flush()
	}
}

// flush writes the record, unless it is on disk. The lock is not held meanwhile: a disk that stalls delays no poll.
func (s *store) flush() {
	s.mu.Lock()
	r, change, saved := s.record, s.changes, s.saved
	s.mu.Unlock()
	if saved == change {
		return
	}
	err := s.save(r)
	s.mu.Lock()
	s.tried = change
	if err == nil {
		s.saved = change
	}
	close(s.progress)
	s.progress = make(chan struct{})
	s.mu.Unlock()
	s.written(err)
}

func (s *store) save(r globalRecord) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := s.write(s.path, append(data, '\n')); err != nil {
		return fmt.Errorf("write state file: %w", err)
	}
	return nil
}

// writeFileAtomically replaces the file at path: a reader, after a crash too, finds all of the old content or all
// of the new.
func writeFileAtomically(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir outlive a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readFileLimited reads a regular file of at most limit bytes.
func readFileLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // first: to open a named pipe would block
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: want a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: want at most %d bytes", path, limit)
	}
	return data, nil
}
