package capture

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ConversationWriter writes connections for a person, one after another as they end, each as its peers talked: a line for
// each turn, and under it what was said, as text, or if it is none in rows of hex and text. Nothing but printable ASCII,
// line breaks and the colors' own escapes is written. Connections that are open wait in memory up to a bound, and beyond
// it in a temporary file.
type ConversationWriter struct {
	w     io.Writer
	paint paint
	spool *spool
}

// maxSpoolBytes of conversations that have not ended are kept in memory.
const maxSpoolBytes = 32 << 20

// NewConversationWriter returns a Writer to w. color tells the directions apart on a terminal.
func NewConversationWriter(w io.Writer, color bool) *ConversationWriter {
	return &ConversationWriter{w: w, paint: paint{color: color}, spool: newSpool(maxSpoolBytes)}
}

// Mark shows marked bytes in color, if there are colors.
func (w *ConversationWriter) Mark(marks map[ID]*Marks) { w.paint.marks = marks }

// Begin implements Sink.
func (w *ConversationWriter) Begin(c *Connection) Consumer {
	t := &talk{w: w, marks: w.paint.marksOf(c.ID)}
	t.line(colorConnection, func(b []byte) []byte {
		b = c.ID.Append(append(b, "connection "...))
		h := Header{Port: c.Port, Window: c.Window}
		if c.Open != nil {
			return appendOpenText(b, &h, c.Open)
		}
		b = strconv.AppendUint(append(b, ", port "...), uint64(c.Port), 10)
		return c.Window.Append(append(b, ", its beginning is missing, window "...))
	})
	return t
}

// Flush implements Sink: what has not ended is not written.
func (w *ConversationWriter) Flush() error { return nil }

// Close removes the temporary file.
func (w *ConversationWriter) Close() error { return w.spool.close() }

// talk is the Consumer of one connection.
type talk struct {
	w       *ConversationWriter
	marks   *Marks
	text    spooled
	turn    bool      // something was said
	speaker Direction // the last one
	next    [2]uint64 // offset of the byte after the last one, by Direction
	within  bool      // a line of text has not ended
}

// line writes a line that is none of the peers'.
func (t *talk) line(color string, text func([]byte) []byte) {
	t.endLine()
	b := t.w.paint.begin(t.text.buf, color)
	b = t.w.paint.end(text(b))
	t.text.buf = append(b, '\n')
}

func (t *talk) endLine() {
	if t.within {
		t.text.buf = append(t.text.buf, '\n')
		t.within = false
	}
}

// Event implements Consumer.
func (t *talk) Event(e *Event, _ Place) error {
	switch e.Kind {
	case KindData:
		t.data(e)
	case KindEnd:
		t.missing(e)
		t.line(colorOf(e.Direction), func(b []byte) []byte {
			return appendTime(append(append(b, arrow(e.Direction)...), "end "...), e.Time)
		})
		t.turn = false
	case KindClose:
		t.line(colorConnection, func(b []byte) []byte {
			b = appendTime(append(b, "= closed by "+string(appendText(nil, e.Close.By))+" "...), e.Time)
			if e.Close.HasLedger {
				b = appendLedgerText(append(b, "; downstream"...), &e.Close.Ledger[Downstream])
				b = appendLedgerText(append(b, "; upstream"...), &e.Close.Ledger[Upstream])
			}
			return b
		})
	}
	return t.w.spool.grew(&t.text)
}

func arrow(d Direction) string {
	if d == Upstream {
		return "< upstream "
	}
	return "> downstream "
}

func (t *talk) data(e *Event) {
	if len(e.Payload) == 0 {
		return
	}
	t.missing(e)
	if !t.turn || t.speaker != e.Direction {
		t.turn, t.speaker = true, e.Direction
		t.line(colorOf(e.Direction), func(b []byte) []byte {
			b = strconv.AppendUint(append(append(b, arrow(e.Direction)...), "at "...), e.Offset, 10)
			return appendTime(append(b, ' '), e.Time)
		})
	}
	t.next[e.Direction] = e.Offset + uint64(len(e.Payload))
	marks := t.marks.from(e.Direction, e.Offset)
	if !isText(e.Payload) {
		t.endLine()
		t.text.buf = appendRows(t.text.buf, e.Offset, e.Payload, marks)
		return
	}
	b, m := t.text.buf, marker{ranges: marks}
	for i, c := range e.Payload {
		if c == '\r' && i+1 < len(e.Payload) && e.Payload[i+1] == '\n' {
			continue
		}
		if c == '\n' {
			b = m.off(b)
			if !t.within {
				b = append(b, "  "...)
			}
			b, t.within = append(b, '\n'), false
			continue
		}
		if !t.within {
			b, t.within = append(b, "  "...), true
		}
		b = m.at(b, e.Offset+uint64(i))
		switch {
		case c == '\t' || ' ' <= c && c <= '~':
			b = append(b, c)
		default:
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&0xf])
		}
	}
	t.text.buf = m.off(b)
}

// missing says which bytes are missing before an event.
func (t *talk) missing(e *Event) {
	if next := t.next[e.Direction]; e.Offset > next {
		t.line(colorConnection, func(b []byte) []byte {
			return append(b, "! missing: "+count(e.Offset-next, "byte")+" of "+e.Direction.String()...)
		})
		t.turn = false
	}
	t.next[e.Direction] = e.Offset
}

// isText reports whether bytes read better as text: no control characters besides white space, and few bytes that are no
// ASCII.
func isText(b []byte) bool {
	other := 0
	for _, c := range b {
		switch {
		case c == '\t' || c == '\n' || c == '\r':
		case c < ' ' || c == 0x7f:
			return false
		case c > 0x7f:
			other++
		}
	}
	return 8*other <= len(b)
}

// Fault implements Consumer.
func (t *talk) Fault(f *Fault) {
	switch f.Kind {
	case FaultGap, FaultLostGap, FaultNoClose: // missing and End say so
	default:
		t.line(colorConnection, func(b []byte) []byte { return append(append(b, "! "...), f.text()...) })
		t.turn = false
	}
}

// End implements Consumer: it writes the connection.
func (t *talk) End(v *Verdict) error {
	t.line(colorConnection, func(b []byte) []byte { return append(append(b, "= "...), v.String()...) })
	t.text.buf = append(t.text.buf, '\n')
	if err := errors.Join(t.w.spool.grew(&t.text), t.w.spool.writeTo(t.w.w, &t.text)); err != nil {
		return fmt.Errorf("write a conversation: %w", err)
	}
	return nil
}
