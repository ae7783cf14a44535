package noise

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol/catalog"
	"l4dump/internal/verdict/difference"
)

func TestForms(t *testing.T) {
	for _, row := range []struct {
		text string
		want Form
	}{
		{"", Text},
		{"hello", Text},
		{"2f1b6a9e-61c4-4d7e-9a3c-0d5f3f2c1b7a", UUID},
		{"2f1b6a9e-61c4-4d7e-9a3c-0d5f3f2c1b7", Base64},
		{"2f1b6a9e-61c4-4d7e-9a3c-0d5f3f2c1b7g", Base64},
		{"2024-02-29T12:00:00Z", Timestamp},
		{"2024-02-29T12:00:00.123456789+01:00", Timestamp},
		{"2023-02-29T12:00:00Z", Text},
		{"Sun, 06 Nov 1994 08:49:37 GMT", HTTPDate},
		{"0", Integer},
		{"-17", Integer},
		{"-", Text},
		{"1.5", Number},
		{"1.", Text},
		{"-1.5e+10", Number},
		{"1e", Text},
		{"deadbee", Text},
		{"deadbeef", Hex},
		{"12345678", Integer},
		{"aGVsbG8gd29ybGQ=", Base64},
		{"aGVsbG8gd2_-bGQ", Base64},
		{"abcdefghijk", Text},
		{strings.Repeat("7", maxFormBytes), Integer},
		{strings.Repeat("7", maxFormBytes+1), Text},
	} {
		t.Run(row.text, func(t *testing.T) {
			require.Equal(t, row.want.String(), formsOf(row.text).special().String())
		})
	}
}

// value is a difference of two values at a path.
func value(path, a, b string) difference.Difference {
	return difference.Difference{
		Kind: difference.Value, Path: path, At: path, A: a, B: b, HasA: true, HasB: true, LengthA: len(a), LengthB: len(b),
	}
}

func TestRules(t *testing.T) {
	date := Rule{Protocol: "http1", Path: "header:date", Form: "http-date", Reason: "time"}
	const now = "Sun, 06 Nov 1994 08:49:37 GMT"
	long := value("body", "a", strings.Repeat("x", 300))
	long.B = long.B[:256]
	for _, row := range []struct {
		name     string
		rule     Rule
		protocol string
		class    string
		d        difference.Difference
		want     bool
	}{
		{"a date", date, "http1", "GET /", value("header:date", now, now), true},
		{"another protocol", date, "resp", "GET /", value("header:date", now, now), false},
		{"another path", date, "http1", "GET /", value("header:expires", now, now), false},
		{"no date any more", date, "http1", "GET /", value("header:date", now, "today"), false},
		{"nothing any more", date, "http1", "GET /", value("header:date", now, ""), false},
		{"another kind", date, "http1", "GET /", difference.Difference{Kind: difference.Removed, Path: "header:date"}, false},

		{"any value", Rule{Path: "body"}, "", "", value("body", "a", "b"), true},
		{"an empty value", Rule{Path: "body"}, "", "", value("body", "a", ""), false},
		{"a class", Rule{Class: "GET /a", Path: "body"}, "", "GET /a", value("body", "a", "b"), true},
		{"another class", Rule{Class: "GET /a", Path: "body"}, "", "GET /ab", value("body", "a", "b"), false},
		{"a class by its beginning", Rule{Class: "GET /a*", Path: "body"}, "", "GET /ab", value("body", "a", "b"), true},
		{"a path by its beginning", Rule{Path: "header:x-*"}, "", "", value("header:x-b", "a", "b"), true},
		{"another path than the beginning", Rule{Path: "header:x-*"}, "", "", value("header:y", "a", "b"), false},
		{"as short as may be", Rule{Path: "body", Length: []int{2, 4}}, "", "", value("body", "a", "bb"), true},
		{"shorter", Rule{Path: "body", Length: []int{2, 4}}, "", "", value("body", "a", "b"), false},
		{"as long as may be", Rule{Path: "body", Length: []int{2, 4}}, "", "", value("body", "a", "bbbb"), true},
		{"longer", Rule{Path: "body", Length: []int{2, 4}}, "", "", value("body", "a", "bbbbb"), false},
		{"nothing, if it may", Rule{Path: "body", Length: []int{0, 4}}, "", "", value("body", "a", ""), true},
		{"a form of a part", Rule{Path: "body", Form: "text"}, "", "", long, false},
		{"any of a part", Rule{Path: "body"}, "", "", long, true},
		{"a field that may be gone", Rule{Path: "body", Kinds: []string{"removed"}, Form: "hex"}, "", "", difference.Difference{Kind: difference.Removed, Path: "body"}, true},
		{"an order", Rule{Path: "body", Kinds: []string{"order"}}, "", "", difference.Difference{Kind: difference.Order, Path: "body"}, true},
		{"only an order", Rule{Path: "body", Kinds: []string{"order"}}, "", "", value("body", "a", "b"), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			set := NewSet(Rule{Path: "elsewhere"}, row.rule)
			taken, known := set.Takes(row.protocol, row.class, &row.d)
			require.Equal(t, row.want, taken)
			require.False(t, known)
			count := uint64(0)
			if row.want {
				count = 1
			}
			require.Equal(t, []Use{{Rule: Rule{Path: "elsewhere"}}, {Rule: row.rule, Count: count}}, set.Uses())
		})
	}
}

// TestKnown has each known rule take what it is about, and be one that a noise file may have.
func TestKnown(t *testing.T) {
	for _, rule := range Known() {
		require.NoError(t, rule.check(), rule.Path)
	}
	set := NewSet(Known()...)
	for _, row := range []struct {
		protocol, class string
		d               difference.Difference
		want            bool
	}{
		{"http1", "GET /", value("header:date", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"), true},
		{"http1", "GET /", value("header:x-b3-traceid", "1", "2"), true},
		{"http1", "GET /", value("header:server", "a", "b"), false},
		{"http1", "GET /", value("body", "a", "b"), false},
		{"redis", "TIME", value("value:$[*]", "1", "2"), true},
		{"redis", "GET", value("value:$", "1", "2"), false},
	} {
		taken, known := set.Takes(row.protocol, row.class, &row.d)
		require.Equal(t, []bool{row.want, row.want}, []bool{taken, known}, "%s %s", row.class, row.d.Path)
	}
}

func TestRead(t *testing.T) {
	rules, err := Read(strings.NewReader(`version: 1
noise:
- class: GET /time
  path: body:$.now
  form: rfc3339
  length: [20, 30]
  kinds: [value, length]
  reason: the time
`))
	require.NoError(t, err)
	want := []Rule{{Class: "GET /time", Path: "body:$.now", Form: "rfc3339", Length: []int{20, 30}, Kinds: []string{"value", "length"}, Reason: "the time"}}
	require.Equal(t, want, rules)
	text, err := Format(rules)
	require.NoError(t, err)
	again, err := Read(strings.NewReader(string(text)))
	require.NoError(t, err)
	require.Equal(t, want, again)

	for _, row := range []struct{ name, text, want string }{
		{"nothing", "", "the noise file is empty, want version: 1 and noise: []"},
		{"another version", "version: 2", "version: want 1"},
		{"two documents", "version: 1\n---\nversion: 1", "want one document in a noise file"},
		{"an unknown key", "version: 1\nnoise:\n- pth: x", "line 3: field pth not found"},
		{"no path", "version: 1\nnoise:\n- reason: x", `noise[1]: path: want one as a report shows it, such as header:date, or "*"`},
		{"no reason", "version: 1\nnoise:\n- {path: x, reason: x}\n- {path: x, reason: ' '}", "noise[2]: reason: want one"},
		{"a form", "version: 1\nnoise:\n- {path: x, reason: x, form: date}", "noise[1]: form: want one of uuid, rfc3339, http-date, integer, number, hex, base64, text"},
		{"a kind", "version: 1\nnoise:\n- {path: x, reason: x, kinds: [value, late]}", "noise[1]: kinds: want value, length, order, type, added, removed or text"},
		{"one length", "version: 1\nnoise:\n- {path: x, reason: x, length: [1]}", "noise[1]: length: want [least, most], in bytes"},
		{"lengths", "version: 1\nnoise:\n- {path: x, reason: x, length: [2, 1]}", "noise[1]: length: want [least, most], in bytes"},
		{"a negative length", "version: 1\nnoise:\n- {path: x, reason: x, length: [-1, 1]}", "noise[1]: length: want [least, most], in bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(row.text))
			require.ErrorContains(t, err, row.want)
		})
	}
}

func TestLearn(t *testing.T) {
	var l Learner
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 5 {
				l.Turn("http1", "GET /a", []difference.Difference{
					value("body:$.id", "2f1b6a9e-61c4-4d7e-9a3c-0d5f3f2c1b7a", "3f1b6a9e-61c4-4d7e-9a3c-0d5f3f2c1b7a"),
					value("body:$.n", "9", "10"),
					value("body:$.n", "10", "11"),
				})
				l.Turn("http1", "GET /a", nil)
			}
		})
	}
	both.Wait()
	l.Turn("http1", "GET /b", []difference.Difference{
		{Kind: difference.NewError},
		value("bytes", "a", "b"), value("body", "some words", "other words!"),
		{Kind: difference.Removed, Path: "header:etag", A: "deadbeef", HasA: true, LengthA: 8},
	})
	rules, dropped := l.Rules()
	require.Zero(t, dropped)
	require.Equal(t, []Rule{
		{
			Protocol: "http1", Class: "GET /a", Path: "body:$.id", Kinds: []string{"value"}, Form: "uuid", Length: []int{36, 36},
			Reason: "learned: differs in 10 of 20 turns of the baseline from itself",
		},
		{
			Protocol: "http1", Class: "GET /a", Path: "body:$.n", Kinds: []string{"length", "value"}, Form: "integer", Length: []int{1, 3},
			Reason: "learned: differs in 10 of 20 turns of the baseline from itself",
		},
		{
			Protocol: "http1", Class: "GET /b", Path: "body", Kinds: []string{"length", "value"}, Form: "text", Length: []int{10, 12},
			Reason: "learned: differs in 1 of 1 turns of the baseline from itself",
		},
		{
			Protocol: "http1", Class: "GET /b", Path: "header:etag", Kinds: []string{"removed"}, Form: "hex", Length: []int{8, 8},
			Reason: "learned: differs in 1 of 1 turns of the baseline from itself",
		},
	}, rules)
	for _, rule := range rules {
		require.NoError(t, rule.check())
	}
}

func TestLearnIsBounded(t *testing.T) {
	var l Learner
	for i := range maxLearned + 3 {
		l.Turn("http1", "GET /", []difference.Difference{value("body:$."+strconv.Itoa(i), "a", "b")})
	}
	rules, dropped := l.Rules()
	require.Len(t, rules, maxLearned)
	require.Equal(t, uint64(3), dropped)
}

// TestKnownOfAnswers has answers that differ in nothing but what is known, as the protocols read them.
func TestKnownOfAnswers(t *testing.T) {
	set := NewSet(Known()...)
	for _, row := range []struct{ protocol, class, a, b string }{
		{"http1", "GET /", "HTTP/1.1 204 No Content\r\nAge: 7\r\n\r\n", "HTTP/1.1 204 No Content\r\nAge: 18\r\n\r\n"},
		{"redis", "TIME", "*2\r\n$2\r\n17\r\n$1\r\n1\r\n", "*2\r\n$2\r\n18\r\n$1\r\n2\r\n"},
		{"redis", "CLIENT ID", ":7\r\n", ":8\r\n"},
		{"redis", "CLIENT LIST", "$4\r\nid=7\r\n", "$4\r\nid=8\r\n"},
		{"redis", "INFO", "$1\r\na\r\n", "$1\r\nb\r\n"},
		{"redis", "LASTSAVE", ":1\r\n", ":2\r\n"},
		{"redis", "HELLO", "%1\r\n$2\r\nid\r\n:7\r\n", "%1\r\n$2\r\nid\r\n:8\r\n"},
	} {
		p, err := catalog.Find(row.protocol)
		require.NoError(t, err)
		a, err := p.Fields(capture.Upstream, row.class, []byte(row.a))
		require.NoError(t, err)
		b, err := p.Fields(capture.Upstream, row.class, []byte(row.b))
		require.NoError(t, err)
		differences := difference.Messages(a, b)
		require.NotEmpty(t, differences)
		for i := range differences {
			_, known := set.Takes(row.protocol, row.class, &differences[i])
			require.True(t, known, "%s %s", row.class, differences[i].Path)
		}
	}
	for _, rule := range Known() {
		_, err := catalog.Find(rule.Protocol)
		require.NoError(t, err)
	}
}
