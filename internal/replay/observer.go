package replay

import (
	"sync"
	"time"

	"l4dump/internal/playbook"
)

// Observer is told what the targets sent.
type Observer interface {
	// Begin is called before a connection is played. It returns what takes it; nil means that nothing does. It is called
	// by one goroutine at a time for a connection, and by many for all.
	Begin(c *Connection) Transcript
}

// Connection is a script that is played once, to each target.
type Connection struct {
	Script *playbook.Script
	Index  int // of the script in the playbook
	Copy   int // 0: the first time that it is played
}

// Transcript takes what the targets sent in a connection. It is called by one goroutine at a time, which reads from the
// target meanwhile: what takes long belongs elsewhere.
type Transcript interface {
	// Turn takes a turn that a target has answered, or will not any more: each one whose request was sent to the target,
	// once, in the order in which they were answered. t and what it holds may be kept.
	Turn(t *Turn)
	// End takes how the connection to a target ended, after all its turns. It is called once for each target.
	End(e *End)
}

// Turn is a turn as it was recorded, and as a target answered it.
type Turn struct {
	playbook.Turn
	Index  int // of the turn in its script
	Target int // which target, from 0
	Answer Answer
	// Answered says that the answer is complete. It is false if the connection ended before, or the target took too long.
	// Without a protocol it says that as many bytes came as were recorded, or that the target then was quiet.
	Answered bool
	// Failed says that an answer reports an error, if the protocol tells.
	Failed bool
	// Uncertain says that without a protocol it is not certain where the answer ends: the next turn was sent before, or
	// bytes came early.
	Uncertain bool
	Release   Release       // of the last gate before its request
	Due       time.Duration // when the request was to be sent, as all times here since the beginning of the run; 0: at once
	Sent      time.Duration // when it began to be sent
	First     time.Duration // when the answer's first byte came; 0: never
	Last      time.Duration // when its last byte came; 0: never
}

// Release is what opened a gate.
type Release uint8

// What opens gates.
const (
	Met    Release = iota // the target sent what the recorded server had sent
	Quiet                 // the target sent something else, and nothing more
	Forced                // the target took too long
	Ended                 // the target ended the connection
)

var releaseNames = [...]string{"met", "quiet", "forced", "ended"}

// String returns the release as a word.
func (r Release) String() string { return releaseNames[r] }

// End is how a connection to a target ended.
type End struct {
	Target int
	How    How
	Reason string // why, as one line; empty if How is Finished
	// Steps were done, of those that the script has.
	Steps uint64
	Sent  uint64 // bytes
	// Received are all bytes that came, and Unasked those of them that answer nothing.
	Received uint64
	Unasked  Answer
	// By is who ended the connection first, as a recording says it: "downstream" if the player did, "upstream" if the
	// target did. TargetEnded says that the target's stream has ended, and Reset that it was by a reset.
	By          string
	TargetEnded bool
	Reset       bool
	// Diverged says that without a protocol the lengths of the streams differ: from then on gates open when the target
	// is quiet.
	Diverged bool
	// Raw says why the answers were not taken for those of the script's protocol any more; empty: they were.
	Raw   string
	Begin time.Duration // when it was dialed, since the beginning of the run
	Close time.Duration
}

// How is how a connection ended.
type How uint8

// How connections end.
const (
	Finished    How = iota // all steps were done
	DialFailed             // the target could not be reached
	EndedEarly             // the target ended it before all was sent
	Stalled                // the target took too long, and the rest was not played
	WriteFailed            // the target did not take what was sent
	Stopped                // the run was stopped
	Faulty                 // the playbook could not be read
	Exhausted              // this machine has no port or file left for it
)

var howNames = [...]string{
	"finished", "dial failed", "ended early by the target", "stalled", "write failed", "stopped", "playbook unreadable",
	"this machine has no port or file left",
}

// String returns how in words.
func (h How) String() string { return howNames[h] }

// sharedTranscript is a Transcript of several targets.
type sharedTranscript struct {
	mu sync.Mutex
	to Transcript
}

// Turn implements Transcript.
func (s *sharedTranscript) Turn(t *Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to.Turn(t)
}

// End implements Transcript.
func (s *sharedTranscript) End(e *End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to.End(e)
}
