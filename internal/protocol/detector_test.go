package protocol_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// magic is a protocol whose client begins with a word, and whose service may say anything but "no".
type magic struct {
	protocol.Protocol
	name, word string
	port       uint16
	sure       protocol.Match // of a stream that begins with the word
}

func (m magic) Name() string    { return m.name }
func (m magic) Ports() []uint16 { return []uint16{m.port} }

func (m magic) Match(d capture.Direction, first []byte) protocol.Match {
	n := min(len(first), len(m.word))
	switch {
	case d == capture.Upstream && string(first) == "no", d == capture.Downstream && m.word[:n] != string(first[:n]):
		return protocol.No
	case d == capture.Upstream || n < len(m.word):
		return protocol.Unsure
	}
	return m.sure
}

func TestDetect(t *testing.T) {
	sure := magic{name: "sure", word: "sure", port: 1, sure: protocol.Yes}
	modest := magic{name: "modest", word: "m", port: 2, sure: protocol.Unsure}
	d := protocol.Detector{Protocols: []protocol.Protocol{sure, modest}, Ports: map[uint16]protocol.Protocol{9: modest}}
	for _, row := range []struct {
		name     string
		port     uint16
		down, up string
		ended    bool
		want     string // "" cannot tell
	}{
		{name: "the user says", port: 9, down: "sure", want: "modest"},
		{name: "nothing yet", port: 1},
		{name: "nothing at all, on a port", port: 1, ended: true, want: "sure"},
		{name: "nothing at all", port: 3, ended: true, want: "raw"},
		{name: "proved", port: 3, down: "sure", want: "sure"},
		{name: "proved on another's port", port: 2, down: "sure", want: "sure"},
		{name: "begun", port: 3, down: "sur"},
		{name: "begun and ended", port: 3, down: "sur", ended: true, want: "raw"},
		{name: "proved, but not by the service", port: 3, down: "sure", up: "no", want: "raw"},
		{name: "none", port: 1, down: "x", want: "raw"},
		{name: "not proved", port: 3, down: "m"},
		{name: "not proved, ended", port: 3, down: "m", ended: true, want: "raw"},
		{name: "not proved, its port", port: 2, down: "m", ended: true, want: "modest"},
		{name: "not proved, one byte before the limit", port: 2, down: "m" + strings.Repeat("x", 510)},
		{name: "not proved, at the limit", port: 2, down: "m" + strings.Repeat("x", 511), want: "modest"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, ok := d.Detect(row.port, [2][]byte{[]byte(row.down), bytes.Clone([]byte(row.up))}, row.ended)
			require.Equal(t, row.want != "", ok)
			if ok {
				require.Equal(t, row.want, p.Name())
			}
		})
	}
}

// TestDetectSaid has the user's word count, for a port and for all others.
func TestDetectSaid(t *testing.T) {
	sure := magic{name: "sure", word: "sure", port: 1, sure: protocol.Yes}
	d := protocol.Detector{
		Protocols: []protocol.Protocol{sure}, Only: protocol.Raw,
		Ports: map[uint16]protocol.Protocol{8: sure, 9: nil},
	}
	for _, row := range []struct {
		name string
		port uint16
		down string
		want string
	}{
		{"all", 1, "sure", "raw"},
		{"a port", 8, "x", "sure"},
		{"a port that is guessed", 9, "sure", "sure"},
		{"a port that is guessed, other bytes", 9, "x", "raw"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, ok := d.Detect(row.port, [2][]byte{[]byte(row.down)}, false)
			require.True(t, ok)
			require.Equal(t, row.want, p.Name())
		})
	}
}
