package replay

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"
	"time"

	"l4dump/internal/playbook"
)

// Order is what of the order between connections is kept.
type Order uint8

// The orders.
const (
	// OrderConnection keeps none: each connection has an order of its own.
	OrderConnection Order = iota
	// OrderCausal begins a turn, and a connection, only when every turn that had ended in the recording more than
	// concurrent before it has ended in the run: whatever a client can have learned from others before it asked. What
	// overlapped in the recording may overlap in any way.
	OrderCausal
)

// concurrent is by how much a turn must have ended before another began to be its cause: times in a recording are not
// more exact.
const concurrent = time.Millisecond

// causal holds turns back until those before them have ended. The turns that had ended before a time are a prefix of all
// in the order of their ends, so that one number says how far a run is. It takes 13 bytes per turn.
type causal struct {
	first []int    // of a script: the number of its first turn
	rank  []uint32 // of a turn by number: its place in the order of ends
	ends  []int64  // in their order

	mu      sync.Mutex
	left    []uint8 // by rank: targets for which the turn has not ended
	ended   int     // all turns with a lower rank have ended
	moved   time.Time
	waiters waiters
}

// newCausal reads when the turns of a playbook began and ended.
func newCausal(book *playbook.Playbook, targets int) (*causal, error) {
	c := &causal{moved: time.Now()}
	var ends []int64
	for i := range book.Len() {
		script, err := book.Script(i)
		if err != nil {
			return nil, fmt.Errorf("order turns: %w", err)
		}
		c.first = append(c.first, len(ends))
		turns := script.Turns()
		for {
			turn, err := turns.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("order turns: %w", err)
			}
			ends = append(ends, max(turn.At, turn.Done))
		}
	}
	c.first = append(c.first, len(ends))
	order := make([]uint32, len(ends))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order, func(a, b uint32) int { return int(min(max(ends[a]-ends[b], -1), 1)) })
	c.rank, c.left = make([]uint32, len(ends)), make([]uint8, len(ends))
	for rank, turn := range order {
		c.rank[turn] = uint32(rank)
		c.left[rank] = uint8(targets)
	}
	slices.Sort(ends)
	c.ends = ends
	return c, nil
}

// end says that a turn of a script has ended for a target.
func (c *causal) end(script, turn int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rank := c.rank[c.first[script]+turn]
	if c.left[rank] > 0 {
		c.left[rank]--
	}
	c.advance()
}

// endAll says that a script is over, whatever became of its turns.
func (c *causal) endAll(script int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for turn := c.first[script]; turn < c.first[script+1]; turn++ {
		c.left[c.rank[turn]] = 0
	}
	c.advance()
}

func (c *causal) advance() {
	before := c.ended
	for c.ended < len(c.left) && c.left[c.ended] == 0 {
		c.ended++
	}
	if c.ended == before {
		return
	}
	c.moved = time.Now()
	for len(c.waiters) > 0 && c.waiters[0].needs <= c.ended {
		close(heap.Pop(&c.waiters).(*waiter).open)
	}
}

// wait returns when all turns have ended that had ended before at in the recording. It returns false if none has ended
// for the time of patience.
func (c *causal) wait(ctx context.Context, at int64, patience time.Duration) (bool, error) {
	c.mu.Lock()
	w := &waiter{needs: sort.Search(len(c.ends), func(i int) bool { return c.ends[i] >= at-int64(concurrent) })}
	if w.needs <= c.ended {
		c.mu.Unlock()
		return true, ctx.Err()
	}
	w.open = make(chan struct{})
	heap.Push(&c.waiters, w)
	c.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-w.open:
			return true, nil
		case <-ctx.Done():
			c.leave(w)
			return false, ctx.Err()
		case <-timer.C:
		}
		c.mu.Lock()
		idle := time.Since(c.moved)
		c.mu.Unlock()
		if idle >= patience {
			return !c.leave(w), nil
		}
		timer.Reset(patience - idle)
	}
}

// leave has a waiter wait no longer. It returns false if it need not wait.
func (c *causal) leave(w *waiter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.waiters, w)
	if i >= 0 {
		heap.Remove(&c.waiters, i)
	}
	return i >= 0
}

// waiter waits until as many turns have ended as it needs.
type waiter struct {
	needs int
	open  chan struct{}
}

// waiters is a container/heap of those that need the fewest turns first.
type waiters []*waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].needs < w[j].needs }
func (w waiters) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waiters) Push(x any)        { *w = append(*w, x.(*waiter)) }

func (w *waiters) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return x
}
