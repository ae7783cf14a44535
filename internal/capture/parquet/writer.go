// Package parquet writes a recording as a table for DuckDB, Spark, Trino and their like: one file of Apache Parquet
// (https://parquet.apache.org/docs/file-format/) with one row per record. Row has its columns.
package parquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"l4dump/internal/capture"
)

const (
	// groupBytes bounds a row group, which is kept in memory, compressed, until it is written: a reader takes a group at a
	// time too, and several of them in parallel.
	groupBytes = 32 << 20
	// rowBytes is what a row is counted for besides its payload and its faults.
	rowBytes = 256
	// dictionaryBytes bounds the dictionary of a column in a row group.
	dictionaryBytes = 1 << 20
)

// Writer is a capture.Writer of one file. It writes one row group after another, and after the last their directory,
// without which the file cannot be read: it is complete after Close. Its memory is that of a row group, and grows with the
// connections that are open and, by a few KiB each, with the row groups that were written.
type Writer struct {
	rows  *parquet.GenericWriter[Row]
	close func() error
	bytes int // in the row group that is being filled
	err   error
	row   [1]Row
}

// NewWriter returns a Writer to w. Close calls closeOutput, if it is not nil.
func NewWriter(w io.Writer, closeOutput func() error) *Writer {
	return &Writer{
		rows: parquet.NewGenericWriter[Row](w,
			parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
			parquet.DictionaryMaxBytes(dictionaryBytes),
			// The least and the greatest payload of a page are of no use for finding any.
			parquet.SkipPageBounds("payload"),
			parquet.CreatedBy("l4dump", "", ""),
		),
		close: closeOutput,
	}
}

// Begin implements capture.Sink.
func (w *Writer) Begin(c *capture.Connection) capture.Consumer { return newConsumer(w, c) }

// Flush does nothing: a row group that ends whenever the input pauses would hold a few rows, and the file cannot be read
// before its end anyway.
func (w *Writer) Flush() error { return nil }

// write writes w.row, of which nothing is kept.
func (w *Writer) write() error {
	if w.err != nil {
		return w.err
	}
	row := &w.row[0]
	_, err := w.rows.Write(w.row[:])
	w.bytes += rowBytes + len(row.Payload)
	for _, fault := range row.Faults {
		w.bytes += len(fault)
	}
	*row = Row{}
	if err == nil && w.bytes >= groupBytes {
		w.bytes = 0
		err = w.rows.Flush()
	}
	return w.failed(err)
}

// failed remembers the first error: what follows it could not be read.
func (w *Writer) failed(err error) error {
	if err != nil {
		w.err = fmt.Errorf("write records: %w", err)
	}
	return w.err
}

// Close writes what is left and the directory.
func (w *Writer) Close() error {
	var err error
	if w.err == nil {
		err = w.failed(w.rows.Close())
	}
	if w.close != nil {
		if closeErr := w.close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("write records: %w", closeErr))
		}
	}
	return err
}
