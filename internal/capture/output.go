package capture

import (
	"fmt"
	"io"
)

// Output buffers what a Writer appends to Buf.
type Output struct {
	Buf   []byte
	w     io.Writer
	size  int
	what  string
	close func() error
}

// NewOutput returns an Output to w, which is written when size bytes are buffered. what names in errors what is written:
// "packets". Close calls closeOutput, if it is not nil.
func NewOutput(w io.Writer, size int, what string, closeOutput func() error) Output {
	return Output{w: w, size: size, what: what, close: closeOutput}
}

// Wrote writes the buffer if it is full.
func (o *Output) Wrote() error {
	if len(o.Buf) < o.size {
		return nil
	}
	return o.Flush()
}

// Flush writes what is buffered.
func (o *Output) Flush() error {
	if len(o.Buf) == 0 {
		return nil
	}
	_, err := o.w.Write(o.Buf)
	o.Buf = o.Buf[:0]
	return o.failed(err)
}

// Close flushes.
func (o *Output) Close() error {
	err := o.Flush()
	if o.close == nil {
		return err
	}
	if closeErr := o.failed(o.close()); err == nil {
		err = closeErr
	}
	return err
}

func (o *Output) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write %s: %w", o.what, err)
}
