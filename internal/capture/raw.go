package capture

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"l4dump/record"
)

// ErrNotEmpty is returned for a directory that an earlier run may have written to.
var ErrNotEmpty = errors.New("directory is not empty")

// RawWriter writes each direction of a connection to a file of its own, "<conn>.downstream" and "<conn>.upstream":
// byte N of the file is byte N of the stream, and what was not recorded is a hole that reads as zeros. A direction
// without bytes has no file. Files are readable by their owner only. Lines in Layotto's format are left out.
type RawWriter struct {
	root  *os.Root
	max   int // files that are open at a time
	open  map[rawFile]*list.Element
	order *list.List // of *openFile, the one used last in front
}

// rawFile is one direction of a connection.
type rawFile struct {
	conn      record.ConnID
	direction record.Direction
}

// name holds nothing but hex digits, a hyphen and the direction: no input can point elsewhere.
func (f rawFile) name() string { return f.conn.String() + "." + f.direction.String() }

// isRawName reports whether rawFile.name returns name for any connection.
func isRawName(name string) bool {
	id, direction, _ := strings.Cut(name, ".")
	_, ok := record.ParseConnID(id)
	return ok && (direction == record.Downstream.String() || direction == record.Upstream.String())
}

type openFile struct {
	rawFile
	file *os.File
}

// maxOpenFiles stays below the usual limit of 1024 for a process.
const maxOpenFiles = 256

// NewRawWriter returns a Writer to files in dir, which is made where it does not exist. Where it holds anything, the
// error is ErrNotEmpty, unless replace is set: then the files of an earlier run are removed.
func NewRawWriter(dir string, replace bool) (*RawWriter, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the output directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the output directory: %w", err)
	}
	if err := clearRoot(root, replace); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", dir, err), root.Close())
	}
	return &RawWriter{root: root, max: maxOpenFiles, open: map[rawFile]*list.Element{}, order: list.New()}, nil
}

func clearRoot(root *os.Root, replace bool) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	if len(entries) > 0 && !replace {
		return ErrNotEmpty
	}
	for _, entry := range entries {
		if isRawName(entry.Name()) {
			if err := root.Remove(entry.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// WriteRecord implements Writer.
func (w *RawWriter) WriteRecord(r *record.Record) error {
	if r.Kind == record.KindClose {
		return errors.Join(
			w.closeFile(w.open[rawFile{r.Conn, record.Downstream}]),
			w.closeFile(w.open[rawFile{r.Conn, record.Upstream}]),
		)
	}
	if r.Kind != record.KindData || len(r.Payload) == 0 {
		return nil
	}
	file, err := w.file(rawFile{r.Conn, r.Direction})
	if err != nil {
		return fmt.Errorf("open a stream's file: %w", err)
	}
	if _, err := file.WriteAt(r.Payload, int64(r.Offset)); err != nil {
		return fmt.Errorf("write a stream's file: %w", err)
	}
	return nil
}

// WriteLayotto implements Writer.
func (w *RawWriter) WriteLayotto(record.UUID, uint16, []byte) error { return nil }

// Flush implements Writer: nothing is buffered.
func (w *RawWriter) Flush() error { return nil }

// Close closes the files and the directory.
func (w *RawWriter) Close() error {
	var err error
	for front := w.order.Front(); front != nil; front = w.order.Front() {
		err = errors.Join(err, w.closeFile(front))
	}
	return errors.Join(err, w.root.Close())
}

// file returns the open file for f, and closes the one that was not used for the longest time where there are too
// many.
func (w *RawWriter) file(f rawFile) (*os.File, error) {
	if element, ok := w.open[f]; ok {
		w.order.MoveToFront(element)
		return element.Value.(*openFile).file, nil
	}
	if w.order.Len() >= w.max {
		if err := w.closeFile(w.order.Back()); err != nil {
			return nil, err
		}
	}
	file, err := w.root.OpenFile(f.name(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	w.open[f] = w.order.PushFront(&openFile{f, file})
	return file, nil
}

func (w *RawWriter) closeFile(element *list.Element) error {
	if element == nil {
		return nil
	}
	f := w.order.Remove(element).(*openFile)
	delete(w.open, f.rawFile)
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("close a stream's file: %w", err)
	}
	return nil
}
