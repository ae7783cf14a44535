package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrFailing says that the target answered with errors where the recorded one did not, or too late.
var ErrFailing = errors.New("the target is failing")

// A watch stops a run by what it saw in watchTime, once that are watchTurns.
const (
	watchTime  = 10 * time.Second
	watchTurns = 20
)

// watch holds the turns of the last watchTime against what stops a run.
type watch struct {
	maxFailed  float64 // share of turns; 0: no limit
	maxLatency time.Duration

	mu      sync.Mutex
	turns   uint64
	failed  uint64
	service histogram
}

// turn takes a turn that has ended.
func (w *watch) turn(failed bool, service time.Duration) {
	if w.maxFailed == 0 && w.maxLatency == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns++
	if failed {
		w.failed++
	}
	if service > 0 {
		w.service.add(service)
	}
}

// verdict says what stops the run; nil: nothing does. It begins anew if again is set.
func (w *watch) verdict(again bool) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	share := float64(w.failed) / float64(max(w.turns, 1))
	late := w.service.quantiles().P99
	switch {
	case w.turns < watchTurns:
	case w.maxFailed > 0 && share > w.maxFailed:
		err = fmt.Errorf("%w: of the last %d turns, %.1f %% have no answer, or an error where none was recorded", ErrFailing, w.turns, 100*share)
	case w.maxLatency > 0 && late > w.maxLatency:
		err = fmt.Errorf("%w: of the last %d turns, one in a hundred took %s or longer", ErrFailing, w.turns, late)
	}
	if again {
		w.turns, w.failed = 0, 0
		if w.service.Histogram != nil {
			w.service.Reset()
		}
	}
	return err
}

// run stops a run, by stop, until ctx ends.
func (w *watch) run(ctx context.Context, stop context.CancelCauseFunc) {
	if w.maxFailed == 0 && w.maxLatency == 0 {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := w.verdict(i%int(watchTime/time.Second) == 0); err != nil {
			stop(err)
			return
		}
	}
}
