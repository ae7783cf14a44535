package envoytap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	tapv3 "github.com/envoyproxy/go-control-plane/envoy/data/tap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
)

// wrapperReader reads the messages of an input.
type wrapperReader struct {
	r      *bufio.Reader
	format format
	buf    bytes.Buffer
	text   textScanner
}

// damagedError says that a message does not parse, though it is known where the next one begins.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return fmt.Sprintf("a trace is damaged: %v", e.err) }
func (e *damagedError) Unwrap() error { return e.err }

// newWrapperReader returns a wrapperReader of an input for which Begins is true.
func newWrapperReader(in io.Reader) (*wrapperReader, error) {
	w := &wrapperReader{r: bufio.NewReaderSize(in, 64<<10)}
	for n := 1; ; n++ {
		head, err := w.r.Peek(n)
		if len(head) == 0 {
			return nil, err // io.EOF: an empty tap
		}
		if len(head) < n {
			return nil, w.failed(err)
		}
		head, _ = w.r.Peek(min(headBytes, w.r.Buffered()))
		f, more := formatOf(head)
		if f != 0 {
			w.format = f
			w.text.isJSON = f == formatJSON
			return w, nil
		}
		if !more {
			return nil, errFraming
		}
		n = len(head)
	}
}

// failed makes errCut of an end that comes too early.
func (w *wrapperReader) failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// next reads a message, which is valid until the next call. io.EOF means that the input ended after a whole one. After a
// *damagedError, the next one can be read.
func (w *wrapperReader) next() (*trace, error) {
	if err := w.take(); err != nil {
		return nil, err
	}
	t, err := w.parse()
	if err != nil {
		return nil, &damagedError{err}
	}
	return t, nil
}

// take takes a message into the buffer.
func (w *wrapperReader) take() error {
	w.buf.Reset()
	switch w.format {
	case formatBinary:
		return w.takeField()
	case formatDelimited:
		length, err := w.varint()
		if err != nil {
			return err
		}
		return w.takeBytes(length)
	default:
		return w.takeText()
	}
}

func (w *wrapperReader) parse() (*trace, error) {
	if w.format == formatBinary || w.format == formatDelimited {
		return parseBinary(w.buf.Bytes())
	}
	if w.text.messages > maxTextMessages {
		return nil, errMessages
	}
	message := new(tapv3.TraceWrapper)
	var err error
	if w.format == formatText {
		err = prototext.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(w.buf.Bytes(), message)
	} else {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(w.buf.Bytes(), message)
	}
	if err != nil {
		return nil, err
	}
	return traceOf(message), nil
}

// takeField takes one field with its tag: messages that stand after one another without a length would be merged to one,
// but none has more than one field that says something.
func (w *wrapperReader) takeField() error {
	tag, err := w.varint()
	if err != nil {
		return err
	}
	if tag > math.MaxUint32 {
		return errFraming
	}
	number, kind := protowire.DecodeTag(tag)
	if number < fieldHTTPBuffered || kind != protowire.BytesType {
		return errFraming
	}
	length, err := w.varint()
	if err != nil {
		return w.failed(err)
	}
	w.buf.Write(protowire.AppendVarint(protowire.AppendVarint(w.buf.AvailableBuffer(), tag), length))
	return w.takeBytes(length)
}

// varint reads a length or a tag. io.EOF means that the input has ended before it.
func (w *wrapperReader) varint() (uint64, error) {
	const longest = 10
	n := uint64(0)
	for i := range longest {
		b, err := w.r.ReadByte()
		switch {
		case err != nil && i == 0:
			return 0, err
		case err != nil:
			return 0, w.failed(err)
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return n, nil
		}
	}
	return 0, errFraming
}

// takeBytes adds the next bytes to the buffer. Memory grows with what is there, not with length.
func (w *wrapperReader) takeBytes(length uint64) error {
	if length > maxTraceBytes {
		return errLarge
	}
	if _, err := io.CopyN(&w.buf, w.r, int64(length)); err != nil {
		return w.failed(err)
	}
	return nil
}

// takeText takes the text of a message.
func (w *wrapperReader) takeText() error {
	w.text.begin()
	for {
		if _, err := w.r.Peek(1); err != nil {
			if !errors.Is(err, io.EOF) {
				return err
			}
			if w.text.blank {
				return io.EOF
			}
			return errCut
		}
		b, _ := w.r.Peek(w.r.Buffered())
		n, end := w.text.scan(b)
		if w.buf.Len()+n > maxTraceBytes {
			return errLarge
		}
		w.buf.Write(b[:n])
		_, _ = w.r.Discard(n) // they are buffered
		if end {
			return nil
		}
	}
}

// textScanner finds where a message of a text form ends: with the brace that closes the first one that opens.
type textScanner struct {
	isJSON   bool
	depth    int
	messages int  // braces that have opened
	quote    byte // that ends the string, 0 outside of one
	escaped  bool // the byte before is a backslash in a string
	comment  bool // up to the end of the line
	blank    bool // nothing but space so far
}

func (s *textScanner) begin() { *s = textScanner{isJSON: s.isJSON, blank: true} }

// scan takes the bytes up to n. end is set if the message ends there.
func (s *textScanner) scan(b []byte) (n int, end bool) {
	for i, c := range b {
		switch {
		case s.comment:
			s.comment = c != '\n'
		case s.escaped:
			s.escaped = false
		case s.quote != 0:
			s.escaped = c == '\\'
			if c == s.quote {
				s.quote = 0
			}
		case c == '"', c == '\'' && !s.isJSON:
			s.quote = c
		case c == '#' && !s.isJSON:
			s.comment = true
			continue
		case c == '{':
			s.depth++
			s.messages++
		case c == '}':
			if s.depth--; s.depth <= 0 {
				return i + 1, true
			}
		case c == ' ', c == '\t', c == '\r', c == '\n':
			continue
		}
		if !s.comment {
			s.blank = false
		}
	}
	return len(b), false
}
