package protocol_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// lines is a Framer of lines: "!" is a fault, and a line of the service that begins with "+" is a push.
type lines struct{ err error }

var errBang = errors.New(`read line: "!" is none`)

func (l *lines) Next(d capture.Direction, buf []byte, ended bool) (protocol.Piece, error) {
	if l.err == nil && len(buf) > 0 && buf[0] == '!' {
		l.err = errBang
	}
	n := bytes.IndexByte(buf, '\n') + 1
	if n == 0 && ended {
		n = len(buf)
	}
	if l.err != nil || n == 0 {
		return protocol.Piece{}, l.err
	}
	p := protocol.Piece{Size: n, Kind: protocol.Request, First: true, Last: true, Answers: 1}
	if d == capture.Upstream {
		p.Kind, p.Answers = protocol.Answer, 0
		if buf[0] == '+' {
			p.Kind = protocol.Push
		}
	}
	return p, nil
}

func TestCutter(t *testing.T) {
	type call struct {
		direction capture.Direction
		chunk     string
		ended     bool
	}
	down, up := capture.Downstream, capture.Upstream
	for _, row := range []struct {
		name  string
		calls []call
		want  []string
		rest  [2]string
		err   error
	}{
		{name: "nothing"},
		{name: "empty chunk", calls: []call{{down, "", false}}},
		{name: "one line", calls: []call{{down, "a\n", false}}, want: []string{"request a\n"}},
		{name: "two in a chunk", calls: []call{{down, "a\nb\n", false}}, want: []string{"request a\n", "request b\n"}},
		{
			name: "cut everywhere", calls: []call{{down, "a", false}, {down, "b", false}, {down, "\nc", false}, {down, "\n", false}},
			want: []string{"request ab\n", "request c\n"},
		},
		{
			name: "directions apart", calls: []call{{down, "a", false}, {up, "b", false}, {down, "\n", false}, {up, "\n+c\n", false}},
			want: []string{"request a\n", "answer b\n", "push +c\n"},
		},
		{name: "rest", calls: []call{{up, "a\nb", false}, {down, "c", false}}, want: []string{"answer a\n"}, rest: [2]string{"c", "b"}},
		{name: "end completes", calls: []call{{down, "a", true}}, want: []string{"request a"}},
		{name: "after the end", calls: []call{{down, "", true}, {down, "a\n", false}}},
		{
			name: "fault", calls: []call{{down, "a\n!\n", false}, {up, "b\n", false}},
			want: []string{"request a\n"}, rest: [2]string{"!\n", ""}, err: errBang,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := protocol.NewCutter(&lines{})
			var got []string
			for _, call := range row.calls {
				err := c.Cut(call.direction, []byte(call.chunk), call.ended, func(p protocol.Piece, b []byte) {
					got = append(got, p.Kind.String()+" "+string(b))
				})
				require.Equal(t, c.Err(), err)
			}
			require.Equal(t, row.want, got)
			require.Equal(t, row.rest, [2]string{string(c.Rest(down)), string(c.Rest(up))})
			require.Equal(t, row.err, c.Err())
		})
	}
}

func TestRaw(t *testing.T) {
	f := protocol.Raw.NewFramer()
	p, err := f.Next(capture.Upstream, nil, true)
	require.NoError(t, err)
	require.Zero(t, p)
	_, err = f.Next(capture.Upstream, []byte("a"), false)
	require.ErrorIs(t, err, protocol.ErrRaw)
	m, err := protocol.Raw.Fields(capture.Upstream, "", []byte("a\x00"))
	require.NoError(t, err)
	require.Equal(t, &protocol.Message{Fields: []protocol.Field{
		{Part: "bytes", Value: protocol.Value{Type: protocol.String, Text: "a\x00"}},
	}}, m)
}
