package mask

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// apply masks the reads of one stream and returns what is left of them, joined by "|", and the count of each.
func apply(config Config, reads ...string) (masked string, counts []int) {
	m, s := New(config), Stream{}
	parts := make([]string, len(reads))
	for i, read := range reads {
		b := []byte(read)
		counts = append(counts, m.Apply(&s, b))
		parts[i] = string(b)
	}
	return strings.Join(parts, "|"), counts
}

func TestApply(t *testing.T) {
	secret := Config{Patterns: []string{"secret", "ssn="}}
	headers := Config{HTTPHeaders: true}
	cards := Config{CardNumbers: true}
	for _, row := range []struct {
		name   string
		config Config
		reads  []string
		want   string
		counts []int
	}{
		{"nothing", Config{}, []string{"secret"}, "secret", []int{0}},
		{"empty read", secret, []string{""}, "", []int{0}},
		{"pattern", secret, []string{"a secret!"}, "a ******!", []int{6}},
		{"two patterns", secret, []string{"ssn=1 secret."}, "****1 ******.", []int{10}},
		{"case matters", secret, []string{"a Secret!"}, "a Secret!", []int{0}},
		{"overlapping", Config{Patterns: []string{"aba"}}, []string{"xababax"}, "x*****x", []int{5}},
		{"pattern over two reads", secret, []string{"a sec", "ret!"}, "a ***|***!", []int{3, 3}},
		{"pattern over many reads", secret, []string{"s", "e", "c", "r", "e", "t", "!"}, "*|*|*|*|*|*|!", []int{1, 1, 1, 1, 1, 1, 0}},
		{"beginning only", secret, []string{"a sec", "ond!"}, "a ***|ond!", []int{3, 0}},
		{"beginning again", secret, []string{"ss", "secret."}, "**|******.", []int{2, 6}},
		{"binary pattern", Config{Patterns: []string{"\x00\xff"}}, []string{"a\x00\xffb"}, "a**b", []int{2}},

		{
			"header", headers,
			[]string{"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n"},
			"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: ********\r\n\r\n",
			[]int{8},
		},
		{"any case", headers, []string{"cOOkie:a=b\n"}, "cOOkie:***\n", []int{3}},
		{"set-cookie", headers, []string{"\r\nSet-Cookie: a\r\nX: b\r\n"}, "\r\nSet-Cookie: *\r\nX: b\r\n", []int{1}},
		{"proxy-authorization", headers, []string{"Proxy-Authorization : a b\n"}, "Proxy-Authorization : ***\n", []int{3}},
		{"longer name", headers, []string{"Cookie2: a\r\nXCookie: b\r\n"}, "Cookie2: a\r\nXCookie: b\r\n", []int{0}},
		{"shorter name", headers, []string{"Cook: a\r\nCookie\r\n"}, "Cook: a\r\nCookie\r\n", []int{0}},
		{"not at the line's start", headers, []string{"X Cookie: a\r\n"}, "X Cookie: a\r\n", []int{0}},
		{"folded", headers, []string{"Cookie: a\r\n b\r\nX: c\r\n"}, "Cookie: *\r\n *\r\nX: c\r\n", []int{2}},
		{"header over reads", headers, []string{"X: a\r\nCoo", "kie", ": ab", "cd\r", "\nX: b\r\n"}, "X: a\r\nCoo|kie|: **|**\r|\nX: b\r\n", []int{0, 0, 2, 2, 0}},

		{"card", cards, []string{"n 4111111111111111."}, "n ****************.", []int{16}},
		{"card in groups", cards, []string{"n 4111 1111-1111 1111."}, "n *******************.", []int{19}},
		{"card beside a year", cards, []string{"4111 1111 1111 1111 2026,"}, "************************,", []int{24}},
		{"wrong check digit", cards, []string{"n 4111111111111112."}, "n 4111111111111112.", []int{0}},
		{"13 digits", cards, []string{" 4222222222222 a"}, " ************* a", []int{13}},
		{"12 digits", cards, []string{" 422222222222."}, " 422222222222.", []int{0}},
		{"19 digits", cards, []string{" 6011000000000000001."}, " *******************.", []int{19}},
		{"part of a longer number", cards, []string{" 94111111111111111."}, " 94111111111111111.", []int{0}},
		{"two spaces end a run", cards, []string{"4111 1111  1111 1111."}, "4111 1111  1111 1111.", []int{0}},
		{"card over reads", cards, []string{"n 4111 11", "11 1111 ", "1111."}, "n *******|********|****.", []int{7, 8, 4}},
		{"no card over reads", cards, []string{"n 12", "34."}, "n **|34.", []int{2, 0}},
		{"64 digits", cards, []string{strings.Repeat("1", 64) + "."}, strings.Repeat("1", 64) + ".", []int{0}},
		{"65 digits and one more", cards, []string{strings.Repeat("1", 65) + " 1."}, strings.Repeat("*", 67) + ".", []int{67}},
		{"65 digits", cards, []string{strings.Repeat("1", 65) + "."}, strings.Repeat("*", 65) + ".", []int{65}},

		{"lengths only", Config{LengthsOnly: true}, []string{"ab", "c"}, "**|*", []int{2, 1}},
		{
			"all at once",
			Config{Patterns: []string{"Bearer"}, HTTPHeaders: true, CardNumbers: true},
			[]string{"Authorization: Bearer 4111111111111111\r\nX: Bearer 4111111111111111;"},
			"Authorization: ***********************\r\nX: ****** ****************;",
			[]int{45},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			masked, counts := apply(row.config, row.reads...)
			require.Equal(t, row.want, masked)
			require.Equal(t, row.counts, counts)
		})
	}
}

// TestGap has what comes after bytes that were not seen.
func TestGap(t *testing.T) {
	pattern := Config{Patterns: []string{"secret"}}
	for _, row := range []struct {
		name   string
		config Config
		before string
		reads  []string
		want   string
	}{
		{"nothing is masked", Config{}, "a", []string{"secret"}, "secret"},
		{"a pattern may end", pattern, "a sec", []string{"ret b"}, "*****"},
		{"over two reads", pattern, "a sec", []string{"re", "t bc"}, "**|***c"},
		{"and another begins", pattern, "a", []string{"12345secret."}, "***********."},
		{"of a pattern of one byte nothing is left", Config{Patterns: []string{"s"}}, "s", []string{"as"}, "a*"},
		{"a value may end", Config{HTTPHeaders: true}, "X: a", []string{"b ", "c\r\n", "X: a\r\n"}, "**|*\r\n|X: a\r\n"},
		{"a value may be folded", Config{HTTPHeaders: true}, "X: a", []string{"\r\n", " b\r\nX: c\r\n"}, "\r\n| *\r\nX: c\r\n"},
		{"a number may end", Config{CardNumbers: true}, "n 41", []string{"11 1", "1 n 1."}, "****|* n 1."},
		{"a number may begin", Config{CardNumbers: true}, "n 41", []string{"n 4111111111111111."}, "n ****************."},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, s := New(row.config), Stream{}
			m.Apply(&s, []byte(row.before))
			s.Gap()
			var got []string
			for _, read := range row.reads {
				b := []byte(read)
				m.Apply(&s, b)
				got = append(got, string(b))
			}
			require.Equal(t, row.want, strings.Join(got, "|"))
		})
	}
}

func TestCount(t *testing.T) {
	m, s := New(Config{Patterns: []string{"aa"}}), Stream{}
	require.Equal(t, 4, m.Apply(&s, []byte("xaaxxaax")))
	for _, row := range []struct{ start, end, want int }{
		{0, 8, 4}, {0, 1, 0}, {0, 2, 1}, {1, 3, 2}, {2, 6, 2}, {3, 5, 0}, {7, 8, 0}, {4, 4, 0},
	} {
		require.Equal(t, row.want, m.Count(row.start, row.end), "%d-%d", row.start, row.end)
	}
}

// wanted returns which bytes of a whole stream must be masked, by other means than the code's, and which may be: the
// white space of a header field's value.
func wanted(config Config, stream string) (masked, space []bool) {
	masked, space = make([]bool, len(stream)), make([]bool, len(stream))
	mark := func(start, end int) {
		for i := start; i < end; i++ {
			masked[i] = true
		}
	}
	for _, pattern := range config.Patterns {
		for i := range stream {
			if strings.HasPrefix(stream[i:], pattern) {
				mark(i, i+len(pattern))
			}
		}
	}
	value := regexp.MustCompile(`(?im)^(?:authorization|cookie|proxy-authorization|set-cookie)[ \t]*:((?:[^\n]*\n[ \t])*[^\n]*)`)
	for _, match := range value.FindAllStringSubmatchIndex(stream, -1) {
		for i := match[2]; config.HTTPHeaders && i < match[3]; i++ {
			space[i] = strings.ContainsRune(" \t\r\n", rune(stream[i]))
			masked[i] = masked[i] || !space[i]
		}
	}
	run := regexp.MustCompile(`[0-9](?:[ -]?[0-9])*`)
	for _, at := range run.FindAllStringIndex(stream, -1) {
		groups := regexp.MustCompile(`[0-9]+`).FindAllString(stream[at[0]:at[1]], -1)
		for first := range groups {
			for last := first; config.CardNumbers && last < len(groups); last++ {
				digits := strings.Join(groups[first:last+1], "")
				if len(digits) >= 13 && len(digits) <= 19 && checks(digits) {
					mark(at[0], at[1])
				}
			}
		}
	}
	return masked, space
}

// checks is the Luhn check from left to right by its table.
func checks(digits string) bool {
	doubled := [...]int{0, 2, 4, 6, 8, 1, 3, 5, 7, 9}
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			d = doubled[d]
		}
		sum += d
	}
	return sum%10 == 0
}

// TestNothingLeaks masks random streams in random reads: no byte that must be masked ever stands, every other byte does,
// but for those at a read's end that might have been the beginning of more.
func TestNothingLeaks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := Config{
			Patterns: rapid.SliceOfN(rapid.SampledFrom([]string{
				"secret", "se", "aa", "aab", "a", "\n", "4111", "ie: ", "abcabcabd", strings.Repeat("ab", 40) + "c",
			}), 0, 3).Draw(t, "patterns"),
			HTTPHeaders: rapid.Bool().Draw(t, "headers"),
			CardNumbers: rapid.Bool().Draw(t, "cards"),
		}
		pieces := rapid.SliceOf(rapid.SampledFrom([]string{
			"secret", "sec", "s", "a", "aab", "abcabc", "abd", strings.Repeat("ab", 40), "c", "\r\n", "\n", " ", "-", "x", ":",
			"Cookie: a=b\r\n", "cookie", "Authorization:", "Set-Cookie: ", "Proxy-Authorization: q\r\n z\r\n",
			"4111111111111111", "4111 1111 1111 1111", "1", "23", "4222222222222", "\x00\xff",
		})).Draw(t, "pieces")
		stream := strings.Join(pieces, "") + "\x01" // ends whatever run there is
		must, may := wanted(config, stream)

		m, s := New(config), Stream{}
		got := []byte(stream)
		ends := make([]bool, len(stream)) // the byte stands before the end of a read without what would tell it apart
		for from := 0; from < len(got); {
			n := rapid.IntRange(1, len(got)-from).Draw(t, "read")
			read := got[from : from+n]
			count := m.Apply(&s, read)
			changed := 0
			for i := range read {
				if read[i] != stream[from+i] || read[i] == Byte {
					changed++
				}
			}
			require.Equal(t, changed, count)
			for i := from + n - 1; i >= from && got[i] == Byte; i-- {
				ends[i] = true
			}
			from += n
		}
		for i := range got {
			switch {
			case must[i]:
				require.Equal(t, byte(Byte), got[i], "byte %d of %q shows: %q", i, stream, got)
			case got[i] != stream[i] && !may[i]:
				require.True(t, ends[i], "byte %d of %q is masked in its midst: %q", i, stream, got)
			}
		}
	})
}

// TestNothingLeaksAfterGaps has reads that are not given to the Mask.
func TestNothingLeaksAfterGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := Config{
			Patterns:    rapid.SliceOfN(rapid.SampledFrom([]string{"secret", "aab", "\n", "abcabcabd"}), 0, 2).Draw(t, "patterns"),
			HTTPHeaders: rapid.Bool().Draw(t, "headers"),
			CardNumbers: rapid.Bool().Draw(t, "cards"),
		}
		stream := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{
			"secret", "sec", "a", "aab", "abcabc", "abd", "\r\n", "\n", " ", "x", "Cookie: a=b\r\n", "Authorization:",
			"Set-Cookie: q\r\n z\r\n", "4111111111111111", "4111 1111 1111 1111", "1", "23",
		})).Draw(t, "pieces"), "") + "\x01"
		must, _ := wanted(config, stream)
		m, s := New(config), Stream{}
		for from := 0; from < len(stream); {
			n := rapid.IntRange(1, len(stream)-from).Draw(t, "read")
			if rapid.Bool().Draw(t, "seen") {
				read := []byte(stream[from : from+n])
				m.Apply(&s, read)
				for i := range read {
					if must[from+i] {
						require.Equal(t, byte(Byte), read[i], "byte %d of %q shows", from+i, stream)
					}
				}
			} else {
				s.Gap()
			}
			from += n
		}
	})
}

// TestApplyAllocates holds Apply to its promise.
func TestApplyAllocates(t *testing.T) {
	m, s := New(Config{Patterns: []string{strings.Repeat("secret", 10)}, HTTPHeaders: true, CardNumbers: true}), Stream{}
	text := []byte(strings.Repeat("Cookie: a\r\n4111111111111111 secret\r\n", 50) + "secretsec")
	read := make([]byte, len(text))
	total := 0
	apply := func() {
		copy(read, text)
		total += m.Apply(&s, read)
	}
	apply()
	require.Equal(t, 50*(1+16)+9, total)
	require.Zero(t, testing.AllocsPerRun(100, apply))
}

func FuzzApply(f *testing.F) {
	f.Add([]byte("Cookie: a\r\n4111 1111 1111 1111 secret"), uint8(5))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		config := Config{Patterns: []string{"secret", "aa"}, HTTPHeaders: true, CardNumbers: true}
		must, _ := wanted(config, string(stream))
		m, s := New(config), Stream{}
		for from := 0; from < len(stream); {
			n := min(max(int(size), 1), len(stream)-from)
			m.Apply(&s, stream[from:from+n])
			from += n
		}
		for i := range stream {
			if must[i] {
				require.Equal(t, byte(Byte), stream[i], "byte %d", i)
			}
		}
	})
}
