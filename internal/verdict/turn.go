package verdict

import (
	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/protocol"
	"l4dump/internal/verdict/difference"
)

// maxRequest is how much of a request is read to tell how its answer is framed, in bytes.
const maxRequest = 1 << 20

// differences compares two answers to a request.
func differences(p protocol.Protocol, script *playbook.Script, t *playbook.Turn, a, b *answer) ([]difference.Difference, error) {
	switch {
	case a.same(b):
		return nil, nil
	case a.blocks != nil || b.blocks != nil:
		return long(a, b), nil
	case p == nil:
		return difference.Bytes(a.bytes, b.bytes), nil
	}
	request := t.Request
	request.To = min(request.To, request.From+maxRequest)
	asked, err := script.ReadSpans(nil, capture.Downstream, request)
	if err != nil {
		return nil, err
	}
	x, err := messages(p, t.Class, asked, []byte(a.bytes))
	if err != nil {
		return difference.Bytes(a.bytes, b.bytes), nil //nolint:nilerr // its inside is not known: it has bytes
	}
	y, err := messages(p, t.Class, asked, []byte(b.bytes))
	if err != nil {
		return difference.Bytes(a.bytes, b.bytes), nil //nolint:nilerr // as above
	}
	return inTurn(x, y), nil
}

// inTurn compares messages one by one.
func inTurn(a, b []*protocol.Message) (found []difference.Difference) {
	for i := range min(len(a), len(b)) {
		found = append(found, difference.Messages(a[i], b[i])...)
	}
	for _, m := range a[min(len(a), len(b)):] {
		found = append(found, difference.Difference{Kind: difference.Missing, A: m.Class, HasA: true})
	}
	for _, m := range b[min(len(a), len(b)):] {
		found = append(found, difference.Difference{Kind: difference.Extra, B: m.Class, HasB: true})
	}
	return found[:min(len(found), difference.MaxDifferences)]
}
