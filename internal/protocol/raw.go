package protocol

import "l4dump/internal/capture"

// Raw is the protocol of connections without messages: its Framer returns ErrRaw for whatever comes first, and Fields
// has all bytes in one field.
var Raw Protocol = raw{}

type raw struct{}

func (raw) Name() string                          { return "raw" }
func (raw) Ports() []uint16                       { return nil }
func (raw) Match(capture.Direction, []byte) Match { return No }
func (raw) NewFramer() Framer                     { return rawFramer{} }

func (raw) Fields(_ capture.Direction, _ string, message []byte) (*Message, error) {
	return &Message{Fields: []Field{{Part: "bytes", Value: Value{Type: String, Text: string(message)}}}}, nil
}

type rawFramer struct{}

func (rawFramer) Next(_ capture.Direction, buf []byte, _ bool) (Piece, error) {
	if len(buf) == 0 {
		return Piece{}, nil
	}
	return Piece{}, ErrRaw
}
