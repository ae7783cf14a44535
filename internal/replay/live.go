package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"l4dump/internal/playbook"
)

// The buffer of a reader: at first, and at most, if the target sends more at a time.
const (
	smallBuffer = 2 << 10
	largeBuffer = 64 << 10
)

// live is a connection to a target. One goroutine reads, always and at once, so that the target never waits for the
// player; the play's goroutine writes.
type live struct {
	player *Player
	target int
	conn   net.Conn
	begin  time.Time
	read   chan struct{} // closed when the reader has ended
	wake   chan struct{} // of the play while it waits; holds one
	index  int           // of the script
	script *playbook.Script

	mu       sync.Mutex
	turns    turns
	waiting  bool // the play does
	received uint64
	begun    uint64    // turns
	at       time.Time // when the last bytes came, or the end
	ended    bool      // the target's stream has ended
	reset    bool
	release  Release   // of the last gate
	due      time.Time // when the step after it is
	raw      string    // why the turns are not those of the protocol any more

	// Of the play.
	transcript Transcript
	sent       uint64
	steps      uint64
	over       bool // nothing more is sent
	how        How
	reason     string
	mayWait    time.Duration // for how long the last request lets the target wait, by its own word
}

// turns tells what a target sends apart. live.mu is held in each call.
type turns interface {
	// sending takes bytes that are about to be sent, from a place in the client's stream on.
	sending(from uint64, bytes []byte, ended bool, at time.Time) error
	// receive takes bytes that came; ended says that none will any more.
	receive(bytes []byte, ended bool, at time.Time) error
	// open says whether what the target has sent opens a gate, and how; ended says that it sends nothing more.
	open(g *playbook.Gate, ended bool) (Release, bool)
	// quiet returns after how much silence of the target, from now on or since its last byte, a gate opens though it is
	// not met. 0: it does not.
	quiet() time.Duration
	// settle returns how long nothing may have come before a gate opens that is met.
	settle() time.Duration
	// pass says how a gate was opened.
	pass(g *playbook.Gate, r Release)
	// missing says what a gate still waits for.
	missing(g *playbook.Gate) string
	// finish ends all turns.
	finish(how How)
	// unasked returns what came and answers nothing.
	unasked() Answer
	// diverged says that gates open when the target is quiet.
	diverged() bool
}

func newLive(p *Player, target int, conn net.Conn, of *Connection, transcript Transcript, begin time.Time) *live {
	l := &live{
		player: p, target: target, conn: conn, begin: begin, index: of.Index, script: of.Script, transcript: transcript, at: begin,
		read: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	l.turns = newTurns(l)
	return l
}

// drain reads until the target's stream ends or the connection is closed.
func (l *live) drain() {
	defer close(l.read)
	buf := make([]byte, smallBuffer)
	for {
		n, err := l.conn.Read(buf)
		l.take(buf[:n], err, time.Now())
		if err != nil {
			return
		}
		if n == len(buf) && n < largeBuffer {
			buf = make([]byte, min(4*n, largeBuffer))
		}
	}
}

func (l *live) take(bytes []byte, err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(bytes) > 0 {
		l.received += uint64(len(bytes))
		l.at = now
	}
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		l.ended, l.at = true, now
		l.reset = !errors.Is(err, io.EOF)
	}
	if wrong := l.turns.receive(bytes, errors.Is(err, io.EOF), now); wrong != nil {
		l.fallBack(wrong)
	}
	if l.waiting {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// await waits until a gate opens, and returns by what and when.
func (l *live) await(ctx context.Context, g *playbook.Gate, deadline time.Time, timer *time.Timer) (Release, time.Time, error) {
	for {
		l.mu.Lock()
		now := time.Now()
		release, open, until := l.check(g, now, deadline)
		l.waiting = !open
		at := l.at
		if open {
			l.turns.pass(g, release)
			l.release = release
		}
		l.mu.Unlock()
		if open {
			if release == Quiet || release == Forced {
				at = now
			}
			return release, at, nil
		}
		timer.Reset(until.Sub(now))
		select {
		case <-l.wake:
		case <-timer.C:
		case <-ctx.Done():
			return 0, now, ctx.Err()
		}
	}
}

// check says whether a gate is open, and if not, until when it stays closed unless something comes.
func (l *live) check(g *playbook.Gate, now, deadline time.Time) (release Release, open bool, until time.Time) {
	release, open = l.turns.open(g, l.ended)
	switch {
	case open && !l.ended && l.turns.settle() > now.Sub(l.at):
		return 0, false, l.at.Add(l.turns.settle())
	case open:
		return release, true, now
	case l.ended:
		return Ended, true, now
	case !now.Before(deadline):
		return Forced, true, now
	}
	quiet := l.turns.quiet()
	if quiet == 0 || g.End {
		return 0, false, deadline
	}
	if !now.Before(l.at.Add(quiet)) {
		return Quiet, true, now
	}
	return 0, false, l.at.Add(min(quiet, deadline.Sub(l.at)))
}

// send sends bytes of the client's stream.
func (l *live) send(from uint64, bytes []byte) {
	now := time.Now()
	l.mu.Lock()
	wrong := l.turns.sending(from, bytes, false, now)
	if wrong != nil {
		l.fallBack(wrong)
		_ = l.turns.sending(from, bytes, false, now) // raw turns take everything
	}
	l.mu.Unlock()
	err := l.conn.SetWriteDeadline(now.Add(l.player.options.TurnTimeout))
	n := 0
	if err == nil {
		n, err = l.conn.Write(bytes)
	}
	l.sent += uint64(n)
	if err == nil {
		return
	}
	how := WriteFailed
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrClosedPipe) {
		how = EndedEarly
	}
	l.stop(how, err.Error())
}

// isDue says when the next step is due.
func (l *live) isDue(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = at
}

// halfClose ends the client's stream.
func (l *live) halfClose() {
	l.mu.Lock()
	if wrong := l.turns.sending(l.sent, nil, true, time.Now()); wrong != nil {
		l.fallBack(wrong)
	}
	l.mu.Unlock()
	half, ok := l.conn.(interface{ CloseWrite() error })
	if !ok {
		l.stop(WriteFailed, "the connection cannot be half-closed")
		return
	}
	if err := half.CloseWrite(); err != nil {
		l.stop(EndedEarly, err.Error())
	}
}

// stop says that nothing more is sent.
func (l *live) stop(how How, reason string) {
	if !l.over {
		l.over, l.how, l.reason = true, how, reason
	}
}

// fallBack says that the connection does not speak its protocol any more. live.mu is held.
func (l *live) fallBack(why error) {
	l.raw = l.script.Protocol + ": " + why.Error()
	l.turns = rawTurnsAfter(l.turns)
	l.player.stats.fellBack(l.raw)
}

// close ends the connection, waits for its reader, and tells what is left to tell.
func (l *live) close() {
	l.mu.Lock()
	ended := l.ended
	l.mu.Unlock()
	_ = l.conn.Close() // what was to be sent was sent
	<-l.read
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns.finish(l.how)
	end := &End{
		Target: l.target, How: l.how, Reason: l.reason, Steps: l.steps, Sent: l.sent, Received: l.received,
		Unasked: l.turns.unasked(), By: "downstream", TargetEnded: ended, Reset: ended && l.reset,
		Diverged: l.turns.diverged(), Raw: l.raw, Begin: l.player.since(l.begin), Close: l.player.since(time.Now()),
	}
	if ended {
		end.By = "upstream"
	}
	l.player.ended(end, l.transcript)
}

func (l *live) stalled(g *playbook.Gate, waited time.Duration) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("step %d waited %s for %s", l.steps, waited.Round(time.Millisecond), l.turns.missing(g))
}
