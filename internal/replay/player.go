// Package replay plays the scripts of a playbook to targets: it sends what the recorded clients sent, each step once its
// gate is open, and tells an Observer what the targets sent.
//
//	playbook ── schedule ──▶ play (one per connection) ──▶ live (one per target) ──▶ target
//	                           steps, gates, pace             reader, turns             │
//	Observer ◀──────────────────────────────────────────────── turns, ends ◀───────────┘
//
// A play writes and a reader of its own always reads: whatever the target does, neither waits for the other. Each wait
// has a deadline, and what was not waited for to its end is counted and named.
package replay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"l4dump/internal/playbook"
	"l4dump/internal/protocol"
)

// Target is where a connection is played to.
type Target struct {
	Name string // for reports, as "127.0.0.1:8080"
	// Dial opens a connection for a script. It ends with ctx.
	Dial func(ctx context.Context, of *playbook.Info) (net.Conn, error)
}

// OnStall is what to do if a target takes too long.
type OnStall uint8

// What to do.
const (
	StallByProtocol OnStall = iota // Abort if the protocol is known, else Send
	Abort                          // leave out the rest of the connection
	Continue                       // send what is next
)

// Options are how a playbook is played. A value of 0 stands for its default.
type Options struct {
	Pace        Pace
	Order       Order         // OrderCausal takes as many Connections as were open at a time, and one of Copies
	Connections int           // that are played at a time; 64 with PaceNone and no Order, else no limit
	Copies      int           // how many times each script is played; 1
	Ramp        time.Duration // over which connections become as many, or as frequent, as they are to be
	MaxRate     float64       // turns per second; 0: no limit
	Duration    time.Duration // after which nothing begins any more; 0: no limit
	Drain       time.Duration // how long what has begun may continue after the run is stopped; 10 s
	Seed        uint64        // of the phases of copies

	OnStall     OnStall
	DialTimeout time.Duration // 5 s
	// MinWait is how long a gate or a write may take at least, though ten times as long as in the recording, up to
	// TurnTimeout or, if that is longer, twice as long as in the recording. 5 s and 60 s.
	MinWait, TurnTimeout time.Duration
	KeepChunks           bool // send what was recorded as several reads as several writes, also with PaceNone

	// MaxFailed is the share of turns in ten seconds that stops the run if they are not answered, or with an error where
	// none was recorded; MaxLatency what one in a hundred may take. 0: no limit.
	MaxFailed  float64
	MaxLatency time.Duration
	// MaxDialFailures in a row stop the run: the target is not there. 5; less than 0: no limit.
	MaxDialFailures int

	Only     map[int]bool // scripts that are played, by their index in the playbook; nil: all
	Observer Observer     // nil: nobody compares
	Keep     int          // bytes of an answer that the Observer gets; 8 MiB; of a longer one it gets hashes
	// Protocols are those that scripts may name.
	Protocols []protocol.Protocol
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&o.Drain, 10*time.Second)
	set(&o.DialTimeout, 5*time.Second)
	set(&o.MinWait, 5*time.Second)
	set(&o.TurnTimeout, 60*time.Second)
	if o.Pace.Speed <= 0 {
		o.Pace.Speed = 1
	}
	if o.Connections <= 0 {
		o.Connections = 1 << 20
		if o.Pace.Kind == PaceNone && o.Order == OrderConnection {
			o.Connections = 64
		}
	}
	o.Copies = max(o.Copies, 1)
	if o.MaxDialFailures == 0 {
		o.MaxDialFailures = 5
	}
	if o.Keep <= 0 {
		o.Keep = 8 << 20
	}
	o.Keep = max(o.Keep, BlockBytes)
	return o
}

// Player plays one playbook once.
type Player struct {
	book      *playbook.Playbook
	targets   []Target
	options   Options
	protocols map[string]protocol.Protocol
	schedule  schedule
	limit     *rate.Limiter // nil: none
	stats     stats
	watch     watch
	causal    *causal // nil: connections have no order
	t0        time.Time

	stop context.CancelCauseFunc // of the run
}

// The reasons for a run to stop before its end.
var (
	// ErrDuration says that Options.Duration is over.
	ErrDuration = errors.New("the duration is over")
	// ErrOrder says that OrderCausal is not possible with other options.
	ErrOrder = errors.New("the causal order cannot be kept")
	// ErrUnreachable says that the target could not be dialed.
	ErrUnreachable = errors.New("the target cannot be reached")
)

// NewPlayer returns a Player of book to targets. All targets get each step at the same time, once its gate is open for
// all.
func NewPlayer(book *playbook.Playbook, targets []Target, options Options) *Player {
	p := &Player{book: book, targets: targets, options: options.withDefaults(), protocols: map[string]protocol.Protocol{}}
	for _, spoken := range p.options.Protocols {
		p.protocols[spoken.Name()] = spoken
	}
	if p.options.MaxRate > 0 {
		p.limit = rate.NewLimiter(rate.Limit(p.options.MaxRate), max(1, int(p.options.MaxRate/100)))
	}
	p.stats.init(len(targets))
	p.watch.maxFailed, p.watch.maxLatency = options.MaxFailed, options.MaxLatency
	return p
}

func (p *Player) framer(name string) protocol.Framer {
	if spoken := p.protocols[name]; spoken != nil {
		return spoken.NewFramer()
	}
	return protocol.Raw.NewFramer()
}

// since returns a time as the duration since the run began, never 0 so that 0 can say that something did not happen.
func (p *Player) since(at time.Time) time.Duration { return max(at.Sub(p.t0), 1) }

// Stats returns the numbers so far, or after Run those of the run.
func (p *Player) Stats() Stats { return p.stats.snapshot() }

// Run plays all, and returns when every connection has ended. If it stops before, the error says why: the cause of ctx,
// ErrDuration, ErrUnreachable or ErrFailing. Then no connection begins any more, and those that have begun may continue for
// Options.Drain.
func (p *Player) Run(ctx context.Context) error {
	p.t0 = time.Now()
	if err := p.prepareOrder(); err != nil {
		return err
	}
	p.stats.start(p.t0)
	p.schedule = newSchedule(p.book, &p.options, p.t0)
	var soft context.Context
	soft, p.stop = context.WithCancelCause(ctx)
	defer p.stop(nil)
	if p.options.Duration > 0 {
		timer := time.AfterFunc(p.options.Duration, func() { p.stop(ErrDuration) })
		defer timer.Stop()
	}
	hard, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stopDrain := context.AfterFunc(soft, func() {
		timer := time.NewTimer(p.options.Drain)
		defer timer.Stop()
		select {
		case <-timer.C:
			end()
		case <-hard.Done():
		}
	})
	defer stopDrain()

	var plays, watching sync.WaitGroup
	watching.Go(func() { p.watch.run(hard, p.stop) })
	err := p.start(soft, hard, &plays)
	plays.Wait()
	end()
	watching.Wait()
	p.stats.finish(time.Since(p.t0))
	if cause := context.Cause(soft); cause != nil && err == nil {
		err = cause
	}
	return err
}

// Check returns an ErrOrder if a playbook's order cannot be kept with these options.
func (o Options) Check(book *playbook.Playbook) error {
	o = o.withDefaults()
	switch peak := book.Totals.Peak; {
	case o.Order == OrderConnection:
	case o.Copies > 1:
		return fmt.Errorf("%w: each connection is played %d times", ErrOrder, o.Copies)
	case o.Connections < peak:
		return fmt.Errorf("%w: %d connections at a time are allowed, and %d were open", ErrOrder, o.Connections, peak)
	}
	return nil
}

// prepareOrder reads what the order between connections is, if it is to be kept.
func (p *Player) prepareOrder() (err error) {
	if err := p.options.Check(p.book); err != nil || p.options.Order == OrderConnection {
		return err
	}
	if p.causal, err = newCausal(p.book, len(p.targets)); err != nil {
		return err
	}
	for i := range p.book.Len() {
		if p.options.Only != nil && !p.options.Only[i] {
			p.causal.endAll(i)
		}
	}
	p.t0 = time.Now()
	return nil
}

// inOrder waits until all has ended that had ended before a time of the recording.
func (p *Player) inOrder(ctx context.Context, at int64) error {
	if p.causal == nil {
		return nil
	}
	kept, err := p.causal.wait(ctx, at, 2*p.options.TurnTimeout)
	if err == nil && !kept {
		p.stats.released(Forced)
		p.stats.forced("the turns before, of other connections, did not end")
	}
	return err
}

// start begins each connection when it is due and there is room for it.
func (p *Player) start(soft, hard context.Context, plays *sync.WaitGroup) error {
	room := make(chan struct{}, p.options.Connections)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for i := range p.schedule.len() {
		due := p.schedule.begins(i)
		index := int(p.schedule.starts[i].script)
		if !sleepUntil(soft, due, timer) || p.inOrder(soft, p.book.Start(index)) != nil {
			return nil
		}
		because := byPlayer
		select {
		case room <- struct{}{}:
		default:
			because = byLimit
			select {
			case room <- struct{}{}:
			case <-soft.Done():
				return nil
			}
		}
		script, err := p.book.Script(index)
		if err != nil {
			return fmt.Errorf("play: %w", err)
		}
		c := &Connection{Script: script, Index: index, Copy: int(p.schedule.starts[i].copy)}
		plays.Go(func() {
			defer func() { <-room }()
			(&play{Player: p, connection: c, due: due, lag: time.Since(due), cause: because}).run(hard)
		})
	}
	return nil
}

// sleepUntil waits until a time and returns false if ctx ends before.
func sleepUntil(ctx context.Context, at time.Time, timer *time.Timer) bool {
	if ctx.Err() != nil {
		return false
	}
	wait := time.Until(at)
	if wait <= 0 {
		return true
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dialed counts whether a target could be reached.
func (p *Player) dialed(err error) {
	if failures := p.stats.dialed(err); p.options.MaxDialFailures > 0 && failures >= p.options.MaxDialFailures {
		p.stop(fmt.Errorf("%w: %d failures in a row, the last one: %w", ErrUnreachable, failures, err))
	}
}

// turned counts a turn that has ended.
func (p *Player) turned(t *openTurn) {
	failed := !t.Answered || t.Failed && !t.Turn.Turn.Failed
	p.stats.turn(t, failed)
	service := time.Duration(0)
	if t.Answered && t.Last > 0 {
		service = t.Last - t.Sent
	}
	p.watch.turn(failed, service)
}

// ended tells how a connection to a target ended.
func (p *Player) ended(end *End, transcript Transcript) {
	p.stats.end(end)
	if transcript != nil {
		transcript.End(end)
	}
}
