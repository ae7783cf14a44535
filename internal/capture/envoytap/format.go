package envoytap

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"

	tapv3 "github.com/envoyproxy/go-control-plane/envoy/data/tap/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// format is how messages stand in an input, as config.tap.v3.OutputSink.Format names it.
type format uint8

const (
	formatBinary    format = 1 + iota // PROTO_BINARY: messages after one another
	formatDelimited                   // PROTO_BINARY_LENGTH_DELIMITED
	formatText                        // PROTO_TEXT
	formatJSON                        // JSON_BODY_AS_BYTES or JSON_BODY_AS_STRING
)

// headBytes are enough to tell a format.
const headBytes = 4 << 10

// Begins reports whether an input begins with head is an Envoy tap. more says that further bytes may tell.
func Begins(head []byte) (is, more bool) {
	f, more := formatOf(head)
	return f != 0, more
}

// formatOf returns the format of an input that begins with head, or 0. more says that further bytes may tell.
func formatOf(head []byte) (f format, more bool) {
	begun := false
	for _, candidate := range []format{formatBinary, formatDelimited} {
		p := prober{head: head}
		switch p.probe(candidate) {
		case probeWhole:
			if p.tags >= 2 {
				return candidate, false
			}
		case probeCut:
			if p.tags >= 4 {
				return candidate, false
			}
			begun = true
		case probeOther:
		}
	}
	f, text := textFormatOf(head)
	return f, f == 0 && (begun || text) && len(head) < headBytes
}

// probed is what a prober found.
type probed uint8

const (
	probeOther probed = iota // no trace
	probeCut                 // what there is of one
	probeWhole
)

// prober holds the beginning of a binary message against the fields that Envoy's API has. There is no other way to tell:
// the form has no magic, and an HTTP trace begins with a line break.
type prober struct {
	head []byte
	tags int // that were right
}

func (p *prober) probe(f format) probed {
	d := (*tapv3.TraceWrapper)(nil).ProtoReflect().Descriptor()
	if f == formatBinary {
		_, found := p.field(0, math.MaxInt, d, 0)
		return found
	}
	length, n := protowire.ConsumeVarint(p.head)
	switch {
	case n < 0:
		return cutOr(n)
	case length == 0 || length > maxTraceBytes:
		return probeOther
	}
	_, found := p.message(n, n+int(length), d, 0)
	return found
}

func cutOr(n int) probed {
	if errors.Is(protowire.ParseError(n), io.ErrUnexpectedEOF) {
		return probeCut
	}
	return probeOther
}

// message holds the message that ends before end against d.
func (p *prober) message(at, end int, d protoreflect.MessageDescriptor, depth int) (int, probed) {
	for at < end {
		var found probed
		if at, found = p.field(at, end, d, depth); found != probeWhole {
			return at, found
		}
	}
	return at, probeWhole
}

// field holds a field of a message that ends before end against d. Deep in a message, a newer Envoy may have fields
// that are not known.
func (p *prober) field(at, end int, d protoreflect.MessageDescriptor, depth int) (int, probed) {
	const knownDepth = 2
	if at >= len(p.head) {
		return at, probeCut
	}
	number, kind, n := protowire.ConsumeTag(p.head[at:])
	if n < 0 {
		return at, cutOr(n)
	}
	at += n
	f := d.Fields().ByNumber(number)
	switch {
	case f != nil && kind == wireTypeOf(f), f == nil && number == fieldOwn && kind == protowire.BytesType:
		p.tags++
	case f != nil || depth < knownDepth:
		return at, probeOther
	}
	if kind != protowire.BytesType {
		n = protowire.ConsumeFieldValue(number, kind, p.head[at:])
		if n < 0 {
			return at, cutOr(n)
		}
		if at += n; at > end {
			return at, probeOther
		}
		return at, probeWhole
	}
	length, n := protowire.ConsumeVarint(p.head[at:])
	if n < 0 {
		return at, cutOr(n)
	}
	at += n
	switch {
	case length > maxTraceBytes || at > end || int(length) > end-at:
		return at, probeOther
	case f != nil && f.Message() != nil:
		return p.message(at, at+int(length), f.Message(), depth+1)
	case at+int(length) > len(p.head):
		return len(p.head), probeCut
	}
	return at + int(length), probeWhole
}

func wireTypeOf(f protoreflect.FieldDescriptor) protowire.Type {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.StringKind, protoreflect.BytesKind:
		return protowire.BytesType
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	default:
		return protowire.VarintType
	}
}

// textFormatOf looks for the first name in the text forms.
func textFormatOf(head []byte) (f format, more bool) {
	const space = " \t\r\n"
	text, isJSON := bytes.CutPrefix(bytes.TrimLeft(head, space), []byte("{"))
	if isJSON {
		text = bytes.TrimLeft(text, space)
		if len(text) == 0 {
			return 0, true
		}
		if text, isJSON = bytes.CutPrefix(text, []byte(`"`)); !isJSON {
			return 0, false
		}
	}
	fields := (*tapv3.TraceWrapper)(nil).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		names := []string{string(fields.Get(i).Name())}
		if isJSON {
			names = append(names, fields.Get(i).JSONName())
		}
		for _, name := range names {
			rest, found := bytes.CutPrefix(text, []byte(name))
			rest = bytes.TrimLeft(rest, space)
			switch {
			case !found:
				more = more || strings.HasPrefix(name, string(text))
			case len(rest) == 0:
				more = true
			case isJSON && rest[0] == '"':
				return formatJSON, false
			case !isJSON && (rest[0] == '{' || rest[0] == ':'):
				return formatText, false
			}
		}
	}
	return 0, more
}
