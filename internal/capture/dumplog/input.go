package dumplog

import (
	"context"
	"io"
	"os"
)

// Input is log text that a Source reads when its turn comes: a Stream, a File, an OpenFile or a Follow.
type Input interface {
	read(ctx context.Context, s *Source) error
}

// Stream is an input that is read as it comes, to its end. A Read of Reader that blocks when the context is canceled
// continues in a goroutine of its own: the caller makes it return, as by closing the file.
type Stream struct {
	Name   string // stands for it in places
	Reader io.Reader
}

func (i Stream) read(ctx context.Context, s *Source) error { return s.stream(ctx, i.Reader, i.Name) }

// File is the file at a path. A regular one that stands newest first is read from its end.
type File struct {
	Path     string
	Progress io.Writer // gets what is read of a regular file; nil means that nothing does
}

func (i File) read(ctx context.Context, s *Source) error {
	file, err := os.Open(i.Path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // nothing was written to it
	return OpenFile{Name: i.Path, File: file, Progress: i.Progress}.read(ctx, s)
}

// OpenFile is a File that the caller has opened, and closes, as standard input is. What has been read of it is left out.
type OpenFile struct {
	Name     string // stands for it in places
	File     *os.File
	Progress io.Writer // as that of File
}

func (i OpenFile) read(ctx context.Context, s *Source) error {
	info, err := i.File.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 { // the files of /proc have no size
		return s.stream(ctx, i.File, i.Name)
	}
	if at, err := i.File.Seek(0, io.SeekCurrent); err != nil || at > 0 {
		return s.stream(ctx, i.File, i.Name)
	}
	return s.file(ctx, i.File, info.Size(), i.Name, i.Progress)
}

// Follow is the file at a path and what is appended to it, as with tail -F, until the context is canceled.
type Follow struct{ Path string }

func (i Follow) read(ctx context.Context, s *Source) error {
	tail := OpenTail(ctx, i.Path)
	defer tail.Close() //nolint:errcheck // nothing was written to it
	for {
		if err := tail.Next(); err != nil {
			return err
		}
		if err := s.stream(ctx, tail, i.Path); err != nil {
			return err
		}
	}
}
