package pcapng

import (
	"io"
	"net/netip"

	"l4dump/internal/capture"
)

// outputBytes are buffered before they are written.
const outputBytes = 256 << 10

// Writer is a capture.Writer of one pcapng file. Its memory grows with the connections that are open, not with what
// they carry.
type Writer struct {
	capture.Output
	live   map[endpoints]struct{} // of the connections that are open
	madeUp uint32                 // clients whose address is made up
	record []byte
}

// endpoints tell the connections in a capture apart.
type endpoints struct{ client, server netip.AddrPort }

// NewWriter returns a Writer to w. Close calls closeOutput, if it is not nil.
func NewWriter(w io.Writer, closeOutput func() error) *Writer {
	output := capture.NewOutput(w, outputBytes, "packets", closeOutput)
	output.Buf = appendHead(nil)
	return &Writer{Output: output, live: map[endpoints]struct{}{}}
}

// Begin implements capture.Sink.
func (w *Writer) Begin(c *capture.Connection) capture.Consumer { return &flow{w: w, info: c} }

// write appends a packet. record is what l4dump's option holds; time is in nanoseconds since the Unix epoch.
func (w *Writer) write(s *segment, time int64, record []byte, comments []string) error {
	start := len(w.Buf)
	b := beginBlock(w.Buf, blockPacket)
	b = le.AppendUint32(b, 0) // interface
	ns := uint64(max(0, time))
	b = le.AppendUint32(b, uint32(ns>>32))
	b = le.AppendUint32(b, uint32(ns))
	lengths := len(b)
	b = le.AppendUint64(b, 0)
	packet := len(b)
	b = s.appendTo(b)
	le.PutUint32(b[lengths:], uint32(len(b)-packet))
	le.PutUint32(b[lengths+4:], uint32(len(b)-packet))
	b = pad(b)
	for _, comment := range comments {
		b = appendOption(b, optComment, comment)
	}
	option := len(b)
	b = append(b, 0, 0, 0, 0)
	b = le.AppendUint32(b, enterprise)
	b = append(b, ownPrefix...)
	if len(record) > 0 {
		b = append(b, record...)
	} else {
		b = append(b, ownFiller...)
	}
	b = appendOptionsEnd(endOption(b, option, optCustomString))
	w.Buf = endBlock(b, start)
	return w.Wrote()
}
