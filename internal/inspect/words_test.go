package inspect

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
)

func TestSize(t *testing.T) {
	for _, row := range []struct {
		bytes uint64
		want  string
	}{
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1<<20 - 52, "1023.9 KiB"},
		{1<<20 - 51, "1.0 MiB"},
		{1 << 20, "1.0 MiB"},
		{1<<64 - 1, "16.0 EiB"},
	} {
		require.Equal(t, row.want, size(row.bytes))
	}
}

func TestPercent(t *testing.T) {
	for _, row := range []struct {
		share Share
		want  string
	}{
		{Share{0, 0}, "100 %"},
		{Share{0, 5}, "0 %"},
		{Share{1, 2000}, "< 0.1 %"},
		{Share{1, 1000}, "0.1 %"},
		{Share{999, 1000}, "99.9 %"},
		{Share{1999, 2000}, "> 99.9 %"},
		{Share{5, 5}, "100 %"},
	} {
		require.Equal(t, row.want, percent(row.share), row.share)
	}
}

func TestDuration(t *testing.T) {
	for _, row := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"},
		{1500 * time.Nanosecond, "2µs"},
		{1234567 * time.Nanosecond, "1.2ms"},
		{59_994 * time.Millisecond, "59.99s"},
		{time.Minute + 400*time.Millisecond, "1m0s"},
		{24 * time.Hour, "1d0h"},
		{50*time.Hour + 30*time.Second, "2d2h"},
	} {
		require.Equal(t, row.want, duration(int64(row.d)))
	}
}

func TestSparkline(t *testing.T) {
	for _, row := range []struct {
		name   string
		values []uint64
		width  int
		want   string
	}{
		{"nothing", nil, 10, ""},
		{"no room", []uint64{1}, 0, ""},
		{"zeros", []uint64{0, 0}, 10, ""},
		{"least and most", []uint64{1, 0, 1000}, 10, "▁ █"},
		{"exactly", []uint64{1, 2, 3, 4}, 4, "▃▅▆█"},
		{"two in one", []uint64{1, 2, 3, 4}, 3, "▄█"},
	} {
		t.Run(row.name, func(t *testing.T) { require.Equal(t, row.want, sparkline(row.values, row.width)) })
	}
}

func TestCut(t *testing.T) {
	for _, row := range []struct {
		text  string
		width int
		end   bool
		want  string
	}{
		{"abcdef", 6, false, "abcdef"},
		{"abcdefg", 6, false, "ab…efg"},
		{"abcdefg", 6, true, "abcde…"},
		{"abcdefg", 3, false, "a…g"},
		{"abcdefg", 2, false, "ab"},
		{"äöüäöü", 6, false, "äöüäöü"},
	} {
		require.Equal(t, row.want, cut(row.text, row.width, row.end))
	}
}

// TestGroupsBound holds that names without end take no memory without end, and that nothing is lost of the sums.
func TestGroupsBound(t *testing.T) {
	g := newGroups()
	for i := range maxGroups + 2 {
		g.add(strings.Repeat("x", i%7)+string(rune('0'+i%10))+time.Duration(i).String(), i%2 == 0, Bytes{1, 2})
	}
	rows := g.report()
	require.Len(t, rows, maxGroups+1)
	require.Equal(t, Group{Name: "others", Connections: 2, Whole: 1, Bytes: Bytes{2, 4}, Others: true}, rows[maxGroups])
}

// TestFaultNames holds that each kind of fault has a name, and each name a text.
func TestFaultNames(t *testing.T) {
	require.Len(t, faultNames, int(capture.FaultFiltered)+1)
	for _, name := range faultNames {
		require.NotEmpty(t, name)
		require.NotEqual(t, name, faultText(name))
	}
	for _, name := range stateNames {
		require.NotEmpty(t, stateTexts[name])
	}
}
