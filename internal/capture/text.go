package capture

import (
	"io"
	"strconv"

	"l4dump/record"
)

// TextWriter writes events for a person: a line for each, and under a data event its bytes in rows like those of
// hexdump -C, with their offset in the stream. Nothing but printable ASCII, line breaks and the colors' own escapes is
// written, whatever came from the network.
type TextWriter struct {
	output
	paint paint
}

// NewTextWriter returns a Writer to w. color tells the directions apart on a terminal.
func NewTextWriter(w io.Writer, color bool) *TextWriter {
	return &TextWriter{output: newOutput(w), paint: paint{color: color}}
}

// Mark shows marked bytes in color, if there are colors.
func (t *TextWriter) Mark(marks map[ID]*Marks) { t.paint.marks = marks }

// Begin implements Sink.
func (t *TextWriter) Begin(*Connection) Consumer { return t }

// Event implements Consumer.
func (t *TextWriter) Event(e *Event, _ Place) error {
	color := colorConnection
	if e.Kind == KindData || e.Kind == KindEnd {
		color = colorOf(e.Direction)
	}
	t.Buf = t.paint.begin(t.Buf, color)
	t.Buf = appendHeadline(t.Buf, e)
	t.Buf = append(t.paint.end(t.Buf), '\n')
	if e.Kind == KindData {
		t.Buf = appendRows(t.Buf, e.Offset, e.Payload, t.paint.marksOf(e.Conn).from(e.Direction, e.Offset))
	}
	return t.Wrote()
}

// WriteLayotto writes a line in Layotto's format.
func (t *TextWriter) WriteLayotto(window record.UUID, port uint16, payload []byte) error {
	t.Buf = t.paint.begin(t.Buf, colorConnection)
	t.Buf = append(t.Buf, "layotto window "...)
	t.Buf = window.Append(t.Buf)
	t.Buf = append(t.Buf, " port "...)
	t.Buf = strconv.AppendUint(t.Buf, uint64(port), 10)
	t.Buf = append(t.Buf, ", "...)
	t.Buf = appendCount(t.Buf, uint64(len(payload)))
	t.Buf = append(t.paint.end(t.Buf), '\n')
	t.Buf = appendRows(t.Buf, 0, payload, nil)
	return t.Wrote()
}

func appendHeadline(dst []byte, e *Event) []byte {
	dst = appendTime(dst, e.Time)
	dst = append(dst, ' ')
	dst = e.Conn.Append(dst)
	dst = append(dst, " #"...)
	dst = strconv.AppendUint(dst, e.Seq, 10)
	dst = append(dst, ' ')
	switch e.Kind {
	case KindOpen:
		dst = append(dst, "open"...)
		dst = appendOpenText(dst, &e.Header, e.Open)
	case KindData:
		dst = append(dst, e.Direction.String()...)
		dst = append(dst, " at "...)
		dst = strconv.AppendUint(dst, e.Offset, 10)
		dst = append(dst, ", "...)
		dst = appendCount(dst, uint64(len(e.Payload)))
		dst = appendMaskedText(dst, e.Masked)
		if e.Cut {
			dst = append(dst, ", more may be missing"...)
		}
	case KindEnd:
		dst = append(dst, e.Direction.String()...)
		dst = append(dst, " end at "...)
		dst = strconv.AppendUint(dst, e.Offset, 10)
	case KindClose:
		dst = append(dst, "close by "...)
		dst = appendText(dst, e.Close.By)
		if e.Close.HasLedger {
			dst = appendLedgerText(append(dst, "; downstream"...), &e.Close.Ledger[Downstream])
			dst = appendLedgerText(append(dst, "; upstream"...), &e.Close.Ledger[Upstream])
		}
	}
	return dst
}

func appendOpenText(dst []byte, h *Header, o *Open) []byte {
	if o.Source != "" || o.Destination != "" {
		dst = append(dst, ' ')
		dst = appendText(dst, o.Source)
		dst = append(dst, " -> "...)
		dst = appendText(dst, o.Destination)
	}
	dst = append(dst, ", port "...)
	dst = strconv.AppendUint(dst, uint64(h.Port), 10)
	for _, field := range []struct{ key, text string }{{", sni ", o.SNI}, {", peer ", o.Peer}} {
		if field.text != "" {
			dst = append(dst, field.key...)
			dst = appendText(dst, field.text)
		}
	}
	if o.MTLS {
		dst = append(dst, ", mtls"...)
	}
	if o.Next != "" {
		dst = append(dst, ", next "...)
		dst = appendText(dst, o.Next)
	}
	dst = append(dst, ", unit "...)
	dst = appendText(dst, o.Unit)
	dst = append(dst, ", started "...)
	dst = appendTime(dst, o.Started)
	if o.HasProxyConn {
		dst = append(dst, ", proxy's number "...)
		dst = strconv.AppendUint(dst, o.ProxyConn, 10)
	}
	dst = append(dst, ", window "...)
	return h.Window.Append(dst)
}

func appendLedgerText(dst []byte, l *Ledger) []byte {
	dst = append(dst, " seen "...)
	dst = strconv.AppendUint(dst, l.Seen, 10)
	dst = append(dst, ", kept "...)
	dst = strconv.AppendUint(dst, l.Kept, 10)
	dst = appendMaskedText(dst, l.Masked)
	for _, drop := range l.Dropped {
		dst = append(dst, ", "...)
		dst = appendText(dst, drop.Reason)
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, drop.Bytes, 10)
	}
	return dst
}

func appendMaskedText(dst []byte, masked uint64) []byte {
	if masked == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, ", masked "...), masked, 10)
}

func appendCount(dst []byte, bytes uint64) []byte {
	dst = strconv.AppendUint(dst, bytes, 10)
	if bytes == 1 {
		return append(dst, " byte"...)
	}
	return append(dst, " bytes"...)
}

// rowBytes is what one row shows.
const rowBytes = 16

// appendRows appends payload, which begins at offset, in rows, with the color of those ranges:
//
//	00001000  48 54 54 50 2f 31 2e 31  20 32 30 30 20 4f 4b 0d  |HTTP/1.1 200 OK.|
func appendRows(dst []byte, offset uint64, payload []byte, marks []Range) []byte {
	for len(payload) > 0 {
		row := payload[:min(rowBytes, len(payload))]
		dst = appendOffset(dst, offset)
		m := marker{ranges: marks}
		for i := range rowBytes {
			if i%8 == 0 {
				dst = append(dst, ' ')
			}
			if i < len(row) {
				dst = append(dst, ' ')
				if marks != nil {
					dst = m.at(dst, offset+uint64(i))
				}
				dst = append(dst, hexDigits[row[i]>>4], hexDigits[row[i]&0xf])
			} else {
				dst = append(m.off(dst), "   "...)
			}
		}
		dst = append(m.off(dst), "  |"...)
		m = marker{ranges: marks}
		for i, c := range row {
			if c < ' ' || c >= 0x7f {
				c = '.'
			}
			if marks != nil {
				dst = m.at(dst, offset+uint64(i))
			}
			dst = append(dst, c)
		}
		marks = m.ranges
		dst = append(m.off(dst), '|', '\n')
		payload = payload[len(row):]
		offset += uint64(len(row))
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendOffset appends at least eight hex digits.
func appendOffset(dst []byte, offset uint64) []byte {
	for least := uint64(1) << 28; least > 1 && offset < least; least >>= 4 {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, offset, 16)
}
