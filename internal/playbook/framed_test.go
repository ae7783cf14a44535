package playbook_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	. "l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	"l4dump/internal/protocol"
)

// lines is a protocol of lines. The client's begin with how many answers they have, 0 to 9, "?" for an unknown number, or
// with "#" and an identifier for one. The service's begin with "+" (an answer), "#" and the identifier, "%" (a milestone),
// or "!" (unasked). "raw" and "bad" end it.
type lines struct{ protocol.Protocol }

func (lines) Name() string               { return "lines" }
func (lines) NewFramer() protocol.Framer { return linesFramer{} }
func (lines) Ports() []uint16            { return nil }
func (lines) Match(d capture.Direction, first []byte) protocol.Match {
	if len(first) == 0 {
		return protocol.Unsure
	}
	if bytes.IndexByte([]byte("0123456789?#+%!br"), first[0]) < 0 {
		return protocol.No
	}
	return protocol.Yes
}

type linesFramer struct{}

func (linesFramer) Next(d capture.Direction, buf []byte, _ bool) (protocol.Piece, error) {
	line, _, ok := strings.Cut(string(buf), "\n")
	if !ok {
		return protocol.Piece{}, nil
	}
	p := protocol.Piece{Size: len(line) + 1, First: true, Last: true, Kind: protocol.Answer}
	if d == capture.Downstream {
		p.Kind, p.Class, p.Answers = protocol.Request, line[:1], 1
	}
	switch line[0] {
	case '?':
		p.Answers = protocol.Unknown
	case '#':
		p.HasID, p.ID = true, uint64(line[1])
	case '%':
		p.Kind = protocol.Milestone
	case '!':
		p.Kind = protocol.Push
	case '+':
	case 'b':
		return protocol.Piece{}, errors.New("bad line")
	case 'r':
		return protocol.Piece{}, protocol.ErrRaw
	default:
		p.Answers = int(line[0] - '0')
	}
	return p, nil
}

func TestFramedSteps(t *testing.T) {
	for _, row := range []struct {
		name   string
		client *playbooktest.Client
		want   []string
	}{
		{"request and answer", playbooktest.NewClient(1).Open().Data(down, "1 a\n").Data(up, "+ b\n").Data(down, "1 c\n").Data(up, "+").Data(up, "\n").Close("downstream"), []string{
			`1ms send "1 a\n" after 0 bytes at 0ms, answers 0, milestones 0`,
			`3ms send "1 c\n" after 4 bytes at 2ms, answers 1, milestones 0`,
			`6ms close "" after 6 bytes at 5ms, answers 2, milestones 0`,
			`turn 1 "1 a\n" "+ b\n"`, `turn 1 "1 c\n" "+\n"`,
		}},
		{"pipelined, none and two answers", playbooktest.NewClient(1).Open().Data(down, "1\n0\n2\n1").Data(up, "+a\n+b\n+c\n").Data(down, "\n").Data(up, "+d\n").Close("downstream"), []string{
			`1ms send "1\n0\n2\n1" after 0 bytes at 0ms, answers 0, milestones 0`,
			`3ms send "\n" after 9 bytes at 2ms, answers 2, milestones 0`,
			`5ms close "" after 12 bytes at 4ms, answers 3, milestones 0`,
			`turn 1 "1\n" "+a\n"`, `turn 0 "0\n" ""`, `turn 2 "2\n" "+b\n+c\n"`, `turn 1 "1\n" "+d\n"`,
		}},
		{"any order by identifier", playbooktest.NewClient(1).Open().Data(down, "#a\n#b\n").Data(up, "#b\n").Data(down, "#c\n").Data(up, "#a\n#c\n").Close("downstream"), []string{
			`1ms send "#a\n#b\n" after 0 bytes at 0ms, answers 0, milestones 0`,
			`3ms send "#c\n" after 3 bytes at 2ms, answers 1, milestones 0`,
			`5ms close "" after 9 bytes at 4ms, answers 3, milestones 0`,
			`turn # "#a\n" "#a\n"`, `turn # "#b\n" "#b\n"`, `turn # "#c\n" "#c\n"`,
		}},
		{"server first, milestone and push", playbooktest.NewClient(1).Open().Data(up, "+hello\n").Data(down, "1\n").Data(up, "!p\n%m\n").Data(down, "1\n").Data(up, "+a\n!p\n+b\n").Close("downstream"), []string{
			`2ms send "1\n" after 7 bytes at 1ms, answers 1, milestones 0`,
			`4ms send "1\n" after 13 bytes at 3ms, answers 1, milestones 1`,
			`6ms close "" after 22 bytes at 5ms, answers 3, milestones 0`,
			`turn  "" "+hello\n"`, `turn 1 "1\n" "%m\n+a\n"`, `turn 1 "1\n" "+b\n"`,
		}},
		{"unknown number of answers", playbooktest.NewClient(1).Open().Data(down, "?\n").Data(up, "+a\n+b\n").Data(down, "?\n").Data(up, "+c\n").Data(down, "?\n?\n").Data(up, "+d\n+e\n").Close("downstream"), []string{
			`1ms send "?\n" after 0 bytes at 0ms, answers 0, milestones 0`,
			`3ms send "?\n" after 6 bytes at 2ms, answers 1, milestones 1`,
			`5ms send "?\n?\n" after 9 bytes at 4ms, answers 2, milestones 0`,
			`7ms close "" after 15 bytes at 6ms, answers 4, milestones 0`,
			`turn ? "?\n" "+a\n+b\n"`, `turn ? "?\n" "+c\n"`, `turn ? "?\n" "+d\n"`, `turn ? "?\n" "+e\n"`,
		}},
		{"cut off in an answer", playbooktest.NewClient(1).Open().Data(down, "1\n").Data(up, "+a\n").Data(down, "2\n").Data(up, "+b\n"), []string{
			`1ms send "1\n" after 0 bytes at 0ms, answers 0, milestones 0`,
			`3ms send "2\n" after 3 bytes at 2ms, answers 1, milestones 0`,
			`4ms close "" after 6 bytes at 4ms, answers 1, milestones 1`,
			`turn 1 "1\n" "+a\n"`, `turn 2 "2\n" "+b\n" open`,
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, Options{Detector: &protocol.Detector{Protocols: []protocol.Protocol{lines{}}}}, row.client.Events)
			require.Equal(t, map[string]uint64{"lines": 1}, book.Totals.Protocols)
			s, err := book.Script(0)
			require.NoError(t, err)
			require.Equal(t, row.want, describe(t, s))
		})
	}
}

// TestFallback has connections that stop to speak the protocol that they were taken for.
func TestFallback(t *testing.T) {
	for _, row := range []struct{ name, word, want string }{
		{"malformed", "bad\n", "lines: bad line"},
		{"upgraded", "raw\n", "lines: the rest of the connection is raw"},
	} {
		t.Run(row.name, func(t *testing.T) {
			log := playbooktest.NewClient(1).Open().Data(down, "1\n").Data(up, "+a\n").Data(down, row.word).Data(up, "+b\n").Close("downstream")
			book := compile(t, Options{Detector: &protocol.Detector{Protocols: []protocol.Protocol{lines{}}}}, log.Events)
			require.Equal(t, map[string]uint64{"raw": 1}, book.Totals.Protocols)
			require.Equal(t, map[string]uint64{row.want: 1}, book.Totals.Fallbacks)
			require.Empty(t, book.Totals.Classes)
			s, err := book.Script(0)
			require.NoError(t, err)
			require.Equal(t, []string{
				`1ms send "1\n" after 0 bytes at 0ms`,
				`3ms send "` + row.word[:3] + `\n" after 3 bytes at 2ms`,
				`5ms close "" after 6 bytes at 4ms`,
				`turn  "1\n" "+a\n"`, `turn  "` + row.word[:3] + `\n" "+b\n"`,
			}, describe(t, s))
		})
	}
}
