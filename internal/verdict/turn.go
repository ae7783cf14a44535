package verdict

import (
	"sync"

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
	var unread error // of the playbook
	request := sync.OnceValue(func() []byte {
		span := t.Request
		span.To = min(span.To, span.From+maxRequest)
		var asked []byte
		asked, unread = script.ReadSpans(nil, capture.Downstream, span)
		return asked
	})
	x, errX := messages(p, t.Class, request, []byte(a.bytes))
	y, errY := messages(p, t.Class, request, []byte(b.bytes))
	switch {
	case unread != nil:
		return nil, unread
	case errX != nil || errY != nil:
		return difference.Bytes(a.bytes, b.bytes), nil //nolint:nilerr // its inside is not known: it has bytes
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
