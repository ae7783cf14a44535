package poll

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

func TestTotals(t *testing.T) {
	most := Totals{
		ConnectionsSeen: math.MaxInt64, ConnectionsKept: math.MaxInt64, BytesSeen: math.MaxInt64, BytesKept: math.MaxInt64,
	}
	for r := strategy.Recorded + 1; r < strategy.Reasons; r++ {
		most.BytesDropped[r] = math.MaxInt64
	}
	for _, row := range []struct {
		name   string
		totals Totals
		want   string // not compared if it is empty
	}{
		{"nothing", Totals{}, `{"connections":{"seen":0,"kept":0},"bytes":{"seen":0,"kept":0}}`},
		{
			"some",
			Totals{ConnectionsSeen: 90, ConnectionsKept: 2, BytesSeen: 7010, BytesKept: 500, BytesDropped: [strategy.Reasons]uint64{
				strategy.WindowClosed: 6500, strategy.BudgetBytes: 10,
			}},
			`{"connections":{"seen":90,"kept":2},"bytes":{"seen":7010,"kept":500,"dropped":{"window_closed":6500,"budget_bytes":10}}}`,
		},
		{"the most", most, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := row.totals.Append(nil)
			require.True(t, json.Valid(text), "%s", text)
			require.LessOrEqual(t, len(text), MaxTotalsBytes)
			if row.want != "" {
				require.Equal(t, row.want, string(text))
			}
			got, err := ParseTotals(text)
			require.NoError(t, err)
			require.Equal(t, row.totals, got)
		})
	}
}

func TestBadTotals(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       Totals
		fault      string
	}{
		{"of another version", `{"more":1,"bytes":{"seen":3,"dropped":{"elsewhere":3}}}`, Totals{BytesSeen: 3}, ""},
		{"nothing", ``, Totals{}, "want valid JSON, but at byte 0: it ends too early, want a value"},
		{"negative", `{"bytes":{"kept":-1}}`, Totals{}, "bytes.kept: want a whole number from 0 to 9223372036854775807, got -1"},
		{"a list", `[]`, Totals{}, "want an object, got a list"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseTotals([]byte(row.text))
			require.Equal(t, row.want, got)
			if row.fault == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, row.fault)
		})
	}
}

func FuzzParseTotals(f *testing.F) {
	f.Add([]byte(`{"connections":{"seen":90,"kept":2},"bytes":{"seen":7010,"kept":500,"dropped":{"window_closed":6500}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		totals, err := ParseTotals(text)
		if err != nil {
			return
		}
		again, err := ParseTotals(totals.Append(nil))
		require.NoError(t, err)
		require.Equal(t, totals, again)
	})
}
