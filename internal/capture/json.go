package capture

import (
	"encoding/base64"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"l4dump/record"
)

// JSONWriter writes a JSON object a line for each record; docs/FORMAT.md lists the fields. All of it is printable
// ASCII. Lines in Layotto's format are left out.
type JSONWriter struct{ output }

// NewJSONWriter returns a Writer to w.
func NewJSONWriter(w io.Writer) *JSONWriter { return &JSONWriter{output{w: w}} }

// WriteRecord implements Writer.
func (j *JSONWriter) WriteRecord(r *record.Record) error {
	j.buf = appendJSON(j.buf, r)
	return j.wrote()
}

// WriteLayotto implements Writer.
func (j *JSONWriter) WriteLayotto(record.UUID, uint16, []byte) error { return nil }

// appendJSON appends r and a line break. Allocation-free for data where dst has room.
func appendJSON(dst []byte, r *record.Record) []byte {
	dst = append(dst, `{"kind":"`...)
	dst = append(dst, r.Kind.String()...)
	dst = append(dst, `","window":"`...)
	dst = r.Window.Append(dst)
	dst = append(dst, `","port":`...)
	dst = strconv.AppendUint(dst, uint64(r.Port), 10)
	dst = append(dst, `,"conn":"`...)
	dst = r.Conn.Append(dst)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, r.Seq, 10)
	if r.Kind == record.KindData || r.Kind == record.KindEnd {
		dst = append(dst, `,"direction":"`...)
		dst = append(dst, r.Direction.String()...)
		dst = append(dst, `","offset":`...)
		dst = strconv.AppendUint(dst, r.Offset, 10)
	}
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, r.Time)
	dst = append(dst, '"')
	switch r.Kind {
	case record.KindOpen:
		dst = appendOpenJSON(dst, r.Open)
	case record.KindData:
		dst = append(dst, `,"length":`...)
		dst = strconv.AppendUint(dst, uint64(len(r.Payload)), 10)
		dst = append(dst, `,"data":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, r.Payload)
		dst = append(dst, '"')
	case record.KindClose:
		dst = append(dst, `,"by":`...)
		dst = appendJSONString(dst, r.Close.By)
		dst = appendLedgerJSON(append(dst, `,"downstream":`...), &r.Close.Downstream)
		dst = appendLedgerJSON(append(dst, `,"upstream":`...), &r.Close.Upstream)
	}
	return append(dst, '}', '\n')
}

func appendOpenJSON(dst []byte, o *record.Open) []byte {
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

func appendLedgerJSON(dst []byte, l *record.Ledger) []byte {
	dst = append(dst, `{"seen":`...)
	dst = strconv.AppendUint(dst, l.Seen, 10)
	dst = append(dst, `,"kept":`...)
	dst = strconv.AppendUint(dst, l.Kept, 10)
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
