package report

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// How much of a value a line shows, in bytes, and how much of it before what differs.
const (
	maxQuoted    = 60
	quotedBefore = 20
)

// quoteAround is a part of a value on one line around the byte at an index, with whatever a terminal would act on escaped.
// more says that there is more of the value before it.
func quoteAround(s string, at int, more bool) string {
	before, after := "", ""
	if len(s) > maxQuoted {
		begin := min(max(0, at-quotedBefore), len(s)-maxQuoted)
		more = more || begin > 0
		if s = s[begin:]; len(s) > maxQuoted {
			s, after = s[:maxQuoted], "…"
		}
	}
	if more {
		before = "…"
	}
	return before + strconv.QuoteToASCII(s) + after
}

// printable is s with what a terminal would act on, or nobody would see, escaped.
func printable(s string) string {
	hostile := func(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }
	if !strings.ContainsFunc(s, hostile) {
		return s
	}
	escaped := strconv.Quote(s)
	return escaped[1 : len(escaped)-1]
}

// printables are printable texts; never nil, as JSON has no other word for that.
func printables(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = printable(text)
	}
	return all
}
