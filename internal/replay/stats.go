package replay

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Stats are the numbers of a run.
type Stats struct {
	Elapsed     time.Duration
	Connections uint64 // that have begun
	Playing     int64  // of them, those that have not ended, to any target
	Turns       uint64 // that have ended, over all targets
	Answered    uint64 // of them, those that were answered
	Failed      uint64 // turns that are not answered, or with an error where none was recorded
	Sent        uint64 // bytes of connections that have ended
	Received    uint64
	Ends        map[string]uint64 // connections to a target by how they ended
	Reasons     []Reason          // why they ended so, at most maxReasons
	Gates       [4]uint64         // by Release
	Forced      []Reason          // what was not waited for to its end, at most maxReasons
	Fallbacks   []Reason          // why answers were not taken for those of a protocol, at most maxReasons
	Diverged    uint64            // connections without a protocol whose lengths differ

	Lateness Quantiles // actual less scheduled time of steps; none with PaceNone
	Service  Quantiles // from the request to the answer's last byte
	Response Quantiles // from when the request was due to the answer's last byte; none with PaceNone
	Reaction Quantiles // from what opened a gate to the next write, with PaceNone
	// Late is how many steps were late by more than MaxLate, by cause.
	Late Lateness
}

// MaxLate is the lateness of which the 99th percentile says that a run was not at its pace.
const MaxLate = 10 * time.Millisecond

// Lateness is what held steps up.
type Lateness struct {
	Player uint64 `json:"player"`
	Target uint64 `json:"target"`
	Limit  uint64 `json:"limit"`
}

// Quantiles of a duration.
type Quantiles struct {
	Count int64         `json:"count"`
	Mean  time.Duration `json:"mean_ns"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Reason is what happened, with an example as one line, and how often.
type Reason struct {
	Example string `json:"example"`
	Count   uint64 `json:"count"`
}

// maxReasons bounds lists of reasons.
const maxReasons = 8

// cause is what held a step up.
type cause uint8

const (
	byPlayer cause = iota
	byTarget
	byLimit
)

type stats struct {
	mu       sync.Mutex
	s        Stats
	began    time.Time
	failures int // to dial, in a row
	targets  int
	lateness histogram
	service  histogram
	response histogram
	reaction histogram
}

// histogram of durations, in microseconds up to an hour with three digits. It is made when it is used.
type histogram struct{ *hdrhistogram.Histogram }

func (h *histogram) add(d time.Duration) {
	if h.Histogram == nil {
		h.Histogram = hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)
	}
	_ = h.RecordValue(min(max(d.Microseconds(), 0), int64(time.Hour/time.Microsecond)))
}

func (h *histogram) quantiles() Quantiles {
	if h.Histogram == nil {
		return Quantiles{}
	}
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond }
	return Quantiles{
		Count: h.TotalCount(), Mean: time.Duration(h.Mean() * float64(time.Microsecond)),
		P50: at(50), P90: at(90), P99: at(99), Max: time.Duration(h.Max()) * time.Microsecond,
	}
}

func (s *stats) init(targets int) {
	s.targets = targets
	s.s.Ends = map[string]uint64{}
}

// start says that the run begins.
func (s *stats) start(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = at
}

func (s *stats) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Connections++
	s.s.Playing += int64(s.targets)
}

// dialed returns how many times in a row no target could be reached.
func (s *stats) dialed(err error) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures++; err == nil {
		s.failures = 0
	}
	return s.failures
}

func (s *stats) turn(t *openTurn, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Turns++
	if failed {
		s.s.Failed++
	}
	if !t.Answered {
		return
	}
	s.s.Answered++
	if t.Last == 0 || t.Request.Len() == 0 {
		return
	}
	s.service.add(t.Last - t.Sent)
	if t.Due > 0 {
		s.response.add(t.Last - t.Due)
	}
}

func (s *stats) end(e *End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Playing--
	s.s.Ends[e.How.String()]++
	s.s.Sent += e.Sent
	s.s.Received += e.Received
	if e.Diverged {
		s.s.Diverged++
	}
	if e.How != Finished {
		s.s.Reasons = addReason(s.s.Reasons, e.How.String()+": "+e.Reason)
	}
}

// addReason counts a reason; of those beyond maxReasons the last one's example stands for all.
func addReason(reasons []Reason, text string) []Reason {
	for i := range reasons {
		if reasons[i].Example == text || i == maxReasons-1 {
			reasons[i].Count++
			return reasons
		}
	}
	return append(reasons, Reason{text, 1})
}

func (s *stats) fellBack(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Fallbacks = addReason(s.s.Fallbacks, why)
}

func (s *stats) forced(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Forced = addReason(s.s.Forced, why)
}

func (s *stats) released(r Release) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Gates[r]++
}

func (s *stats) late(by time.Duration, because cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lateness.add(by)
	if by <= MaxLate {
		return
	}
	switch because {
	case byPlayer:
		s.s.Late.Player++
	case byTarget:
		s.s.Late.Target++
	case byLimit:
		s.s.Late.Limit++
	}
}

func (s *stats) reacted(after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reaction.add(after)
}

// finish says that the run is over.
func (s *stats) finish(elapsed time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Elapsed = elapsed
}

func (s *stats) snapshot() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.s
	if now.Elapsed == 0 && !s.began.IsZero() {
		now.Elapsed = time.Since(s.began)
	}
	now.Ends = map[string]uint64{}
	for how, n := range s.s.Ends {
		now.Ends[how] = n
	}
	now.Reasons = append([]Reason(nil), s.s.Reasons...)
	now.Forced = append([]Reason(nil), s.s.Forced...)
	now.Fallbacks = append([]Reason(nil), s.s.Fallbacks...)
	now.Lateness, now.Service = s.lateness.quantiles(), s.service.quantiles()
	now.Response, now.Reaction = s.response.quantiles(), s.reaction.quantiles()
	return now
}

// AtPace says whether steps were sent when they were due.
func (s *Stats) AtPace() bool { return s.Lateness.P99 <= MaxLate }
