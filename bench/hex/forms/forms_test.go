package forms

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestForms has every byte in every form: what is measured must be right.
func TestForms(t *testing.T) {
	payload := make([]byte, 1<<9)
	for i := range payload {
		payload[i] = byte(i*167 + i>>8)
	}
	want := hex.EncodeToString(payload)
	for _, form := range All() {
		t.Run(form.Name, func(t *testing.T) {
			dst := make([]byte, len(want))
			form.Encode(dst, payload)
			require.Equal(t, want, string(dst))
		})
	}
}
