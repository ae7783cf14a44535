package capture

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLimitsInDocument holds what docs/FORMAT.md says of the limits to the defaults.
func TestLimitsInDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/FORMAT.md")
	require.NoError(t, err)
	limits := Limits{}.withDefaults()
	require.Contains(t, string(doc),
		fmt.Sprintf("%d records or %d MiB of payload", limits.HeldRecords, limits.HeldBytes>>20))
}
