package framertest

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
)

// Conversation is a recorded connection.
type Conversation struct {
	Chunks []Chunk // each record, in order
}

// Recording returns the connections of a dump log, which have no fault, in the order in which they begin.
func Recording(t testing.TB, path string) []*Conversation {
	t.Helper()
	log, err := os.ReadFile(path)
	require.NoError(t, err)
	var list []*Conversation
	sink := capture.SinkFunc(func(*capture.Connection) capture.Consumer {
		c := &consumer{t: t}
		list = append(list, &c.conversation)
		return c
	})
	source := dumplog.NewSource(dumplog.Options{}, dumplog.Stream{Name: path, Reader: bytes.NewReader(log)})
	_, err = capture.Read(t.Context(), sink, capture.Options{}, source)
	require.NoError(t, err)
	require.NotEmpty(t, list)
	return list
}

type consumer struct {
	t            testing.TB
	conversation Conversation
}

func (c *consumer) Event(e *capture.Event, _ capture.Place) error {
	if e.Kind == capture.KindData || e.Kind == capture.KindEnd {
		c.conversation.Chunks = append(c.conversation.Chunks, Chunk{
			Direction: e.Direction, Bytes: string(e.Payload), Ended: e.Kind == capture.KindEnd,
		})
	}
	return nil
}

func (c *consumer) Fault(f *capture.Fault) { require.Fail(c.t, f.String()) }

func (c *consumer) End(*capture.Verdict) error { return nil }
