package dumplog

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tailDeadline ends a Tail that waits for what does not come.
const tailDeadline = 20 * time.Second

// followed runs a Tail as a Source does and sends what it reads, line by line; "next" stands before each file. It
// closes lines when the Tail fails.
func followed(t *testing.T, path string) (lines <-chan string, stop func()) {
	ctx, cancel := context.WithTimeout(t.Context(), tailDeadline)
	tail := OpenTail(ctx, path)
	out := make(chan string)
	send := func(line string) error {
		select {
		case out <- line:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan error, 1)
	go func() {
		defer close(out)
		done <- func() error {
			for {
				if err := tail.Next(); err != nil {
					return err
				}
				if err := send("next"); err != nil {
					return err
				}
				scanner := bufio.NewScanner(tail)
				for scanner.Scan() {
					if err := send(scanner.Text()); err != nil {
						return err
					}
				}
				if scanner.Err() != nil {
					return scanner.Err()
				}
			}
		}()
	}()
	return out, func() {
		cancel()
		require.ErrorIs(t, <-done, ctx.Err())
		require.NoError(t, tail.Close())
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = file.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	appendTo(t, path, "one\n")
	lines, stop := followed(t, path)
	defer stop()
	expect := func(want ...string) {
		t.Helper()
		for _, want := range want {
			got, ok := <-lines
			require.True(t, ok, "wanted %q before the deadline", want)
			require.Equal(t, want, got)
		}
	}
	expect("next", "one")

	appendTo(t, path, "two\nth")
	expect("two")
	appendTo(t, path, "ree\n")
	expect("three")

	// Renamed: the writer continues in the old file until there is a new one.
	require.NoError(t, os.Rename(path, path+".1"))
	appendTo(t, path+".1", "four\n")
	expect("four")
	appendTo(t, path+".1", "five\n")
	appendTo(t, path, "six\n")
	expect("five", "next", "six")

	// Truncated, as by copytruncate.
	require.NoError(t, os.Truncate(path, 0))
	expect("next")
	appendTo(t, path, "seven\n")
	expect("seven")

	// Replaced by rename.
	appendTo(t, path+".new", "eight\n")
	require.NoError(t, os.Rename(path+".new", path))
	expect("next", "eight")
}

// TestTailWithoutEvents polls.
func TestTailWithoutEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	appendTo(t, path, "one\n")
	ctx, cancel := context.WithTimeout(t.Context(), tailDeadline)
	defer cancel()
	tail := &Tail{ctx: ctx, path: path}
	defer tail.Close()
	require.NoError(t, tail.Next())
	b := make([]byte, 10)
	n, err := tail.Read(b)
	require.NoError(t, err)
	require.Equal(t, "one\n", string(b[:n]))

	read := make(chan string, 1)
	go func() {
		n, _ := tail.Read(b)
		read <- string(b[:n])
	}()
	appendTo(t, path, "two\n")
	require.Equal(t, "two\n", <-read)

	require.NoError(t, os.Remove(path))
	appendTo(t, path, "three\n")
	_, err = tail.Read(b)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, os.Remove(path))
	next := make(chan error, 1)
	go func() { next <- tail.Next() }()
	appendTo(t, path, "four\n")
	require.NoError(t, <-next)

	cancel()
	_, err = tail.Read(b) // what is there
	require.NoError(t, err)
	_, err = tail.Read(b)
	require.ErrorIs(t, err, context.Canceled)
}

func TestTailOfNothing(t *testing.T) {
	tail := OpenTail(context.Background(), filepath.Join(t.TempDir(), "log"))
	require.ErrorIs(t, tail.Next(), os.ErrNotExist)
	require.NoError(t, tail.Close())
}

// The watchers alone show what happens to a file: without them each of these waits for the next poll.
func TestTailWithoutPolling(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(t *testing.T, path string)
		want   string
	}{
		{"the file grows", func(t *testing.T, path string) { appendTo(t, path, "more\n") }, "more"},
		{"the file is renamed and made anew", func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, path+".1"))
			appendTo(t, path, "more\n")
		}, "more"},
		{"another file is renamed to its name", func(t *testing.T, path string) {
			appendTo(t, path+".new", "more\n")
			require.NoError(t, os.Rename(path+".new", path))
		}, "more"},
		{"the file is truncated", func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 0))
			appendTo(t, path, "1\n")
		}, "1"},
		{"the file that a link leads to grows", func(t *testing.T, path string) { appendTo(t, path+".target", "more\n") }, "more"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			appendTo(t, path+".target", "first\n")
			if strings.Contains(row.name, "link") {
				target := filepath.Join(t.TempDir(), "target") // in a directory that is not watched
				require.NoError(t, os.Rename(path+".target", target))
				require.NoError(t, os.Symlink(target, path))
				require.NoError(t, os.Symlink(target, path+".target"))
			} else {
				require.NoError(t, os.Rename(path+".target", path))
			}
			ctx, cancel := context.WithTimeout(t.Context(), tailDeadline)
			defer cancel()
			tail := OpenTail(ctx, path)
			defer func() { require.NoError(t, tail.Close()) }()
			require.NotNil(t, tail.watcher)
			tail.poll = 24 * time.Hour
			require.NoError(t, tail.Next())
			buffer := make([]byte, 64)
			n, err := tail.Read(buffer)
			require.NoError(t, err)
			require.Equal(t, "first\n", string(buffer[:n]))
			go row.change(t, path)
			n, err = tail.Read(buffer)
			if errors.Is(err, io.EOF) {
				require.NoError(t, tail.Next())
				n, err = tail.Read(buffer)
			}
			require.NoError(t, err)
			require.Equal(t, row.want+"\n", string(buffer[:n]))
		})
	}
}
