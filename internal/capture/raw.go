package capture

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"l4dump/record"
)

// ErrNotEmpty is returned for a directory that an earlier run may have written to.
var ErrNotEmpty = errors.New("directory is not empty")

// RawWriter writes each direction of a connection to a file of its own, "<conn>.downstream" and "<conn>.upstream":
// byte N of the file is byte N of the stream, and what was not recorded is a hole that reads as zeros. A direction
// without bytes has no file. Files are readable by their owner only. Bytes that lie beyond MaxRawBytes, or beyond what
// the file system takes, are left out: that is a fault of their connection.
type RawWriter struct {
	root  *os.Root
	max   int // files that are open at a time
	open  map[rawFile]*list.Element
	order *list.List // of *openFile, the one used last in front
}

// MaxRawBytes is the longest file that a RawWriter writes. File systems differ in what they take; all that are in use
// for logs take this much, and no connection that a person looks at is longer.
const MaxRawBytes = 1 << 40

// rawFile is one direction of a connection.
type rawFile struct {
	conn      ID
	direction Direction
}

// name holds nothing but hex digits, a hyphen and the direction: no input can point elsewhere.
func (f rawFile) name() string { return f.conn.String() + "." + f.direction.String() }

// isRawName reports whether rawFile.name returns name for any connection.
func isRawName(name string) bool {
	id, direction, _ := strings.Cut(name, ".")
	_, ok := record.ParseConnID(id)
	return ok && (direction == Downstream.String() || direction == Upstream.String())
}

type openFile struct {
	rawFile
	file *os.File
}

// maxOpenFiles stays below the usual limit of 1024 for a process.
const maxOpenFiles = 256

// NewRawWriter returns a Writer to files in dir, which is made if it does not exist. If it holds anything, the
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

// Begin implements Sink.
func (w *RawWriter) Begin(c *Connection) Consumer { return rawConsumer{w, c.ID} }

// rawConsumer writes one connection.
type rawConsumer struct {
	*RawWriter
	id ID
}

// Event implements Consumer.
func (c rawConsumer) Event(e *Event, _ Place) error {
	if e.Kind != KindData || len(e.Payload) == 0 {
		return nil
	}
	if e.Offset > MaxRawBytes-uint64(len(e.Payload)) {
		return &SkipError{fmt.Errorf("bytes from %d on lie beyond %d, the longest file that is written", e.Offset, int64(MaxRawBytes))}
	}
	file, err := c.file(rawFile{c.id, e.Direction})
	if err != nil {
		return fmt.Errorf("open a stream's file: %w", err)
	}
	_, err = file.WriteAt(e.Payload, int64(e.Offset))
	switch {
	case errors.Is(err, syscall.EFBIG):
		return &SkipError{fmt.Errorf("bytes from %d on: %w", e.Offset, syscall.EFBIG)}
	case err != nil:
		return fmt.Errorf("write a stream's file: %w", err)
	}
	return nil
}

// Fault implements Consumer.
func (rawConsumer) Fault(*Fault) {}

// End implements Consumer: it closes the connection's files.
func (c rawConsumer) End(*Verdict) error {
	return errors.Join(
		c.closeFile(c.open[rawFile{c.id, Downstream}]),
		c.closeFile(c.open[rawFile{c.id, Upstream}]),
	)
}

// Flush implements Sink: nothing is buffered.
func (w *RawWriter) Flush() error { return nil }

// Close closes the files and the directory.
func (w *RawWriter) Close() error {
	var err error
	for front := w.order.Front(); front != nil; front = w.order.Front() {
		err = errors.Join(err, w.closeFile(front))
	}
	return errors.Join(err, w.root.Close())
}

// file returns the open file for f, and closes the one that was not used for the longest time if there are too
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
