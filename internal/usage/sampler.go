package usage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// DefaultInterval is how often a Sampler reads if it is not told.
const DefaultInterval = time.Second

// LeastStaleAfter returns the least age from which a measurement may not be believed, so that recording does not stop
// and start again between two of them: measurements are taken each sample, the next one may come late by as much, and
// who asks each poll has the last one that long. poll is 0 for the sidecar itself.
func LeastStaleAfter(sample, poll time.Duration) time.Duration { return 2*sample + poll }

// Source is what a Sampler reads; a Reader is one.
type Source interface {
	Read(ctx context.Context) (Reading, error)
}

// SamplerOptions say how a Sampler reads.
type SamplerOptions struct {
	// Interval is the time between two readings, DefaultInterval if 0; MinInterval or more.
	Interval time.Duration
	// Changed is called in Run's goroutine with the first result and when the result is another one: the error is
	// another one, or nil and another scope is measured, or the Reading's note is another one. ErrNoInterval is no result:
	// the next reading can succeed. It may be nil.
	Changed func(Reading, error)
}

// Sampler reads usage in the background, so that asking for it costs nothing and a slow file delays no caller.
type Sampler struct {
	source   Source
	interval time.Duration
	changed  func(Reading, error)
	latest   atomic.Pointer[Reading] // the last reading that succeeded; nil before the first
	failure  atomic.Pointer[error]   // of what was reported last; nil if that succeeded
}

// NewSampler returns a Sampler of source. Nothing is read before Run.
func NewSampler(source Source, o SamplerOptions) (*Sampler, error) {
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Interval < MinInterval {
		return nil, fmt.Errorf("read sample interval: want %v or more, got %v", MinInterval, o.Interval)
	}
	if o.Changed == nil {
		o.Changed = func(Reading, error) {}
	}
	return &Sampler{source: source, interval: o.Interval, changed: o.Changed}, nil
}

// Run reads at once and then each interval, until ctx is done. It is called once.
func (s *Sampler) Run(ctx context.Context) {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	reported := ""
	for {
		reading, err := s.source.Read(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil:
			s.latest.Store(&reading)
			s.failure.Store(nil)
		case !errors.Is(err, ErrNoInterval):
			s.failure.Store(&err)
		}
		if !errors.Is(err, ErrNoInterval) {
			if text := resultText(reading, err); text != reported {
				reported = text
				s.changed(reading, err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Latest returns the last reading that succeeded, and whether there has been one. A failure leaves it as it is: its age
// shows it. It takes no lock and may be called from anywhere.
func (s *Sampler) Latest() (Reading, bool) {
	latest := s.latest.Load()
	if latest == nil {
		return Reading{}, false
	}
	return *latest, true
}

// Failure returns why there is no newer reading, or nil if the last one succeeded. It takes no lock and may be called from
// anywhere.
func (s *Sampler) Failure() error {
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// resultText tells results apart, as far as they are reported.
func resultText(r Reading, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return "scope " + string(r.Scope) + ": " + r.Note
}
