package difference

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPlace has keys that are names in each path, and others in the exact one alone.
func TestPlace(t *testing.T) {
	for _, row := range []struct {
		name string
		key  string
		want place
	}{
		{"a word", "name", place{"body:$.name", "body:$.name", "body:$.name"}},
		{"words", "first_name-X", place{"body:$.first_name-X", "body:$.first_name-X", "body:$.first_name-X"}},
		{"a sign before it", "@type", place{`body:$["@type"]`, `body:$["@type"]`, `body:$["@type"]`}},
		{"three digits", "sha256", place{"body:$.sha256", "body:$.sha256", "body:$.sha256"}},
		{"four digits", "user1234", place{"body:$.{}", "body:$.{}", "body:$.user1234"}},
		{"half digits", "ab12", place{"body:$.ab12", "body:$.ab12", "body:$.ab12"}},
		{"more digits", "a12", place{"body:$.{}", "body:$.{}", "body:$.a12"}},
		{"a number", "17", place{"body:$.{}", "body:$.{}", `body:$["17"]`}},
		{"seven hexadecimal digits", "abcdef1", place{"body:$.abcdef1", "body:$.abcdef1", "body:$.abcdef1"}},
		{"eight", "abcdefa1", place{"body:$.{}", "body:$.{}", "body:$.abcdefa1"}},
		{"a long word", strings.Repeat("a", 40), place{"body:$." + strings.Repeat("a", 40), "body:$." + strings.Repeat("a", 40), "body:$." + strings.Repeat("a", 40)}},
		{"too long", strings.Repeat("a", 41), place{"body:$.{}", "body:$.{}", "body:$." + strings.Repeat("a", 41)}},
		{"an address", "alice@example.com", place{"body:$.{}", "body:$.{}", `body:$["alice@example.com"]`}},
		{"nothing", "", place{"body:$.{}", "body:$.{}", `body:$[""]`}},
		{"a terminal's", "\x1b[31m", place{"body:$.{}", "body:$.{}", `body:$["\x1b[31m"]`}},
	} {
		t.Run(row.name, func(t *testing.T) { require.Equal(t, row.want, part("body").member(row.key)) })
	}
	inner := part("body").member("users").item(3).member("a b").member("id")
	require.Equal(t, place{"body:$.users[*].{}.id", "body:$.users[3].{}.id", `body:$.users[3]["a b"].id`}, inner)
}
