// Package framertest holds framers to what protocol.Framer promises.
package framertest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// Chunk is some bytes of a conversation.
type Chunk struct {
	Direction capture.Direction
	Bytes     string
	Ended     bool
}

// Down returns bytes of the client.
func Down(b string) Chunk { return Chunk{Direction: capture.Downstream, Bytes: b} }

// Up returns bytes of the service.
func Up(b string) Chunk { return Chunk{Direction: capture.Upstream, Bytes: b} }

// End returns the end of a direction.
func End(d capture.Direction) Chunk { return Chunk{Direction: d, Ended: true} }

// Message is a message as its pieces make it. Partial: its Last did not come.
type Message struct {
	Kind    protocol.Kind
	Class   string
	Bytes   string
	Partial bool
	Login   bool
	Failed  bool
	HasID   bool
	ID      uint64
	Answers int
	Wait    string
}

// Messages returns the messages of each direction in the order in which they begin, and the framer's error. It fails the
// test if a piece is none that a Framer returns.
func Messages(t testing.TB, f protocol.Framer, chunks ...Chunk) (list []Message, err error) {
	t.Helper()
	open := [2]int{-1, -1}
	var bytes [][]byte
	c := protocol.NewCutter(f)
	for _, chunk := range chunks {
		d := chunk.Direction
		err = c.Cut(d, []byte(chunk.Bytes), chunk.Ended, func(p protocol.Piece, b []byte) {
			if p.First {
				require.Equal(t, -1, open[d], "a message begins within another: %v", p)
				open[d] = len(list)
				bytes = append(bytes, nil)
				list = append(list, Message{Kind: p.Kind, Class: p.Class, Login: p.Login, Failed: p.Failed, HasID: p.HasID, ID: p.ID, Partial: true})
			} else {
				require.NotEqual(t, -1, open[d], "a message does not begin: %v", p)
				require.Equal(t, protocol.Piece{
					Size: p.Size, Kind: list[open[d]].Kind, Last: p.Last, Answers: p.Answers, Wait: p.Wait,
				}, p, "what only a First says")
			}
			m := &list[open[d]]
			bytes[open[d]] = append(bytes[open[d]], b...)
			if !p.Last {
				require.Positive(t, p.Size, "an empty piece that does not end a message: %v", p)
				require.Zero(t, p.Answers, "what only a Last says")
				require.Zero(t, p.Wait, "what only a Last says")
				return
			}
			require.True(t, p.Size > 0 || chunk.Ended && !p.First, "an empty piece before the end of the stream: %v", p)
			m.Partial, m.Answers = false, p.Answers
			if p.Wait != 0 {
				m.Wait = p.Wait.String()
			}
			open[d] = -1
		})
		if err == nil {
			require.LessOrEqual(t, len(c.Rest(d)), protocol.MaxWanted, "more is wanted than may be")
		}
	}
	for i := range list {
		list[i].Bytes = string(bytes[i])
	}
	return list, err
}

// AnyCut requires the same messages, and the same error, of chunks that are cut at every byte, and at any.
func AnyCut(t testing.TB, create func() protocol.Framer, chunks ...Chunk) ([]Message, error) {
	t.Helper()
	want, wantErr := Messages(t, create(), chunks...)
	random := rand.New(rand.NewPCG(1, uint64(len(chunks)))) //nolint:gosec // the same cuts each time
	cuts := map[string]func(rest int) int{
		"every byte": func(int) int { return 1 },
		"any":        func(rest int) int { return 1 + random.IntN(min(rest, 1+random.IntN(40))) },
	}
	total := 0
	for _, chunk := range chunks {
		total += len(chunk.Bytes)
	}
	for name, size := range cuts {
		if total > maxBytewise {
			bytewise := size
			size = func(rest int) int { return min(rest, bytewise(rest)*total/maxBytewise) }
		}
		got, err := Messages(t, create(), cut(chunks, size)...)
		require.Equal(t, fmt.Sprint(wantErr), fmt.Sprint(err), "cut at %s", name)
		require.Equal(t, want, got, "cut at %s", name)
	}
	return want, wantErr
}

// maxBytewise bounds what is cut at every byte. More is cut into larger parts.
const maxBytewise = 16 << 10

func cut(chunks []Chunk, size func(rest int) int) (list []Chunk) {
	for _, chunk := range chunks {
		for b := chunk.Bytes; len(b) > 0; {
			n := min(len(b), size(len(b)))
			list = append(list, Chunk{Direction: chunk.Direction, Bytes: b[:n]})
			b = b[n:]
		}
		if chunk.Ended {
			list = append(list, Chunk{Direction: chunk.Direction, Ended: true})
		}
	}
	return list
}

// Brief returns a message as one line: what it is, without its bytes.
func (m *Message) Brief() string {
	line := m.Kind.String()
	if m.Class != "" {
		line += " " + m.Class
	}
	if m.HasID {
		line += fmt.Sprintf(" #%d", m.ID)
	}
	if m.Kind == protocol.Request {
		line += fmt.Sprintf(" %d", m.Answers)
	}
	if m.Wait != "" {
		line += " " + m.Wait
	}
	for word, is := range map[string]bool{" login": m.Login, " failed": m.Failed, " partial": m.Partial} {
		if is {
			line += word
		}
	}
	return line
}

// Brief returns messages as one line each.
func Brief(list []Message) (lines []string) {
	for i := range list {
		lines = append(lines, list[i].Brief())
	}
	return lines
}

// NoAllocations wants no allocation for messages like some before, cut into chunks of a size, and more than least pieces of
// question and answer.
func NoAllocations(t *testing.T, create func() protocol.Framer, question, answer []byte, chunk, least int) {
	t.Helper()
	c := protocol.NewCutter(create())
	pieces, size := 0, 0
	emit := func(_ protocol.Piece, b []byte) {
		pieces++
		size += len(b)
	}
	pass := func() {
		for d, b := range [][]byte{question, answer} {
			for len(b) > 0 {
				n := min(len(b), chunk)
				require.NoError(t, c.Cut(capture.Direction(d), b[:n], false, emit))
				b = b[n:]
			}
		}
	}
	pass()
	pieces, size = 0, 0
	const runs = 10
	require.Zero(t, testing.AllocsPerRun(runs, pass))
	require.Equal(t, (runs+1)*(len(question)+len(answer)), size)
	require.Greater(t, pieces, (runs+1)*least)
}
