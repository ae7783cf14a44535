package envoytap

import (
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"l4dump/internal/capture"
)

// outputBytes are buffered before they are written.
const outputBytes = 256 << 10

// Writer is a capture.Writer of one file of length-delimited messages TraceWrapper, each a segment of a connection's
// streamed trace. Its memory grows with the connections that are open, not with what they carry.
type Writer struct {
	capture.Output
	message []byte
	record  []byte
	traces  uint64 // that have begun
}

// NewWriter returns a Writer to w. Close calls closeOutput, if it is not nil.
func NewWriter(w io.Writer, closeOutput func() error) *Writer {
	return &Writer{Output: capture.NewOutput(w, outputBytes, "traces", closeOutput)}
}

// Begin implements capture.Sink.
func (w *Writer) Begin(c *capture.Connection) capture.Consumer {
	w.traces++
	return &traced{w: w, info: c, id: w.traces}
}

// write appends a segment, whose fields besides the number of its trace stand in piece.
func (w *Writer) write(id uint64, piece []byte) error {
	size := protowire.SizeTag(fieldTraceID) + protowire.SizeVarint(id) + len(piece)
	whole := protowire.SizeTag(fieldSocketStreamed) + protowire.SizeBytes(size)
	b := protowire.AppendVarint(w.Buf, uint64(whole))
	b = protowire.AppendTag(b, fieldSocketStreamed, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendVarint(b, fieldTraceID, id)
	w.Buf = append(b, piece...)
	return w.Wrote()
}

func appendVarint(b []byte, number protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), n)
}

func appendBytes(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
}

func appendString(b []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), value)
}

// begin appends the head of a message whose length end sets. Its length takes five bytes whatever it is, which any reader
// takes, so that the payload is not copied to make room.
func begin(b []byte, number protowire.Number) ([]byte, int) {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return append(b, 0x80, 0x80, 0x80, 0x80, 0), len(b)
}

func end(b []byte, at int) []byte {
	for i, length := 0, len(b)-at-lengthBytes; i < lengthBytes; i++ {
		b[at+i] |= byte(length & 0x7f)
		length >>= 7
	}
	return b
}

const lengthBytes = 5
