package command

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// gate is an output that takes nothing until it is opened.
type gate struct {
	open chan struct{}
	text bytes.Buffer
}

func (g *gate) Write(text []byte) (int, error) {
	<-g.open
	return g.text.Write(text)
}

func TestQueueLeavesOutWholeLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{open: make(chan struct{})}
		q := newQueue(out)
		write := func(text string) {
			n, err := q.Write([]byte(text))
			require.NoError(t, err)
			require.Equal(t, len(text), n)
		}
		write("first ")
		synctest.Wait()
		large := strings.Repeat("x", queueBytes-len("first ")-1) + "\n"
		write(large)                // fills the queue to its last byte
		write("1\n2\n")             // is left out
		write("3 is not ended")     // too
		close(out.open)             // the reader reads again
		synctest.Wait()             // the queue is empty
		write(" before here\nlast") // the line that was begun is left out
		write(" line\n")
		require.NoError(t, q.close())
		want := "first " + large + "l4dump: 3 lines (31 bytes) of the log were left out, since they came faster than they were read\nlast line\n"
		require.Equal(t, len(want), out.text.Len())
		require.Equal(t, want[len(want)-200:], out.text.String()[len(want)-200:])
	})
}

func TestQueueSaysWhatWasLeftOutAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{open: make(chan struct{})}
		q := newQueue(out)
		for range queueWrites + 1 { // one of them is being written
			_, err := q.Write([]byte("a\n"))
			require.NoError(t, err)
			if len(q.writes) == 1 {
				synctest.Wait()
			}
		}
		_, err := q.Write([]byte("b\n"))
		require.NoError(t, err)
		close(out.open)
		require.EqualError(t, q.close(), "1 lines (2 bytes) of the log were left out, since they came faster than they were read")
	})
}

func TestQueueWithAnOutputThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{open: make(chan struct{})}
		defer close(out.open)
		q := newQueue(out)
		for range 2 * queueWrites {
			_, err := q.Write([]byte("a\n"))
			require.NoError(t, err)
		}
		require.ErrorIs(t, q.close(), errNotRead)
	})
}

func TestQueueOutlivesItsOutput(t *testing.T) {
	reader, writer := io.Pipe()
	require.NoError(t, reader.CloseWithError(errors.New("disk full")))
	q := newQueue(writer)
	for range 3 {
		_, err := q.Write([]byte("a\n"))
		require.NoError(t, err)
	}
	require.NoError(t, q.close())
}

// TestQueueToAFile writes more to a file than a queue holds, faster than a disk may take it: nothing is left out.
func TestQueueToAFile(t *testing.T) {
	for _, row := range []struct {
		name string
		log  func(io.Writer) *queue
	}{
		{"a queue", newQueue},
		{"the log of run", (&runFlags{sidecar: "127.0.0.1:9911"}).newLog},
		{"the log of run without a sidecar", new(runFlags).newLog},
	} {
		t.Run(row.name, func(t *testing.T) {
			file, err := os.Create(filepath.Join(t.TempDir(), "log"))
			require.NoError(t, err)
			defer file.Close()
			q := row.log(file)
			line := []byte("a line\n")
			const lines = 8 * queueWrites
			for range lines {
				_, err := q.Write(line)
				require.NoError(t, err)
			}
			require.NoError(t, q.close())
			text, err := os.ReadFile(file.Name())
			require.NoError(t, err)
			require.True(t, bytes.Equal(bytes.Repeat(line, lines), text), "%d bytes", len(text))
		})
	}
}
