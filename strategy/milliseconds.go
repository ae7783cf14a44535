package strategy

import (
	"math"
	"strconv"

	"l4dump/internal/scan"
)

// Milliseconds is a span of time. Package time is not for the plugin: to link it costs every pod 0.28 MB of module.
type Milliseconds int64

// Nanoseconds returns the span in nanoseconds.
func (m Milliseconds) Nanoseconds() int64 { return int64(m) * 1_000_000 }

// String returns the span as the configuration writes it: "1500ms", or in seconds if those are whole.
func (m Milliseconds) String() string {
	if m != 0 && m%1000 == 0 {
		return strconv.FormatInt(int64(m/1000), 10) + "s"
	}
	return strconv.FormatInt(int64(m), 10) + "ms"
}

// parseMilliseconds reads a whole number of "ms", "s" or "m".
func parseMilliseconds(text string) (_ Milliseconds, ok bool) {
	digits := 0
	for digits < len(text) && '0' <= text[digits] && text[digits] <= '9' {
		digits++
	}
	var unit Milliseconds
	switch text[digits:] {
	case "ms":
		unit = 1
	case "s":
		unit = 1000
	case "m":
		unit = 60_000
	default:
		return 0, false
	}
	n, ok := scan.Uint(text[:digits], 10, math.MaxInt32) // so that the product fits
	return Milliseconds(n) * unit, ok
}
