package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
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
	text = strings.ReplaceAll(text, "RFC 3339", "")
	return regexp.MustCompile(`"[^"]+"|\b[0-9]+\b`).FindAllString(text, -1)
}

// TestConfigurationKeys has every key that the plugin reads, with its bounds, in the document's tables, and no other.
func TestConfigurationKeys(t *testing.T) {
	var want, got []string
	for _, k := range documented(t) {
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
	require.ElementsMatch(t, want, got)
}

// documented returns the keys that tables have: those of capture.except are the ones of capture.match.
func documented(t *testing.T) (list []key) {
	t.Helper()
	for _, k := range keys(t, "") {
		if !strings.HasPrefix(k.path, "capture.except.") {
			list = append(list, k)
		}
	}
	return list
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

	defaults := defaultsByKey(t)
	for _, k := range documented(t) {
		name := k.path[strings.LastIndexByte(k.path, '.')+1:]
		want := "(absent|none)"
		if value, ok := defaults[k.path]; ok {
			want = regexp.QuoteMeta(value)
		}
		require.Regexp(t, "(?m)^\\| `("+regexp.QuoteMeta(k.path)+"|"+name+")` \\| `?"+want, text, k.path)
	}
}

// defaultsByKey returns the values of the document's example, as JSON.
func defaultsByKey(t *testing.T) map[string]string {
	t.Helper()
	text, err := docs.Read(configuration)
	require.NoError(t, err)
	_, example, _ := strings.Cut(text, "```json\n")
	example, _, _ = strings.Cut(example, "```")
	values := map[string]string{}
	var objects map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(example), &objects))
	for object, value := range objects {
		var members map[string]json.RawMessage
		if json.Unmarshal(value, &members) != nil {
			values[object] = string(value)
		}
		for name, member := range members {
			values[object+"."+name] = string(member)
		}
	}
	return values
}

// TestReadmeKeys has the README's table name keys that there are, with their defaults.
func TestReadmeKeys(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	defaults := defaultsByKey(t)
	known := map[string]bool{}
	for _, k := range keys(t, "") {
		known[k.path] = true
	}
	found := 0
	for _, cells := range docs.Rows(string(text)) {
		if len(cells) != 3 || !strings.HasPrefix(cells[0], "`") || strings.Contains(cells[0], "*") {
			continue
		}
		object := ""
		var want []string
		for _, name := range docs.Codes(cells[0]) {
			if strings.HasPrefix(name, ".") {
				name = object + name // as in "`strategy.interval`, `.duration`"
			}
			object, _, _ = strings.Cut(name, ".")
			require.True(t, known[name], "no key %s", name)
			want = append(want, defaults[name])
			found++
		}
		if cells[1] != "by unit" {
			require.Equal(t, strings.Join(want, ", "), strings.ReplaceAll(cells[1], "`", ""), cells[0])
		}
	}
	require.Greater(t, found, 10)
}
