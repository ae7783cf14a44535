package sidecar

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFullDisk on a real file system of 64 KiB.
func TestFullFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a tmpfs needs root; TestFullDisk covers this with a failing writer")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a tmpfs is not allowed here (%v); TestFullDisk covers this with a failing writer", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	c := start(t, func(o *Options) { o.Dir = dir })
	// The state is there already: FORCE_OFF must replace it on the full disk.
	ballast := filepath.Join(dir, "ballast")
	c.setGlobal(on)
	file, err := os.Create(ballast)
	require.NoError(t, err)
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, file.Close())
	checkFullDisk(t, c, func() { require.NoError(t, os.Remove(ballast)) })
}
