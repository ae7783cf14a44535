// Package forms is what the hot loop's measurement compares: the plugin's data record and a control.
package forms

import (
	"encoding/hex"

	"l4dump/record"
)

// Form makes text of a payload.
type Form struct {
	Name string
	// Append appends the text of payload to dst. Allocation-free if dst has room.
	Append func(dst, payload []byte) []byte
}

// All returns the forms; the first is the control, which makes digits only.
func All() []Form {
	var header record.Header
	return []Form{
		{"encoding/hex", hex.AppendEncode},
		{"l4dump's data record", func(dst, payload []byte) []byte {
			return record.AppendData(dst, &header, record.Downstream, 0, payload)
		}},
	}
}

// MaxBytes is the most that a form makes of n bytes.
func MaxBytes(n int) int { return record.MaxDataOverhead + 2*n }
