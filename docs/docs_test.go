package docs_test

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"l4dump/docs"
	"l4dump/strategy"
)

func TestSection(t *testing.T) {
	text, err := docs.Section("SIDECAR.md", "## Metrics")
	require.NoError(t, err)
	require.Contains(t, text, "l4dump_sidecar_")
	_, err = docs.Section("SIDECAR.md", "## Metric")
	require.EqualError(t, err, `read document SIDECAR.md: no heading "## Metric"`)
	_, err = docs.Section("NONE.md", "## Metrics")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestRows(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       [][]string
	}{
		{"empty", "", nil},
		{"no table", "a | b\n", nil},
		{"heading only", "| a |\n|---|\n", nil},
		{"rows", "text\n\n| a | b |\n|---|--:|\n| `c` | d |\n| | e |\n\ntext", [][]string{{"`c`", "d"}, {"", "e"}}},
		{"two tables", "| a |\n|---|\n| b |\n\n| c |\n|:--|\n| d |", [][]string{{"b"}, {"d"}}},
	} {
		t.Run(row.name, func(t *testing.T) { require.Equal(t, row.want, docs.Rows(row.text)) })
	}
}

func TestCodes(t *testing.T) {
	require.Nil(t, docs.Codes("none"))
	require.Equal(t, []string{"a", "b c"}, docs.Codes("`a`, `b c` and `d"))
}

// texts calls read with each file of the project that a person may take an example from.
func texts(t *testing.T, read func(name, text string)) {
	t.Helper()
	const root = ".."
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "build" || strings.HasPrefix(d.Name(), ".") && name != root):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		switch filepath.Ext(name) {
		case ".go", ".md", ".yaml", ".json", ".txt", ".log", ".ndjson":
		default:
			if !strings.Contains(name, "testdata") {
				return nil
			}
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		read(name, string(text))
		return nil
	}))
}

// TestWindows has every identifier of a window in documents, comments, tests and fixtures: each is one that the plugin
// makes.
func TestWindows(t *testing.T) {
	version8 := regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	found := 0
	texts(t, func(name, text string) {
		for _, id := range version8.FindAllString(text, -1) {
			found++
			b := [16]byte(uuid.MustParse(id))
			window := strategy.Window{
				Start:    int64(binary.BigEndian.Uint64(append([]byte{0, 0}, b[:6]...))) / 1000,
				Interval: int64(binary.BigEndian.Uint16(b[6:]) & 0x0fff),
			}
			require.Equal(t, window.UUID(), b, "%s: %s ends or begins as no window does", name, id)
			require.GreaterOrEqual(t, window.Interval, int64(strategy.MinInterval), "%s: %s", name, id)
			require.LessOrEqual(t, window.Interval, int64(strategy.MaxInterval), "%s: %s", name, id)
			require.Zero(t, window.Start%window.Interval, "%s: %s starts at no multiple of its interval", name, id)
		}
	})
	require.Greater(t, found, 20)
}

// TestLinks has every link of the documents to a file or a heading of the project.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]+)?\)`)
	found := 0
	texts(t, func(name, text string) {
		if filepath.Ext(name) != ".md" {
			return
		}
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			found++
			target := name
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(name), match[1])
			}
			b, err := os.ReadFile(target)
			if err != nil {
				_, err = os.Stat(target) // a folder
			}
			require.NoError(t, err, "%s: %s", name, match[0])
			if match[2] != "" {
				require.Contains(t, anchors(string(b)), match[2], "%s: %s", name, match[0])
			}
		}
	})
	require.Positive(t, found)
}

// TestReadme holds the README to a length that is read.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(text), "\n"), 150)
}

// anchors returns those of a document's headings, as GitHub makes them.
func anchors(text string) (list []string) {
	odd := regexp.MustCompile(`[^a-z0-9 _-]`)
	for line := range strings.Lines(text) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			plain := odd.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			list = append(list, "#"+strings.ReplaceAll(plain, " ", "-"))
		}
	}
	return list
}

// TestRationale has every entry say all there is to say of a decision, and name tests that exist.
func TestRationale(t *testing.T) {
	text, err := docs.Read("RATIONALE.md")
	require.NoError(t, err)
	tests := map[string]bool{}
	definition := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example|Benchmark)\w*)`)
	texts(t, func(_, text string) {
		for _, match := range definition.FindAllStringSubmatch(text, -1) {
			tests[match[1]] = true
		}
	})
	field := regexp.MustCompile(`(?m)^\*\*(\w+)\.\*\* \S`)
	name := regexp.MustCompile("`((?:Test|Fuzz|Example|Benchmark)\\w*)`")
	for i, entry := range strings.Split(text, "\n## ") {
		if i == 0 {
			continue
		}
		title, _, _ := strings.Cut(entry, "\n")
		var fields []string
		for _, match := range field.FindAllStringSubmatch(entry, -1) {
			fields = append(fields, match[1])
		}
		require.Equal(t, []string{"Pressure", "Choice", "Rejected", "Cost", "Proof"}, fields, title)
		require.NotRegexp(t, `[0-9] lines`, entry, "%s: counts of lines do not last", title)
		for _, match := range name.FindAllStringSubmatch(entry, -1) {
			require.True(t, tests[match[1]], "%s: %s is no test", title, match[1])
		}
	}
}

// TestReasons has the documents name each reason, and CONFIGURATION in the order in which they are given.
func TestReasons(t *testing.T) {
	var want []string
	for reason := strategy.Recorded + 1; reason < strategy.Reasons; reason++ {
		want = append(want, reason.String())
	}
	between := func(name, from, to string) []string {
		text, err := docs.Read(name)
		require.NoError(t, err)
		_, rest, found := strings.Cut(text, from)
		require.True(t, found, name)
		part, _, found := strings.Cut(rest, to)
		require.True(t, found, name)
		return slices.DeleteFunc(docs.Codes(part), func(code string) bool { return strings.Contains(code, "=") }) // a setting
	}
	require.Equal(t, want, between("CONFIGURATION.md", "What is not recorded is counted by reason", "If several apply"))
	require.ElementsMatch(t, want, between("FORMAT.md", "The reasons: ", "\n\n"))
}

// TestTestedVersions has the documents name the versions of Envoy that the scenarios run in.
func TestTestedVersions(t *testing.T) {
	text, err := os.ReadFile("../e2e/versions.mk")
	require.NoError(t, err)
	versions := regexp.MustCompile(`ENVOY_VERSIONS := (\S+) (\S+)\n`).FindStringSubmatch(string(text))
	require.NotNil(t, versions)
	said := regexp.MustCompile("(?:[Tt]ested in|scenarios in `e2e/` run it in)(?: Envoy)?\\s+([0-9.]+)\\s+and\\s+([0-9.]+[0-9])")
	for _, name := range []string{"../README.md", "OPERATIONS.md", "RATIONALE.md"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		found := said.FindStringSubmatch(string(text))
		require.NotNil(t, found, name)
		require.Equal(t, versions[1:], found[1:], name)
	}
}
