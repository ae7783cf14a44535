package sidecar

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The dump files, in Layotto's names.
const (
	portraitFile = "dump_portrait_data.log" // [window][type][port]{…}
	memDumpFile  = "dump_mem_dump.log"      // [window]{…} or [window]no_change: the proxy's configuration
	staticFile   = "dump_static_conf.log"   // {…}: the proxy's bootstrap, at each start of the sidecar
)

// dumpFileCount is how many files are written at a time.
const dumpFileCount = 3

// fileMode is the mode of everything that is written: dumps hold what passed through the proxy.
const fileMode = 0o600

// stampLayout is the time in the name of a rotated file; stamps sort by time.
const stampLayout = "20060102T150405.000000000Z"

var rotatedName = regexp.MustCompile(`^dump_(?:portrait_data|mem_dump|static_conf)-(\d{8}T\d{6}\.\d{9}Z)\.log$`)

var errLineTooLong = errors.New("line is longer than a dump file may be")

// Rotation is when dump files are rotated, and how much of the disk they take.
type Rotation struct {
	MaxFileBytes  int64         // a line that would make a file longer starts a new one
	MaxAge        time.Duration // so does a line that comes this long after the file's first
	MaxTotalBytes int64         // of all dump files; for a line that would exceed it the oldest rotated files go
}

// dumpFiles appends lines to the dump files. A file is open only while a line is written, so one that was moved
// or removed is created again; there are only a few lines per window.
type dumpFiles struct {
	rotation Rotation
	now      func() time.Time
	folder   dumpFolder
	changed  func(err error) // called when writing begins to fail, fails for another reason, or (nil) works again

	mu   sync.Mutex           // held while the disk works
	born map[string]time.Time // of the files that this process has begun

	healthMu sync.Mutex // never held while the disk works, so that a stalled disk delays no request
	err      error      // of the last write
	total    int64      // bytes of all dump files after the last write
}

// dumpFolder is the file system below the dump files' folder.
type dumpFolder interface {
	Open(name string) (appendFile, error)
	Rename(from, to string) error
	Remove(name string) error
	List() ([]fs.FileInfo, error)
}

// appendFile is an open dump file.
type appendFile interface {
	io.WriteCloser
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Chmod(mode fs.FileMode) error
}

// line returns the parts of a line, which have no line break; first says that it is the first one of its file.
type line func(first bool) [][]byte

// append writes a line of these parts to the file name.
func (d *dumpFiles) append(name string, parts ...[]byte) error {
	return d.appendLine(name, func(bool) [][]byte { return parts })
}

// appendLine writes a line to the file name, the whole line or nothing of it. line is asked while no other line can be
// written, and asked again if the file turns out to be a new one.
func (d *dumpFiles) appendLine(name string, line line) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	total, err := d.write(name, line)
	if errors.Is(err, errLineTooLong) {
		return err // says nothing about the disk
	}
	d.healthMu.Lock()
	before := d.err
	d.err = err
	if total >= 0 {
		d.total = total
	}
	d.healthMu.Unlock()
	if (before == nil) != (err == nil) || (err != nil && before.Error() != err.Error()) {
		d.changed(err)
	}
	return err
}

// health returns the bytes of all dump files and the error of the last write. It does not wait for the disk.
func (d *dumpFiles) health() (int64, error) {
	d.healthMu.Lock()
	defer d.healthMu.Unlock()
	return d.total, d.err
}

// tail returns the last n bytes of the file name, fewer if it has fewer.
func (d *dumpFiles) tail(name string, n int64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	files, err := d.folder.List()
	if err != nil {
		return nil, fmt.Errorf("list dump files: %w", err)
	}
	i := slices.IndexFunc(files, func(f fs.FileInfo) bool { return f.Name() == name })
	if i < 0 {
		return nil, nil
	}
	f, err := d.folder.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open dump file: %w", err)
	}
	defer func() { _ = f.Close() }()
	size := files[i].Size()
	text := make([]byte, min(n, size))
	if _, err := f.ReadAt(text, size-int64(len(text))); err != nil {
		return nil, fmt.Errorf("read end of dump file: %w", err)
	}
	return text, nil
}

// measure counts the bytes that are there already.
func (d *dumpFiles) measure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	files, err := d.folder.List()
	if err != nil {
		return fmt.Errorf("list dump files: %w", err)
	}
	d.healthMu.Lock()
	defer d.healthMu.Unlock()
	d.total = totalBytes(files)
	return nil
}

// write writes a line and returns the bytes of all dump files then, -1 if they are not known.
func (d *dumpFiles) write(name string, line line) (int64, error) {
	at := d.now() // once: the file does not come of age between two looks at it
	files, err := d.folder.List()
	if err != nil {
		return -1, fmt.Errorf("list dump files: %w", err)
	}
	i := slices.IndexFunc(files, func(f fs.FileInfo) bool { return f.Name() == name })
	first := i < 0 || files[i].Size() == 0
	if i < 0 {
		delete(d.born, name)
	}
	parts := line(first)
	due := !first && d.due(files[i], lineBytes(parts), at)
	if due {
		parts = line(true)
	}
	n := lineBytes(parts)
	if n > d.rotation.MaxFileBytes {
		return -1, fmt.Errorf("append %d bytes to %s: %w (%d bytes)", n, name, errLineTooLong, d.rotation.MaxFileBytes)
	}
	if due {
		if files, err = d.rotate(name, files, at); err != nil {
			return -1, err
		}
	}
	total, err := d.makeRoom(files, n)
	if err != nil {
		return -1, err
	}
	written, err := d.appendTo(name, parts, line, at)
	return total + written, err
}

// lineBytes returns the length of a line of these parts, with its end.
func lineBytes(parts [][]byte) int64 {
	n := int64(1)
	for _, p := range parts {
		n += int64(len(p))
	}
	return n
}

// due reports whether n more bytes are for a new file. An empty file is never rotated.
func (d *dumpFiles) due(f fs.FileInfo, n int64, at time.Time) bool {
	if f.Size() == 0 {
		return false
	}
	born, ok := d.born[f.Name()]
	if !ok {
		born = f.ModTime() // of a former process: its last line is the best that is known
	}
	old := at.Sub(born) >= d.rotation.MaxAge
	return old || f.Size()+n > d.rotation.MaxFileBytes
}

// rotate moves the file name away and returns the list of files as it is then.
func (d *dumpFiles) rotate(name string, files []fs.FileInfo, at time.Time) ([]fs.FileInfo, error) {
	at = at.UTC()
	taken := func(to string) bool {
		return slices.ContainsFunc(files, func(f fs.FileInfo) bool { return f.Name() == to })
	}
	rotated := func() string {
		return strings.TrimSuffix(name, ".log") + "-" + at.Format(stampLayout) + ".log"
	}
	for taken(rotated()) {
		at = at.Add(1)
	}
	if err := d.folder.Rename(name, rotated()); err != nil {
		return nil, fmt.Errorf("rotate dump file: %w", err)
	}
	delete(d.born, name)
	files, err := d.folder.List()
	if err != nil {
		return nil, fmt.Errorf("list dump files: %w", err)
	}
	return files, nil
}

// makeRoom removes the oldest rotated files until n more bytes keep to the total, and returns the total before them.
func (d *dumpFiles) makeRoom(files []fs.FileInfo, n int64) (int64, error) {
	total := totalBytes(files)
	files = slices.DeleteFunc(files, func(f fs.FileInfo) bool { return !rotatedName.MatchString(f.Name()) })
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Compare(rotatedName.FindStringSubmatch(a.Name())[1], rotatedName.FindStringSubmatch(b.Name())[1])
	})
	for _, f := range files {
		if total+n <= d.rotation.MaxTotalBytes {
			break
		}
		if err := d.folder.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return total, fmt.Errorf("remove rotated dump file: %w", err)
		}
		total -= f.Size()
	}
	return total, nil
}

// appendTo returns how many bytes the file has more than before: 0 after an error, unless what was half written could
// not be taken back. It is then ended with a line break before the next line.
func (d *dumpFiles) appendTo(name string, parts [][]byte, line line, at time.Time) (written int64, err error) {
	f, err := d.folder.Open(name)
	if err != nil {
		return 0, fmt.Errorf("open dump file: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); closeErr != nil && err == nil {
			err = fmt.Errorf("close dump file: %w", closeErr)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("read size of dump file: %w", err)
	}
	if info.Mode().Perm() != fileMode {
		if err := f.Chmod(fileMode); err != nil {
			return 0, fmt.Errorf("set mode of dump file: %w", err)
		}
	}
	size := info.Size()
	if size == 0 {
		d.born[name] = at
		parts = line(true) // the file may have been moved away in the meantime
	} else if torn, err := endsTorn(f, size); err != nil {
		return 0, fmt.Errorf("read end of dump file: %w", err)
	} else if torn {
		parts = append([][]byte{{'\n'}}, parts...)
	}
	for _, p := range append(slices.Clip(parts), []byte{'\n'}) {
		n, err := f.Write(p)
		written += int64(n)
		if err == nil {
			continue
		}
		err = fmt.Errorf("append to dump file %s: %w", name, err)
		if truncateErr := f.Truncate(size); truncateErr != nil {
			return written, errors.Join(err, fmt.Errorf("take back half a line: %w", truncateErr))
		}
		return 0, err
	}
	return written, nil
}

// endsTorn reports whether the last line has no end.
func endsTorn(f io.ReaderAt, size int64) (bool, error) {
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}

func totalBytes(files []fs.FileInfo) int64 {
	total := int64(0)
	for _, f := range files {
		total += f.Size()
	}
	return total
}

// rootFolder is a dumpFolder of the file system. Names that lead out of it by a symbolic link are refused.
type rootFolder struct{ root *os.Root }

func (r rootFolder) Open(name string) (appendFile, error) {
	return r.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, fileMode)
}

func (r rootFolder) Rename(from, to string) error { return r.root.Rename(from, to) }

func (r rootFolder) Remove(name string) error { return r.root.Remove(name) }

// List returns the dump files, rotated ones included.
func (r rootFolder) List() ([]fs.FileInfo, error) {
	entries, err := fs.ReadDir(r.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var files []fs.FileInfo
	for _, e := range entries {
		switch name := e.Name(); {
		case name == portraitFile, name == memDumpFile, name == staticFile, rotatedName.MatchString(name):
		default:
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			files = append(files, info)
		}
	}
	return files, nil
}
