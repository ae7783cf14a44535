package resp

import "fmt"

// waiting is a request, or several of no effect, that is not answered.
type waiting struct {
	effect  effect
	family  family
	answers int64 // of a subscription: how many come. ordinary: how many requests. hello: the version
}

// queue has the requests that are not answered, the oldest first.
type queue []waiting

// maxWaiting bounds queue in its entries: runs of ordinary requests are one.
const maxWaiting = 8 << 10

func (q *queue) push(w waiting) error {
	last := len(*q) - 1
	if w.effect != hello && w.effect != subscribe && w.effect != unsubscribe && w.effect != reset {
		w = waiting{answers: 1}
		if last >= 0 && (*q)[last].effect == ordinary {
			(*q)[last].answers++
			return nil
		}
	}
	if last+1 == maxWaiting {
		return fmt.Errorf("more than %d requests wait for an answer", maxWaiting)
	}
	*q = append(*q, w)
	return nil
}

// first returns the oldest request, or nil.
func (q *queue) first() *waiting {
	if len(*q) == 0 {
		return nil
	}
	return &(*q)[0]
}

// pop removes the oldest request.
func (q *queue) pop() {
	if w := q.first(); w.effect == ordinary && w.answers > 1 {
		w.answers--
		return
	}
	*q = (*q)[:copy(*q, (*q)[1:])]
}
