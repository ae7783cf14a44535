package scan

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUint(t *testing.T) {
	for _, row := range []struct {
		name, text string
		base, most uint64
		want       uint64
		ok         bool
	}{
		{"none", "", 10, 9, 0, false},
		{"zero", "0", 10, 0, 0, true},
		{"more than nothing", "1", 10, 0, 0, false},
		{"zeros before", "007", 10, 7, 7, true},
		{"the most", "255", 10, 255, 255, true},
		{"more than the most", "256", 10, 255, 0, false},
		{"more in the first digit", "8", 10, 7, 0, false},
		{"the most of 64 bits", "18446744073709551615", 10, math.MaxUint64, math.MaxUint64, true},
		{"more than 64 bits", "18446744073709551616", 10, math.MaxUint64, 0, false},
		{"hex digits of both cases", "aF09", 16, math.MaxUint16, 0xaf09, true},
		{"more than 16 bits", "10000", 16, math.MaxUint16, 0, false},
		{"no hex digit", "g", 16, math.MaxUint16, 0, false},
		{"no digit", "a", 10, 255, 0, false},
		{"a sign", "+1", 10, 255, 0, false},
		{"a low line", "1_0", 10, 255, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			n, ok := Uint(row.text, row.base, row.most)
			require.Equal(t, row.ok, ok)
			if ok {
				require.Equal(t, row.want, n)
			}
		})
	}
}

// TestFloat has what is written of percentages and rates read as the number that was written.
func TestFloat(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		want := r.Float64() * math.Pow10(r.IntN(20)-8)
		for _, format := range []byte{'f', 'e', 'g'} {
			text := strconv.FormatFloat(want, format, -1, 64)
			got, ok := decimalOf(text).float()
			require.True(t, ok)
			require.Equal(t, want, got, text)
		}
	}
}

func TestFloatBounds(t *testing.T) {
	for _, row := range []struct {
		text string
		ok   bool
	}{
		{"0", true},
		{"-0", true},
		{"-12.5", true},
		{"0.000", true},
		{"0e999999", true},
		{"1e-999999", true},
		{"4e-324", true},
		{"2e-324", true},
		{"2.2250738585072014e-308", true},
		{"1.7976931348623157e308", true},
		{"1.7976931348623159e308", false},
		{"-1.7976931348623159e308", false},
		{"1e309", false},
		{"1e4294967297", false},
		{"1e99999999999999999999", false},
		{"9007199254740993", true}, // between two
		{"9007199254740993.0000000000000000001", true},
		{"1" + strings.Repeat("0", 1000) + "e-1000", true},
		{"0." + strings.Repeat("0", 1000) + "1e1001", true},
	} {
		t.Run(row.text[:min(len(row.text), 40)], func(t *testing.T) {
			got, ok := decimalOf(row.text).float()
			require.Equal(t, row.ok, ok)
			if row.ok {
				requireNear(t, row.text, got)
			}
		})
	}
}

// FuzzFloat holds numbers to exact arithmetic.
func FuzzFloat(f *testing.F) {
	for _, text := range []string{"0", "-1.50e1", "12.345678901234567", "1e27", "123e-30", "12345678901234567890123e-400"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 500 || !json.Valid([]byte(text)) || !strings.ContainsAny(text[:1], "-0123456789") {
			return
		}
		if i := strings.IndexAny(text, "eE"); i >= 0 && len(text)-i > 6 || strings.ContainsAny(text, " \t\r\n") {
			return // more than big.Float is fast for
		}
		got, ok := decimalOf(text).float()
		if want := exactly(t, text); !ok || math.IsInf(want, 0) {
			require.GreaterOrEqual(t, math.Abs(want), math.MaxFloat64, text)
			return
		}
		requireNear(t, text, got)
	})
}

// requireNear requires the number that is next to a text, or the one after it if the text has too many digits or too high a
// power.
func requireNear(t *testing.T, text string, got float64) {
	t.Helper()
	want := exactly(t, text)
	d := decimalOf(text)
	if d.exponent >= -27 && d.exponent <= 27 && len(d.digits) <= 19 {
		require.Equal(t, math.Float64bits(want), math.Float64bits(got), text)
		return
	}
	require.Contains(t, []float64{math.Nextafter(want, math.Inf(-1)), want, math.Nextafter(want, math.Inf(1))}, got, text)
}

// exactly returns the number that is next to a text. Of more than 800 digits strconv does not return it.
func exactly(t *testing.T, text string) float64 {
	t.Helper()
	const bits = 4000 // more than any text here has
	exact, _, err := big.ParseFloat(text, 10, bits, big.ToNearestEven)
	require.NoError(t, err)
	n, _ := exact.Float64()
	return n
}
