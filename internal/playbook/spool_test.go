package playbook

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
)

// TestMemory holds what stays in memory of many and of long connections.
func TestMemory(t *testing.T) {
	spool, err := newSpool(t.TempDir())
	require.NoError(t, err)
	defer spool.close()
	var long stream
	for range 4096 {
		require.NoError(t, spool.append(&long, make([]byte, 1<<14)))
	}
	require.Len(t, long.Extents, 1, "neighbors in the file are one extent")
	streams := make([]stream, 10000)
	for range 20 {
		for i := range streams {
			require.NoError(t, spool.append(&streams[i], make([]byte, 1000)))
			require.LessOrEqual(t, spool.waiting, spoolBytes)
		}
	}
	for i := range streams {
		require.LessOrEqual(t, len(streams[i].Extents), 20*1000*len(streams)/spoolBytes+2)
	}
}

func TestClassesAreBounded(t *testing.T) {
	classes := map[string]uint64{}
	for i := range MaxClasses + 5 {
		count(classes, fmt.Sprint(i), 2, OtherClasses)
	}
	require.Len(t, classes, MaxClasses+1)
	require.Equal(t, uint64(10), classes[OtherClasses])
}

// TestNothingStays has nothing of a connection in memory after its end but where it is in the file.
func TestNothingStays(t *testing.T) {
	c, err := NewCompiler(Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer c.Close()
	consumer := c.Begin(&capture.Connection{})
	for seq, payload := range []string{"request", "answer"} {
		require.NoError(t, consumer.Event(&capture.Event{
			Kind: capture.KindData, Header: capture.Header{Seq: uint64(seq)}, Direction: capture.Direction(seq), Payload: []byte(payload),
		}, capture.Place{}))
	}
	require.Len(t, c.spool.tails, 3)
	require.NoError(t, consumer.End(&capture.Verdict{State: capture.Whole, Close: &capture.Close{}}))
	require.Equal(t, 1, len(c.book.entries))
	require.Len(t, c.spool.tails, 1, "where scripts are")
	require.Equal(t, len(c.book.headers.tail), c.spool.waiting)

	refused := c.Begin(&capture.Connection{})
	require.NoError(t, refused.Event(&capture.Event{Kind: capture.KindData, Payload: []byte("request")}, capture.Place{}))
	require.NoError(t, refused.End(&capture.Verdict{State: capture.Broken, Cause: &capture.Fault{}}))
	require.Len(t, c.book.Refused, 1)
	require.Len(t, c.spool.tails, 1)
	require.Equal(t, len(c.book.headers.tail), c.spool.waiting)
}
