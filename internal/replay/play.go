package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/protocol"
)

// play is a connection that is played, to each target.
type play struct {
	*Player
	connection *Connection
	due        time.Time // when it was to begin
	lives      []*live
	timer      *time.Timer
	lag        time.Duration // by which the step before was late
	cause      cause         // of it
	last       int64         // recorded time of the step before
	ahead      window
	turns      *playbook.Turns
	turn       playbook.Turn // the last one that was waited for, if the order is kept
}

// chunks are buffers for what is sent.
var chunks = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

func (p *play) run(ctx context.Context) {
	if p.causal != nil {
		defer p.causal.endAll(p.connection.Index)
		p.turns = p.connection.Script.Turns()
	}
	p.timer = time.NewTimer(time.Hour)
	defer p.timer.Stop()
	p.begin(ctx)
	if len(p.lives) > 0 {
		how, reason := Finished, ""
		if err := p.steps(ctx); err != nil {
			how, reason = Faulty, err.Error()
			if ctx.Err() != nil {
				how, reason = Stopped, "the run was stopped"
			}
		}
		for _, l := range p.lives {
			if how != Finished {
				l.stop(how, reason)
			}
			l.close()
		}
	}
}

// begin dials each target.
func (p *play) begin(ctx context.Context) {
	var transcript Transcript
	if p.options.Observer != nil {
		transcript = p.options.Observer.Begin(p.connection)
	}
	if transcript != nil && len(p.targets) > 1 {
		transcript = &sharedTranscript{to: transcript}
	}
	p.stats.begin()
	p.last = p.connection.Script.Start
	for target := range p.targets {
		begin := time.Now()
		limited, cancel := context.WithTimeout(ctx, p.options.DialTimeout)
		conn, err := p.targets[target].Dial(limited, &p.connection.Script.Info)
		cancel()
		if ctx.Err() == nil && !exhausted(err) {
			p.dialed(err)
		}
		if err != nil {
			end := &End{Target: target, How: DialFailed, Reason: err.Error(), Begin: p.since(begin), Close: p.since(time.Now())}
			switch {
			case ctx.Err() != nil:
				end.How, end.Reason = Stopped, "the run was stopped"
			case exhausted(err):
				end.How = Exhausted
			}
			p.ended(end, transcript)
			continue
		}
		l := newLive(p.Player, target, conn, p.connection, transcript, begin)
		p.lives = append(p.lives, l)
		go l.drain()
	}
}

// exhausted says that a connection failed for want of something on this machine.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS)
}

// steps does all steps, as long as a target takes them.
func (p *play) steps(ctx context.Context) error {
	steps := p.connection.Script.Steps()
	next, err := steps.Next()
	for err == nil {
		step := next
		next, err = steps.Next()
		for err == nil && p.joins(&step, &next) {
			step.Span.To = next.Span.To
			next, err = steps.Next()
		}
		playing, failed := p.step(ctx, &step)
		if failed != nil || !playing {
			return failed
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// joins says whether two steps are one write.
func (p *play) joins(step, next *playbook.Step) bool {
	if p.options.Pace.Kind != PaceNone || p.options.KeepChunks || p.causal != nil || step.Kind != playbook.Send || next.Kind != playbook.Send {
		return false
	}
	return step.Gate == next.Gate
}

// step waits for a step's gate and time, and does it. It returns false if no target takes more.
func (p *play) step(ctx context.Context, step *playbook.Step) (playing bool, err error) {
	opened, err := p.await(ctx, step)
	if err != nil {
		return false, err
	}
	if err := p.awaitOthers(ctx, step); err != nil {
		return false, err
	}
	if due, err := p.hold(ctx, step, opened); err != nil {
		return false, err
	} else if !due.IsZero() {
		for _, l := range p.lives {
			l.isDue(due)
		}
	}
	switch step.Kind {
	case playbook.Send:
		if err := p.send(step.Span); err != nil {
			return false, err
		}
	case playbook.HalfClose:
		for _, l := range p.lives {
			if !l.over {
				l.halfClose()
			}
		}
	}
	p.charge()
	for _, l := range p.lives {
		if !l.over {
			l.steps++
			playing = true
		}
	}
	p.last = step.At
	return playing, nil
}

// await waits until a gate is open for each target, and returns when it was.
func (p *play) await(ctx context.Context, step *playbook.Step) (opened time.Time, err error) {
	begin := time.Now()
	deadline := begin.Add(p.patience(step))
	opened = p.due
	for _, l := range p.lives {
		if l.over {
			continue
		}
		release, at, err := l.await(ctx, &step.Gate, deadline, p.timer)
		if err != nil {
			return opened, err
		}
		if at.After(opened) {
			opened = at
		}
		p.stats.released(release)
		switch {
		case release == Forced && p.abort():
			l.stop(Stalled, l.stalled(&step.Gate, time.Since(begin)))
		case release == Ended:
			l.stop(EndedEarly, l.stalled(&step.Gate, time.Since(begin)))
		case release == Forced:
			p.stats.forced(l.stalled(&step.Gate, time.Since(begin)))
		}
	}
	return opened, nil
}

// awaitOthers waits until the turns of other connections have ended that may be causes of those that a step begins.
func (p *play) awaitOthers(ctx context.Context, step *playbook.Step) error {
	if p.causal == nil || step.Kind != playbook.Send {
		return nil
	}
	for p.turn.Request.To < step.Span.To {
		next, err := p.turns.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if p.turn = next; next.Request.From >= step.Span.From && next.Request.Len() > 0 {
			if err := p.inOrder(ctx, next.At); err != nil {
				return err
			}
		}
	}
	return nil
}

// patience is how long a gate may stay closed.
func (p *play) patience(step *playbook.Step) time.Duration {
	recorded := time.Duration(max(step.Gate.At-p.last, 0))
	most := max(p.options.TurnTimeout, 2*recorded)
	wait := min(max(p.options.MinWait, 10*recorded), most)
	for _, l := range p.lives {
		switch {
		case l.mayWait == protocol.Forever:
			return most
		case l.mayWait > 0:
			wait = max(wait, l.mayWait+p.options.MinWait)
		}
	}
	return wait
}

func (p *play) abort() bool {
	if p.options.OnStall == StallByProtocol {
		return p.connection.Script.Protocol != "raw"
	}
	return p.options.OnStall == Abort
}

// hold waits until a step is due and the rate allows it, and returns when it was due.
func (p *play) hold(ctx context.Context, step *playbook.Step, opened time.Time) (time.Time, error) {
	due := p.schedule.due(p.due, opened, &p.connection.Script.Info, step)
	if !due.IsZero() && !sleepUntil(ctx, due, p.timer) {
		return due, ctx.Err()
	}
	// What is late only because the step before was has that one's cause.
	switch {
	case p.lag <= MaxLate && opened.After(due), opened.Add(-p.lag).After(due):
		p.cause = byTarget
	case p.lag <= MaxLate:
		p.cause = byPlayer
	}
	if p.limit != nil && step.Kind == playbook.Send {
		before := time.Now()
		if err := p.limit.Wait(ctx); err != nil {
			return due, ctx.Err()
		}
		if time.Since(before) > time.Millisecond {
			p.cause = byLimit
		}
	}
	switch {
	case step.Kind != playbook.Send: // who ends late was answered late
	case !due.IsZero():
		p.lag = time.Since(due)
		p.stats.late(p.lag, p.cause)
	case step.Gate.Bytes > 0:
		p.stats.reacted(time.Since(opened))
	}
	return due, nil
}

// charge takes from the rate what a step began besides one turn.
func (p *play) charge() {
	if p.limit == nil {
		return
	}
	for _, l := range p.lives {
		l.mu.Lock()
		begun := l.begun
		l.begun = 0
		l.mu.Unlock()
		if l == p.lives[0] && begun > 1 {
			for left := int(begun - 1); left > 0; left -= p.limit.Burst() {
				p.limit.ReserveN(time.Now(), min(left, p.limit.Burst()))
			}
		}
	}
}

// send sends bytes of the client's stream to each target that takes them.
func (p *play) send(span playbook.Span) error {
	if span.Len() <= windowBytes/2 {
		bytes, err := p.ahead.read(p.connection.Script, span)
		p.sendChunk(span.From, bytes)
		return err
	}
	chunk := chunks.Get().(*[largeBuffer]byte)
	defer chunks.Put(chunk)
	for span.Len() > 0 {
		bytes := chunk[:min(span.Len(), largeBuffer)]
		n, err := p.connection.Script.Stream(capture.Downstream).ReadAt(bytes, int64(span.From))
		if n < len(bytes) {
			return fmt.Errorf("read what to send: %w", err)
		}
		p.sendChunk(span.From, bytes)
		span.From += uint64(len(bytes))
	}
	return nil
}

func (p *play) sendChunk(from uint64, bytes []byte) {
	if len(bytes) == 0 {
		return
	}
	for _, l := range p.lives {
		if !l.over {
			l.send(from, bytes)
		}
	}
}

// windowBytes is how much of a client's stream a window holds.
const windowBytes = 1 << 10

// window is a part of a client's stream, so that small requests are read several at a time.
type window struct {
	from  uint64
	bytes []byte
}

// read returns the bytes of a span of at most windowBytes. They are valid until the next call.
func (w *window) read(script *playbook.Script, span playbook.Span) ([]byte, error) {
	if span.From < w.from || span.To > w.from+uint64(len(w.bytes)) {
		if w.bytes == nil {
			w.bytes = make([]byte, 0, min(windowBytes, script.Bytes[capture.Downstream]))
		}
		n, err := script.Stream(capture.Downstream).ReadAt(w.bytes[:cap(w.bytes)], int64(span.From))
		w.from, w.bytes = span.From, w.bytes[:n]
		if uint64(n) < span.Len() {
			return nil, fmt.Errorf("read what to send: %w", err)
		}
	}
	return w.bytes[span.From-w.from:][:span.Len()], nil
}
