package dumplog_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/record"
	"l4dump/strategy"
)

// TestFormatDocument holds what docs/FORMAT.md says to what the code does.
func TestFormatDocument(t *testing.T) {
	b, err := os.ReadFile("../../../docs/FORMAT.md")
	require.NoError(t, err)
	doc := string(b)
	_, examples, _ := strings.Cut(doc, "```\n")
	examples, _, _ = strings.Cut(examples, "```")
	got, stats := decode(t, capture.Options{}, examples)
	require.Equal(t, []string{"the recorder dropped 1200 bytes of upstream: budget 1200"}, texts(got.faults))
	require.Equal(t, capture.Stats{Records: 5, Connections: 1, Bytes: [2]uint64{5, 5}, Faults: 1}, stats)

	got, _ = decode(t, capture.Options{}, doc[strings.Index(doc, "## Layotto"):])
	require.Len(t, got.layotto, 1)
	require.Contains(t, got.layotto[0], `10000 "hello"`)

	for _, want := range []string{
		fmt.Sprintf("A data record takes at most %d bytes besides its hex digits", record.MaxDataOverhead),
		fmt.Sprintf("cut to %d characters, `sni` to %d, `peer` to %d",
			record.MaxAddressBytes, record.MaxSNIBytes, record.MaxPeerBytes),
		fmt.Sprintf("in Layotto's format, of up to %d MiB", dumplog.MaxRecordBytes>>20),
		fmt.Sprintf("on one line, the first %d are reported", dumplog.MaxLineDamages),
		fmt.Sprintf("(%d by default)", strategy.DefaultConfig().Output.MaxLineBytes),
	} {
		require.Contains(t, doc, want)
	}
	for reason := strategy.Recorded + 1; reason < strategy.Reasons; reason++ {
		require.Contains(t, doc, "`"+reason.String()+"`")
	}
}
