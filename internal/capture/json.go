package capture

import (
	"encoding/base64"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// JSONWriter writes one line for each event, a JSON object; docs/FORMAT.md lists the fields. All of it is printable
// ASCII.
type JSONWriter struct{ output }

// NewJSONWriter returns a Writer to w.
func NewJSONWriter(w io.Writer) *JSONWriter { return &JSONWriter{newOutput(w)} }

// Begin implements Sink.
func (j *JSONWriter) Begin(*Connection) Consumer { return j }

// Event implements Consumer.
func (j *JSONWriter) Event(e *Event, _ Place) error {
	j.Buf = appendJSON(j.Buf, e)
	return j.Wrote()
}

// appendJSON appends e and a line break. Allocation-free for data if dst has room.
func appendJSON(dst []byte, e *Event) []byte {
	dst = append(dst, `{"kind":"`...)
	dst = append(dst, e.Kind.String()...)
	dst = append(dst, `","window":"`...)
	dst = e.Window.Append(dst)
	dst = append(dst, `","port":`...)
	dst = strconv.AppendUint(dst, uint64(e.Port), 10)
	dst = append(dst, `,"conn":"`...)
	dst = e.Conn.Append(dst)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, e.Seq, 10)
	if e.Kind == KindData || e.Kind == KindEnd {
		dst = append(dst, `,"direction":"`...)
		dst = append(dst, e.Direction.String()...)
		dst = append(dst, `","offset":`...)
		dst = strconv.AppendUint(dst, e.Offset, 10)
	}
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, e.Time)
	dst = append(dst, '"')
	switch e.Kind {
	case KindOpen:
		dst = appendOpenJSON(dst, e.Open)
	case KindData:
		dst = append(dst, `,"length":`...)
		dst = strconv.AppendUint(dst, uint64(len(e.Payload)), 10)
		if e.Masked > 0 {
			dst = append(dst, `,"masked":`...)
			dst = strconv.AppendUint(dst, e.Masked, 10)
		}
		if e.Cut {
			dst = append(dst, `,"cut":true`...)
		}
		dst = append(dst, `,"data":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, e.Payload)
		dst = append(dst, '"')
	case KindClose:
		dst = append(dst, `,"by":`...)
		dst = appendJSONString(dst, e.Close.By)
		if e.Close.HasLedger {
			dst = appendLedgerJSON(append(dst, `,"downstream":`...), &e.Close.Ledger[Downstream])
			dst = appendLedgerJSON(append(dst, `,"upstream":`...), &e.Close.Ledger[Upstream])
		}
	}
	return append(dst, '}', '\n')
}

func appendOpenJSON(dst []byte, o *Open) []byte {
	dst = append(dst, `,"unit":`...)
	dst = appendJSONString(dst, o.Unit)
	dst = append(dst, `,"started":"`...)
	dst = appendTime(dst, o.Started)
	dst = append(dst, '"')
	if o.HasProxyConn {
		dst = append(dst, `,"proxy_conn":`...)
		dst = strconv.AppendUint(dst, o.ProxyConn, 10)
	}
	for _, field := range []struct{ key, text string }{
		{`,"source":`, o.Source},
		{`,"destination":`, o.Destination},
		{`,"sni":`, o.SNI},
		{`,"peer":`, o.Peer},
		{`,"next":`, o.Next},
	} {
		if field.text != "" {
			dst = append(dst, field.key...)
			dst = appendJSONString(dst, field.text)
		}
	}
	dst = append(dst, `,"mtls":`...)
	return strconv.AppendBool(dst, o.MTLS)
}

func appendLedgerJSON(dst []byte, l *Ledger) []byte {
	dst = append(dst, `{"seen":`...)
	dst = strconv.AppendUint(dst, l.Seen, 10)
	dst = append(dst, `,"kept":`...)
	dst = strconv.AppendUint(dst, l.Kept, 10)
	if l.Masked > 0 {
		dst = append(dst, `,"masked":`...)
		dst = strconv.AppendUint(dst, l.Masked, 10)
	}
	dst = append(dst, `,"dropped":{`...)
	for i, drop := range l.Dropped {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, drop.Reason)
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, drop.Bytes, 10)
	}
	return append(dst, '}', '}')
}

// appendJSONString appends s as a JSON string of printable ASCII: a terminal takes some characters beyond it as
// controls. Like in encoding/json, a byte that is not UTF-8 becomes U+FFFD.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case ' ' <= r && r < utf8.RuneSelf-1:
			dst = append(dst, byte(r))
		case r <= 0xffff:
			dst = appendJSONEscape(dst, r)
		default:
			high, low := utf16.EncodeRune(r)
			dst = appendJSONEscape(appendJSONEscape(dst, high), low)
		}
	}
	return append(dst, '"')
}

// appendJSONEscape appends \uXXXX.
func appendJSONEscape(dst []byte, unit rune) []byte {
	return append(dst, '\\', 'u', hexDigits[unit>>12&0xf], hexDigits[unit>>8&0xf], hexDigits[unit>>4&0xf], hexDigits[unit&0xf])
}
