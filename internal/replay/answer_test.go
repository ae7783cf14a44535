package replay

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAnswer cuts answers on either side of what is kept, and of a block, into pieces of any length.
func TestAnswer(t *testing.T) {
	for _, row := range []struct {
		name         string
		length, keep int
	}{
		{"empty", 0, BlockBytes},
		{"nobody compares", 5, 0},
		{"as long as what is kept", BlockBytes, BlockBytes},
		{"longer by a byte", BlockBytes + 1, BlockBytes},
		{"longer than what is kept, which is longer than a block", 3*BlockBytes + 8, 3*BlockBytes + 7},
	} {
		t.Run(row.name, func(t *testing.T) {
			whole := make([]byte, row.length)
			for i := range whole {
				whole[i] = byte(i * i >> 8)
			}
			want := Answer{Length: uint64(row.length)}
			switch {
			case row.keep == 0:
			case row.length <= row.keep:
				want.Bytes = whole
			default:
				want.Bytes = whole[:BlockBytes]
				for block := range slices.Chunk(whole, BlockBytes) {
					want.Blocks = append(want.Blocks, HashBlock(block))
				}
			}
			rapid.Check(t, func(t *rapid.T) {
				var got Answer
				for rest := whole; len(rest) > 0; {
					n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
					got.add(rest[:n], row.keep)
					rest = rest[n:]
				}
				got.end()
				require.Equal(t, want.Length, got.Length)
				require.Equal(t, want.Blocks, got.Blocks)
				require.True(t, bytes.Equal(want.Bytes, got.Bytes))
			})
		})
	}
}
