package record

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDetached(t *testing.T) {
	h := Header{Port: 10000, Conn: ConnID{VM: 1, Number: 2}, Seq: 3, Time: 4}
	whole := AppendData(nil, &h, Upstream, 7, []byte("hello"))
	text := AppendDetached([]byte("before"), &h, Upstream, 7, []byte("hello"), 0)[len("before"):]
	require.Len(t, text, len(whole)-2*len("hello"))
	want, _, err := Parse(whole, nil)
	require.NoError(t, err)
	for _, row := range []struct {
		name, payload string
		err           error
	}{
		{"short by one", "hell", ErrCut},
		{"whole", "hello", nil},
		{"long by one", "hello!", ErrMalformed},
		{"another", "hellO", ErrSum},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, n, err := ParseDetached(text, []byte(row.payload))
			require.Equal(t, row.err, err)
			if err == nil {
				require.Equal(t, want, got)
				require.Equal(t, len(text), n)
			}
		})
	}
	t.Run("cut text", func(t *testing.T) {
		for n := range text {
			_, _, err := ParseDetached(text[:n], []byte("hello"))
			require.Equal(t, ErrCut, err, n)
		}
	})
	t.Run("other kinds", func(t *testing.T) {
		end := AppendEnd(nil, &h, Downstream, 9)
		got, n, err := ParseDetached(end, nil)
		require.NoError(t, err)
		require.Equal(t, len(end), n)
		require.Equal(t, Record{Kind: KindEnd, Header: h, Offset: 9}, got)
	})
}
