package parquet

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocs holds that the document lists the columns, each once, and no others.
func TestDocs(t *testing.T) {
	content, err := os.ReadFile("../../../docs/READING.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(content), "| columns | type | in the rows |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var documented, want []string
	for line := range strings.Lines(table) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			documented = append(documented, name[1])
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Row]()) {
		name, _, _ := strings.Cut(field.Tag.Get("parquet"), ",")
		want = append(want, name)
	}
	require.ElementsMatch(t, want, documented)
}
