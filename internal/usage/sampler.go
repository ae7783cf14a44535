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

// Source is what a Sampler reads; a Reader is one.
type Source interface {
	Read(ctx context.Context) (Reading, error)
}

// SamplerOptions say how a Sampler reads.
type SamplerOptions struct {
	// Interval is the time between two readings, DefaultInterval if 0; MinInterval or more.
	Interval time.Duration
	// Changed is called in Run's goroutine when reading begins to fail, fails for another reason, or works again (nil).
	// ErrNoInterval alone is no failure: the next reading mends it. It may be nil.
	Changed func(error)
}

// Sampler reads usage in the background, so that asking for it costs nothing and a slow file delays nobody.
type Sampler struct {
	source   Source
	interval time.Duration
	changed  func(error)
	state    atomic.Pointer[samplerState]
}

// samplerState is never changed: each reading makes another one.
type samplerState struct {
	reading Reading
	ok      bool  // there has been a reading
	err     error // of the last attempt
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
		o.Changed = func(error) {}
	}
	s := &Sampler{source: source, interval: o.Interval, changed: o.Changed}
	s.state.Store(&samplerState{})
	return s, nil
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
		s.store(reading, err)
		if !errors.Is(err, ErrNoInterval) {
			if text := errorText(err); text != reported {
				reported = text
				s.changed(err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// store keeps a reading, or the error that there is none.
func (s *Sampler) store(reading Reading, err error) {
	next := &samplerState{reading: reading, ok: true, err: err}
	if err != nil {
		last := s.state.Load()
		next.reading, next.ok = last.reading, last.ok
	}
	s.state.Store(next)
}

// Latest returns the last reading that succeeded, and whether there has been one. A failure leaves it as it is: its age
// tells. It takes no lock and may be called from anywhere.
func (s *Sampler) Latest() (Reading, bool) {
	state := s.state.Load()
	return state.reading, state.ok
}

// Err returns the error of the last attempt to read, nil if it succeeded or there was none. It takes no lock and may be
// called from anywhere.
func (s *Sampler) Err() error { return s.state.Load().err }

// errorText returns the text of err, empty for nil.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
