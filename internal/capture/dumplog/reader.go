package dumplog

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Reader reads text that may be compressed, which it recognizes by its first bytes: gzip, zstd, xz and bzip2, also
// several members one after another. A Read that blocks in the input blocks here.
type Reader struct {
	input  *bufio.Reader
	format *format // of the member that is being read, nil for plain text
	member io.Reader
	plain  bool // what follows is plain text
}

// format is one kind of compression.
type format struct {
	name  string
	magic string
	open  func(r io.Reader) (io.Reader, error)
}

// maxWindowBytes bounds the memory that a zstd stream may ask for; the zstd command takes 128 MiB.
const maxWindowBytes = 128 << 20

var formats = []format{
	{"gzip", "\x1f\x8b", func(r io.Reader) (io.Reader, error) {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		z.Multistream(false) // what follows may be anything
		return z, nil
	}},
	{"zstd", "\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindowBytes))
	}},
	{"xz", "\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) }},
	{"bzip2", "BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
}

// CorruptError says that compressed data cannot be read further. What came before was read.
type CorruptError struct {
	Format string
	Err    error
}

// Error implements error.
func (e *CorruptError) Error() string {
	if errors.Is(e.Err, io.ErrUnexpectedEOF) {
		return e.Format + " data ends early"
	}
	return fmt.Sprintf("%s data is damaged: %v", e.Format, e.Err)
}

// Unwrap returns the decompressor's error.
func (e *CorruptError) Unwrap() error { return e.Err }

// NewReader returns a Reader of input.
func NewReader(input io.Reader) *Reader {
	return &Reader{input: bufio.NewReaderSize(input, 64<<10)}
}

// Compressed reports whether the input, of which nothing has been read, is compressed.
func (r *Reader) Compressed() bool { return r.next() != nil }

// Read implements io.Reader. Compressed data that is cut or damaged is a CorruptError.
func (r *Reader) Read(b []byte) (int, error) {
	for {
		if r.plain {
			return r.input.Read(b)
		}
		if r.member == nil {
			if r.format = r.next(); r.format == nil {
				r.plain = true
				continue
			}
			member, err := r.format.open(r.input)
			if err != nil {
				return 0, r.corrupt(err)
			}
			r.member = member
		}
		n, err := r.member.Read(b)
		switch {
		case errors.Is(err, io.EOF):
			r.member = nil
			if n == 0 {
				continue
			}
			return n, nil
		case err != nil:
			return n, r.corrupt(err)
		}
		return n, nil
	}
}

func (r *Reader) corrupt(err error) error {
	if errors.Is(err, io.EOF) { // in the midst of a header
		err = io.ErrUnexpectedEOF
	}
	return &CorruptError{Format: r.format.name, Err: err}
}

// next returns the format of the member that comes next. It waits for no more bytes than it takes to tell.
func (r *Reader) next() *format {
	for n := 1; ; n++ {
		b, _ := r.input.Peek(n)
		if len(b) < n {
			return nil
		}
		begun := false
		for i := range formats {
			magic := []byte(formats[i].magic)
			if bytes.HasPrefix(b, magic) {
				return &formats[i]
			}
			begun = begun || bytes.HasPrefix(magic, b)
		}
		if !begun {
			return nil
		}
	}
}
