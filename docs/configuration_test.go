package docs_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/docs"
	"l4dump/strategy"
)

const configuration = "CONFIGURATION.md"

// key is a key of the configuration, as the parser's own messages describe it.
type key struct {
	path string // such as "sidecar.cluster"
	want string // of its value
}

// keys returns the keys whose path begins with prefix, in the parser's order: it names the keys of an object when one is
// unknown, and what a value must be when it is another.
func keys(t *testing.T, prefix string) (list []key) {
	t.Helper()
	message := func(path, value string) string {
		text := value
		names := strings.Split(path, ".")
		for i := len(names) - 1; i >= 0; i-- {
			text = fmt.Sprintf("{%q: %s}", names[i], text)
		}
		_, err := strategy.Parse([]byte(text))
		require.Error(t, err)
		return err.Error()
	}
	_, names, ok := strings.Cut(message(prefix+"?", "0"), "want one of ")
	require.True(t, ok)
	for name := range strings.SplitSeq(names, ", ") {
		path := prefix + name
		_, want, ok := strings.Cut(message(path, "null"), "want ")
		require.True(t, ok)
		want, _, _ = strings.Cut(want, ", got ")
		if want == "an object" {
			list = append(list, keys(t, path+".")...)
		} else {
			list = append(list, key{path, want})
		}
	}
	return list
}

// bounds are the numbers, durations and names that text says a value may be.
func bounds(text string) []string {
	return regexp.MustCompile(`"[^"]+"|\b[0-9]+\b`).FindAllString(text, -1)
}

// TestConfigurationKeys has every key that the plugin reads, with its bounds, in the document's tables, and no other.
func TestConfigurationKeys(t *testing.T) {
	var want, got []string
	for _, k := range keys(t, "") {
		want = append(want, fmt.Sprint(k.path, bounds(k.want)))
	}
	text, err := docs.Read(configuration)
	require.NoError(t, err)
	name := regexp.MustCompile("^`([a-z_.]+)`$")
	for section := range strings.SplitSeq(text, "\n## ") {
		object, _, _ := strings.Cut(section, ":") // such as "capture", or "resource_guard, sidecar, fuse"
		for _, cells := range docs.Rows(section) {
			match := name.FindStringSubmatch(cells[0])
			if match == nil {
				continue
			}
			path := match[1]
			if !strings.Contains(object, ",") { // a section of one object leaves its name out
				path = object + "." + path
			}
			got = append(got, fmt.Sprint(path, bounds(cells[2])))
		}
	}
	require.Equal(t, want, got)
}

// TestConfigurationDefaults has the document's example and its tables say the defaults. A key that is absent by default
// says so in its table, and is not in the example.
func TestConfigurationDefaults(t *testing.T) {
	text, err := docs.Read(configuration)
	require.NoError(t, err)
	_, example, _ := strings.Cut(text, "```json\n")
	example, _, _ = strings.Cut(example, "```")
	got, err := strategy.Parse([]byte(example))
	require.NoError(t, err)
	require.Equal(t, strategy.DefaultConfig(), got)

	var values map[string]any
	require.NoError(t, json.Unmarshal([]byte(example), &values))
	for _, k := range keys(t, "") {
		object, name, nested := strings.Cut(k.path, ".")
		value := values[object]
		if nested {
			value = value.(map[string]any)[name]
		}
		want := []byte("absent")
		if value != nil {
			want, err = json.Marshal(value)
			require.NoError(t, err)
		}
		require.Regexp(t, "(?m)^\\| `("+regexp.QuoteMeta(k.path)+"|"+name+")` \\| `?"+regexp.QuoteMeta(string(want)), text, k.path)
	}
}
