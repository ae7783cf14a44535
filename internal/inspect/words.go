package inspect

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// stateTexts are the states for a person.
var stateTexts = map[string]string{"whole": "whole", "open": "still open at the end", "prefix": "whole from the start", "broken": "broken"}

// causeTexts are the causes for a person.
var causeTexts = map[string]string{
	"lost": "records are missing", "lost_gap": "records are missing", "lost_bytes": "records are missing",
	"no_open":   "the beginning is missing",
	"gap":       "bytes are missing within",
	"dropped":   "the recorder dropped bytes",
	"ledger":    "the ledger contradicts the records",
	"conflict":  "two records contradict each other",
	"forgotten": "too many connections were open to follow it",
	"cut":       "bytes may be missing, how many is not known",
	"filtered":  "a part was not asked for",
}

// faultTexts are the faults for a person, where they say more than the cause.
var faultTexts = map[string]string{
	"no_close": "no close record", "duplicate": "records stand twice", "unchecked": "records stand twice, too far apart to compare",
	"late": "records came too late", "after_close": "records after the close record", "range": "numbers that no recorder reaches",
	"skipped": "records were left out", inputFault: "damaged or unreadable input", "lost_gap": "bytes are missing with lost records",
	"lost_bytes": "lost records held bytes",
}

func causeText(c *CauseCount) string {
	text := causeTexts[c.Cause]
	if text == "" {
		text = c.Cause
	}
	if c.Reason == "" {
		return text
	}
	return text + ": " + plain(c.Reason)
}

func faultText(kind string) string {
	for _, texts := range []map[string]string{faultTexts, causeTexts} {
		if text := texts[kind]; text != "" {
			return text
		}
	}
	return kind
}

// plain returns text from the network so that a terminal shows it and obeys nothing in it.
func plain(text string) string {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f {
			quoted := strconv.QuoteToASCII(text)
			return quoted[1 : len(quoted)-1]
		}
	}
	return text
}

// count returns "1 record" or "2 records".
func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// size returns a number of bytes in a unit that leaves it short.
func size(bytes uint64) string {
	const units = "KMGTPE"
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes), -1
	for value >= 1023.95 && unit < len(units)-1 { // which would be written as 1024.0
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

// percent returns a share as a percentage, and 100 % or 0 % only if it is all or nothing.
func percent(s Share) string {
	switch value := s.Of() * 100; {
	case s.Whole == 0 || s.Part >= s.Whole:
		return "100 %"
	case s.Part == 0:
		return "0 %"
	case value > 99.9:
		return "> 99.9 %"
	case value < 0.1:
		return "< 0.1 %"
	default:
		return fmt.Sprintf("%.1f %%", value)
	}
}

// duration returns a time in a unit that leaves it short.
func duration(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	case d < 24*time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// sparkline draws values as bars, in at most width characters.
func sparkline(values []uint64, width int) string {
	if len(values) == 0 || width <= 0 {
		return ""
	}
	per := (len(values) + width - 1) / width
	var sums []uint64
	most := uint64(0)
	for i := 0; i < len(values); i += per {
		sum := uint64(0)
		for _, v := range values[i:min(i+per, len(values))] {
			sum += v
		}
		sums = append(sums, sum)
		most = max(most, sum)
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, sum := range sums {
		if sum == 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(bars[int(float64(sum)/float64(most)*float64(len(bars)-1)+0.5)])
	}
	return strings.TrimRight(b.String(), " ")
}
