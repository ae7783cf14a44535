package chaos

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAlterations gives each alteration its stream in every division into writes.
func TestAlterations(t *testing.T) {
	const stream = "0123456789"
	for _, row := range []struct {
		name       string
		alteration Alteration
		want       string
		waited     time.Duration
		end        error
	}{
		{"none", Alteration{}, stream, 0, nil},
		{"flip the first", Alteration{Kind: Flip, Length: 1}, "1123456789", 0, nil},
		{"flip two", Alteration{Kind: Flip, Offset: 3, Length: 2}, "0122556789", 0, nil},
		{"flip the last and what does not come", Alteration{Kind: Flip, Offset: 9, Length: 2}, "0123456788", 0, nil},
		{"flip after the end", Alteration{Kind: Flip, Offset: 10, Length: 1}, stream, 0, nil},
		{"drop", Alteration{Kind: Drop, Offset: 2, Length: 3}, "0156789", 0, nil},
		{"drop more than there is", Alteration{Kind: Drop, Offset: 8, Length: 30}, "01234567", 0, nil},
		{"duplicate", Alteration{Kind: Duplicate, Offset: 4, Length: 3}, "0123456456789", 0, nil},
		{"duplicate at the end", Alteration{Kind: Duplicate, Offset: 7, Length: 3}, "0123456789789", 0, nil},
		{"duplicate what does not come whole", Alteration{Kind: Duplicate, Offset: 8, Length: 3}, stream, 0, nil},
		{"swap", Alteration{Kind: Swap, Offset: 1, Length: 2}, "0341256789", 0, nil},
		{"swap at the end", Alteration{Kind: Swap, Offset: 6, Length: 2}, "0123458967", 0, nil},
		{"swap what does not come whole", Alteration{Kind: Swap, Offset: 7, Length: 2}, stream, 0, nil},
		{"delay", Alteration{Kind: Delay, Offset: 5, Wait: time.Second}, stream, time.Second, nil},
		{"delay after the end", Alteration{Kind: Delay, Offset: 10, Wait: time.Second}, stream, 0, nil},
		{"truncate", Alteration{Kind: Truncate, Offset: 4}, "0123", 0, errTruncated},
		{"truncate at once", Alteration{Kind: Truncate}, "", 0, errTruncated},
		{"truncate after the end", Alteration{Kind: Truncate, Offset: 10}, stream, 0, nil},
		{"reset", Alteration{Kind: Reset, Offset: 9}, "012345678", 0, errReset},
		{"resegment", Alteration{Kind: Resegment, Length: 3, Seed: 1}, stream, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var got bytes.Buffer
				var waited time.Duration
				a := newAlter(&got, row.alteration, func(d time.Duration) { waited += d })
				var err error
				for rest := []byte(stream); err == nil && len(rest) > 0; {
					n := rapid.IntRange(1, len(rest)).Draw(t, "write")
					_, err = a.Write(rest[:n])
					rest = rest[n:]
				}
				if err == nil {
					err = a.close()
				}
				require.Equal(t, row.end, err)
				require.Equal(t, row.want, got.String())
				require.Equal(t, row.waited, waited)
			})
		})
	}
}

// sizes is a writer that keeps the size of each write.
type sizes []int

func (s *sizes) Write(b []byte) (int, error) {
	*s = append(*s, len(b))
	return len(b), nil
}

func TestResegmentDraws(t *testing.T) {
	var got, again, other sizes
	for to, seed := range map[*sizes]uint64{&got: 1, &again: 1, &other: 2} {
		_, err := newAlter(to, Alteration{Kind: Resegment, Length: 4, Seed: seed}, nil).Write(make([]byte, 100))
		require.NoError(t, err)
	}
	require.Equal(t, got, again)
	require.NotEqual(t, got, other)
	for _, n := range got {
		require.LessOrEqual(t, n, 4)
	}
	require.Contains(t, got, 1)
	require.Contains(t, got, 4)
}
