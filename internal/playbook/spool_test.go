package playbook

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
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
