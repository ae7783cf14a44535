package strategy

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rfc3339 is what time.Parse takes too liberally: it accepts a comma before the fraction, and 24 hours of offset.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):\d\d)$`)

// FuzzMoment holds the reading and writing of moments to package time.
func FuzzMoment(f *testing.F) {
	for _, seed := range []string{
		"", "2026-11-25T12:00:00Z", "2026-11-25T12:00:00.5+01:30", "2024-02-29T23:59:59.123456789123-23:59", "2023-02-29T00:00:00Z",
		"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:01Z", "1969-12-31T23:59:59Z", "2199-12-31T23:59:59Z", "2200-01-01T00:00:00Z",
		"2100-02-28T24:00:00Z", "2100-02-29T00:00:00Z", "2000-02-29T00:00:60Z", "2026-11-25 12:00:00Z", "2026-11-25T12:00:00", "2026-11-25T12:00:00.Z",
		"2026-11-25T12:00:00+24:00", "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseMoment(text)
		want, err := time.Parse(time.RFC3339Nano, text)
		// The year is the one that is written. The first second of all stands for no moment.
		valid := err == nil && rfc3339.MatchString(text) && want.Year() >= minYear && want.Year() <= maxYear && want.Unix() > 0 &&
			text[:4] >= "1970" && text[:4] <= "2199"
		require.Equal(t, valid, ok, "%q", text)
		if !ok {
			return
		}
		require.Equal(t, want.UnixNano(), int64(got), "%q", text)
		require.Equal(t, want.UTC().Format(time.RFC3339Nano), got.String(), "%q", text)
		again, ok := parseMoment(got.String())
		require.True(t, ok, got.String())
		require.Equal(t, got, again)
	})
}
