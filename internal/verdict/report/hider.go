package report

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"

	"l4dump/internal/replay"
	"l4dump/internal/verdict/noise"
)

// hider tells what values are like without telling them: recordings are secrets, and reports are shown around.
type hider struct {
	show bool
	key  [32]byte // of this run
}

func newHider(show bool) *hider {
	h := &hider{show: show}
	_, _ = rand.Read(h.key[:]) // it never fails
	return h
}

// hexAround is how many bytes on each side of a difference are shown in hexadecimal digits.
const hexAround = 16

// value describes a part of a value of the given length that begins at from and differs from offset on.
func (h *hider) value(part string, length, from, offset int) *Value {
	v := &Value{Form: noise.Text.String(), Bytes: length, Hash: h.hash(part), at: min(max(offset-from, 0), len(part))}
	if from == 0 && len(part) >= length {
		v.Form = noise.FormOf(part).String()
	}
	if h.show {
		v.Text, v.From = &part, from
		begin, end := max(0, v.at-hexAround), min(len(part), v.at+hexAround)
		v.Hex, v.HexFrom = hex.EncodeToString([]byte(part[begin:end])), from+begin
	}
	return v
}

func (h *hider) hash(s string) string {
	mac := hmac.New(sha256.New, h.key[:])
	_, _ = mac.Write([]byte(s)) // it never fails
	return hex.EncodeToString(mac.Sum(nil)[:4])
}

// String describes the value in a few words.
func (v *Value) String() string {
	if v == nil {
		return "nothing"
	}
	if v.Text != nil {
		return quoteAround(*v.Text, v.at, v.From > 0)
	}
	return fmt.Sprintf("%s, %d bytes #%s", v.Form, v.Bytes, v.Hash)
}

// quoted is what stands in quotes in a reason: a part of what a peer sent.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// hideQuoted returns the report of a run without what its reasons quote.
func hideQuoted(of *replay.Report) *replay.Report {
	run := *of
	for _, reasons := range []*[]replay.Reason{&run.Reasons, &run.Forced, &run.Fallbacks} {
		*reasons = slices.Clone(*reasons)
		for i := range *reasons {
			reason := &(*reasons)[i]
			reason.Example = quoted.ReplaceAllString(reason.Example, `"…"`)
		}
	}
	return &run
}
