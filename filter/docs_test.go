package filter

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/docs"
	"l4dump/strategy"
)

// TestMetricsDocument has every metric of the plugin, with its kind, in the document's table, and no other.
func TestMetricsDocument(t *testing.T) {
	section, err := docs.Section("OPERATIONS.md", "## Metrics")
	require.NoError(t, err)
	r := newRig(t, "")
	documented := map[string]bool{} // up to the <reason> or <result> in a name
	for _, cells := range docs.Rows(section) {
		name, _, ranged := strings.Cut(docs.Codes(cells[0])[0], "<")
		documented[name] = true
		if !ranged {
			_, err := r.GetCounterMetric(name)
			require.Equal(t, cells[1] == "counter", err == nil, name)
			_, err = r.GetGaugeMetric(name)
			require.Equal(t, cells[1] == "gauge", err == nil, name)
		}
	}

	literal := regexp.MustCompile(`"(l4dump_[a-z_]+)"`)
	written := map[string]bool{}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, match := range literal.FindAllStringSubmatch(string(text), -1) {
			written[match[1]] = true
		}
	}
	require.Equal(t, written, documented)
}

// TestLimitsDocument has a table name each limit's keys, as the status does.
func TestLimitsDocument(t *testing.T) {
	section, err := docs.Section("OPERATIONS.md", "### Limits")
	require.NoError(t, err)
	got, want := map[string][]string{}, map[string][]string{}
	for _, cells := range docs.Rows(section) {
		got[docs.Codes(cells[0])[0]] = docs.Codes(cells[1])
	}
	for reason := range strategy.Reasons {
		if keys := reason.Key(); keys != "" {
			want[reason.String()] = strings.Split(keys, ", ")
		}
	}
	require.Equal(t, want, got)
}

// TestReasonsDocument has the rows of metrics by reason name the reasons that there are.
func TestReasonsDocument(t *testing.T) {
	section, err := docs.Section("OPERATIONS.md", "## Metrics")
	require.NoError(t, err)
	rows := map[string][]string{}
	for _, cells := range docs.Rows(section) {
		rows[docs.Codes(cells[0])[0]] = docs.Codes(cells[2])
	}
	r := newRig(t, "")
	var connections, others, polls []string
	for reason := strategy.Recorded + 1; reason < strategy.Reasons; reason++ {
		_, err := r.GetCounterMetric("l4dump_bytes_dropped_" + reason.String() + "_total")
		require.NoError(t, err)
		if _, err := r.GetCounterMetric("l4dump_connections_dropped_" + reason.String() + "_total"); err == nil {
			connections = append(connections, reason.String())
		} else {
			others = append(others, reason.String())
		}
	}
	for result := range pollResults {
		polls = append(polls, result.String())
	}
	for name, want := range map[string][]string{
		"l4dump_connections_dropped_<reason>_total": connections,
		"l4dump_bytes_dropped_<reason>_total":       others,
		"l4dump_polls_<result>_total":               polls,
	} {
		got := slices.DeleteFunc(rows[name], func(code string) bool { return strings.Contains(code, ":") }) // a setting
		require.ElementsMatch(t, want, got, name)
	}
}
