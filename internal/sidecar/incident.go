package sidecar

import (
	"log/slog"
	"sync"
	"time"
)

// incident logs that something fails when it begins to, when it fails otherwise, and when it works again: not each
// time.
type incident struct {
	log           *slog.Logger
	failed, ended string // the messages
	// pause is the least time between two lines, on the clock now; 0 is none. It is for what clients can make happen.
	pause time.Duration
	now   func() time.Time

	mu     sync.Mutex
	text   string // of the last report; empty is no error
	said   string // that was logged last
	logged time.Time
}

// report notes that something fails with err, or works. A change that comes within the pause is logged after it, by the
// next report or flush, if it is still so then.
func (i *incident) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	i.mu.Lock()
	i.text = text
	say := i.due()
	i.mu.Unlock()
	if say {
		i.write(text)
	}
}

// flush logs what the pause kept back, if the pause is over.
func (i *incident) flush() {
	i.mu.Lock()
	text, say := i.text, i.due()
	i.mu.Unlock()
	if say {
		i.write(text)
	}
}

// due reports whether the last report is to be logged now, and takes it as logged. i.mu is held.
func (i *incident) due() bool {
	if i.text == i.said {
		return false
	}
	if i.pause > 0 {
		now := i.now()
		if now.Sub(i.logged) < i.pause {
			return false
		}
		i.logged = now
	}
	i.said = i.text
	return true
}

// write logs without the lock: who reads the log may be slow.
func (i *incident) write(text string) {
	if text == "" {
		i.log.Info(i.ended)
		return
	}
	i.log.Error(i.failed, "error", text)
}
