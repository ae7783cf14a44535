package poll

import (
	"strconv"
	"unicode/utf8"

	"l4dump/internal/fault"
	"l4dump/internal/scan"
	"l4dump/strategy"
)

// MaxReportBytes is the longest report that is sent and read.
const MaxReportBytes = 8 << 10

// Guard is who guards a plugin, as the sidecar that is asked sees it.
type Guard string

// The guards.
const (
	GuardSidecar Guard = "sidecar" // this sidecar
	GuardOther   Guard = "other"   // the sidecar that another cluster leads to
	GuardOff     Guard = "off"     // nobody: neither the limits nor a global strategy apply
)

// Report is what the plugin tells the sidecar of one of its configurations. All configurations of a VM are reported,
// those that the sidecar does not govern too: they record whatever it says.
type Report struct {
	_ [0]func() // not comparable: a function that compares them is 0.7 KiB of the plugin

	Plugin   string            // the name in the proxy's configuration; it may be empty
	Guard    Guard             // empty stands for GuardSidecar
	Reason   string            // why nothing is recorded now, or "recorded"
	Strategy strategy.Strategy // the application's
	Soft     float64           // the percentage points under the limits from which on it sheds; 0 if it does not
}

// AppendReports appends the reports as a JSON list, as many as fit into MaxReportBytes, and returns the extended slice.
// It has no line breaks and only ASCII. Names are cut to strategy.MaxNameBytes.
func AppendReports(dst []byte, reports []Report) []byte {
	start := len(dst)
	dst = append(dst, '[')
	for _, r := range reports {
		before := len(dst)
		if before > start+1 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"plugin":`...)
		dst = scan.AppendQuoted(dst, cut(r.Plugin))
		if r.Guard != "" {
			dst = append(dst, `,"guard":`...)
			dst = scan.AppendQuoted(dst, string(r.Guard))
		}
		dst = append(dst, `,"reason":`...)
		dst = scan.AppendQuoted(dst, r.Reason)
		dst = append(dst, `,"strategy":`...)
		dst = r.Strategy.AppendJSON(dst)
		if r.Soft != 0 {
			dst = append(dst, `,"soft":`...)
			dst = strconv.AppendFloat(dst, r.Soft, 'f', -1, 64)
		}
		dst = append(dst, '}')
		if len(dst)-start >= MaxReportBytes {
			dst = dst[:before]
			break
		}
	}
	return append(dst, ']')
}

// cut returns the beginning of a name, of whole characters.
func cut(name string) string {
	if len(name) <= strategy.MaxNameBytes {
		return name
	}
	end := strategy.MaxNameBytes
	for end > strategy.MaxNameBytes-utf8.UTFMax && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
}

// ParseReports reads what AppendReports wrote. A report that is not as it should be is left out: the others are
// returned with the error, which is a fault.Faults.
func ParseReports(text []byte) ([]Report, error) {
	p := parser{scan.NewLenientParser(text)}
	var reports []Report
	err := p.Document(p.List("a list", func(path string) {
		r := Report{Guard: GuardSidecar, Strategy: strategy.DefaultStrategy()}
		p.Object([]scan.Member{
			scan.Key("plugin", p.text(&r.Plugin)),
			scan.Key("guard", scan.OneOf(p.Parser, &r.Guard, GuardSidecar, GuardOther, GuardOff)),
			scan.Key("reason", p.text(&r.Reason)),
			scan.Key("strategy", strategy.Read(p.Parser, &r.Strategy, false)),
			scan.Key("soft", p.Number(&r.Soft, "a number from 0 to "+strconv.Itoa(strategy.MaxFuseSoft), func(n float64) bool {
				return n >= 0 && n <= strategy.MaxFuseSoft
			})),
		}, func(path string) {
			if r.Reason == "" {
				p.Fault(fault.Join(path, "reason"), "want a word")
				return
			}
			reports = append(reports, r)
		})(path)
	}, nil))
	return reports, err
}

// text reads a string, and cuts it.
func (p parser) text(to *string) scan.Value {
	return p.Text("a string", func(text string) bool {
		*to = cut(text)
		return true
	})
}
