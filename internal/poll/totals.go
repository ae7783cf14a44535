package poll

import (
	"math"
	"strconv"

	"l4dump/internal/scan"
	"l4dump/strategy"
)

// MaxTotalsBytes is the longest text of totals that is read.
const MaxTotalsBytes = 4 << 10

// Totals is what the plugins of a proxy process have seen and recorded since it started, all of them together.
type Totals struct {
	ConnectionsSeen uint64
	ConnectionsKept uint64 // of which something is recorded
	BytesSeen       uint64
	BytesKept       uint64
	BytesDropped    [strategy.Reasons]uint64
}

// Append appends the totals as a JSON object of one line of ASCII, and returns the extended slice. Reasons that dropped
// nothing are left out.
func (t *Totals) Append(dst []byte) []byte {
	dst = append(dst, `{"connections":`...)
	dst = appendSeen(dst, t.ConnectionsSeen, t.ConnectionsKept)
	dst = append(dst, `},"bytes":`...)
	dst = appendSeen(dst, t.BytesSeen, t.BytesKept)
	separator := `,"dropped":{"`
	for r := strategy.Recorded + 1; r < strategy.Reasons; r++ {
		n := t.BytesDropped[r]
		if n == 0 {
			continue
		}
		dst = append(dst, separator...)
		dst = append(dst, r.String()...)
		dst = append(dst, `":`...)
		dst = strconv.AppendUint(dst, n, 10)
		separator = `,"`
	}
	if separator == `,"` {
		dst = append(dst, '}')
	}
	return append(dst, "}}"...)
}

func appendSeen(dst []byte, seen, kept uint64) []byte {
	dst = append(dst, `{"seen":`...)
	dst = strconv.AppendUint(dst, seen, 10)
	dst = append(dst, `,"kept":`...)
	return strconv.AppendUint(dst, kept, 10)
}

// ParseTotals reads what Append wrote. Reasons that are not known are left out. The error is a fault.Faults.
func ParseTotals(text []byte) (Totals, error) {
	p := parser{scan.NewLenientParser(text)}
	var t Totals
	reasons := make([]scan.Member, 0, strategy.Reasons)
	for r := strategy.Recorded + 1; r < strategy.Reasons; r++ {
		reasons = append(reasons, scan.Key(r.String(), p.count(&t.BytesDropped[r])))
	}
	err := p.Document(p.Object([]scan.Member{
		scan.Key("connections", p.Object([]scan.Member{
			scan.Key("seen", p.count(&t.ConnectionsSeen)),
			scan.Key("kept", p.count(&t.ConnectionsKept)),
		}, nil)),
		scan.Key("bytes", p.Object([]scan.Member{
			scan.Key("seen", p.count(&t.BytesSeen)),
			scan.Key("kept", p.count(&t.BytesKept)),
			scan.Key("dropped", p.Object(reasons, nil)),
		}, nil)),
	}, nil))
	if err != nil {
		return Totals{}, err
	}
	return t, nil
}

func (p parser) count(to *uint64) scan.Value {
	n := int64(0)
	read := p.Integer(&n, 0, math.MaxInt64, "")
	return func(path string) {
		read(path)
		*to = uint64(n)
	}
}
