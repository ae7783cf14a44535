package forms

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestForms has every byte in every form: what is measured must be right, and must not allocate.
func TestForms(t *testing.T) {
	payload := make([]byte, 1<<9)
	for i := range payload {
		payload[i] = byte(i*167 + i>>8)
	}
	for _, form := range All() {
		t.Run(form.Name, func(t *testing.T) {
			dst := make([]byte, 0, MaxBytes(len(payload)))
			require.Contains(t, string(form.Append(dst, payload)), hex.EncodeToString(payload))
			require.Zero(t, testing.AllocsPerRun(10, func() { form.Append(dst, payload) }))
		})
	}
}
