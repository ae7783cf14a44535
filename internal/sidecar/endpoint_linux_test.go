package sidecar

import (
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The socket is nobody else's from the moment that it is there, not only once its mode has been set: a client that
// connects meanwhile would stay.
func TestSocketIsClosedToOthersFromTheStart(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // lets every mode through
	path := socketPath(t)
	l, err := bindUnix(t.Context(), path)
	require.NoError(t, err)
	defer l.Close()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o600, info.Mode())
}
