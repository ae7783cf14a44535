package sidecar

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"l4dump/docs"
)

// TestMetricsDocument has every metric of the sidecar, with its labels, in the document's table, and no other.
func TestMetricsDocument(t *testing.T) {
	section, err := docs.Section("SIDECAR.md", "## Metrics")
	require.NoError(t, err)
	var documented []string
	for _, cells := range docs.Rows(section) {
		documented = append(documented, docs.Codes(cells[0])...)
	}

	descriptions := make(chan *prometheus.Desc)
	go func() {
		newMetrics(&Server{}).registry.Describe(descriptions)
		close(descriptions)
	}()
	own := regexp.MustCompile(`fqName: "l4dump_sidecar_([a-z_]+)".*variableLabels: (\{[^}]*\})`)
	var defined []string
	for d := range descriptions {
		if match := own.FindStringSubmatch(d.String()); match != nil {
			defined = append(defined, match[1]+strings.TrimSuffix(match[2], "{}"))
		}
	}
	slices.Sort(documented)
	slices.Sort(defined)
	require.Equal(t, defined, documented)
}
