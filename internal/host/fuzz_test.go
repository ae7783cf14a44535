package host

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a guest hands over as headers is read without a panic, and what was read is written back the same.
func FuzzPairs(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(appendPairs(nil, []Header{{":status", "200"}, {"a", ""}}))
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		headers := parsePairs(b)
		if len(headers) == 0 {
			return
		}
		written := appendPairs(nil, headers)
		require.LessOrEqual(t, len(written), len(b))
		require.Equal(t, b[:len(written)], written)
		require.Equal(t, headers, parsePairs(written))
	})
}
