package verdict_test

import (
	"bytes"
	"strings"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// lines is a protocol of lines: each from the client is a request, and each from the service answers one. "-ERR why" is an
// error, "k=v k=v" a map, and what begins with "+" is a push.
type lines struct{}

func (lines) Name() string                                   { return "lines" }
func (lines) Ports() []uint16                                { return []uint16{8080} }
func (lines) Match(capture.Direction, []byte) protocol.Match { return protocol.Yes }
func (lines) NewFramer() protocol.Framer                     { return lineFramer{} }
func (l lines) byName(name string) protocol.Protocol {
	if name == l.Name() {
		return l
	}
	return nil
}

func (lines) Fields(_ capture.Direction, _ string, message []byte) (*protocol.Message, error) {
	if i := bytes.IndexByte(message, '\n'); i < 0 || i != len(message)-1 {
		return nil, protocol.ErrRaw
	}
	text := strings.TrimSuffix(string(message), "\n")
	if strings.HasPrefix(text, "-") {
		return &protocol.Message{Failed: true, Class: strings.Fields(text[1:])[0], Fields: []protocol.Field{
			{Part: "value", Value: protocol.Value{Type: protocol.Error, Text: text[1:]}},
		}}, nil
	}
	v := protocol.Value{Type: protocol.Map}
	for word := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(word, "=")
		v.Members = append(v.Members, protocol.Member{Key: key, Value: protocol.Value{Type: protocol.String, Text: value}})
	}
	return &protocol.Message{Fields: []protocol.Field{{Part: "value", Value: v}}}, nil
}

type lineFramer struct{}

func (lineFramer) Next(d capture.Direction, buf []byte, ended bool) (protocol.Piece, error) {
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		if ended && len(buf) > 0 {
			return protocol.Piece{}, protocol.ErrRaw
		}
		return protocol.Piece{}, nil
	}
	p := protocol.Piece{Size: end + 1, Kind: protocol.Answer, First: true, Last: true}
	if d == capture.Downstream {
		word, _, _ := strings.Cut(strings.TrimSpace(string(buf[:end])), " ")
		p.Kind, p.Class, p.Answers = protocol.Request, word, 1
	} else {
		p.Failed = buf[0] == '-'
		if buf[0] == '+' {
			p.Kind = protocol.Push
		}
	}
	return p, nil
}
