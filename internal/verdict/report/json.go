package report

import (
	"encoding/json"
	"io"
)

// JSON writes the report as one indented object, as Report does.
func (r *Report) JSON(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}
