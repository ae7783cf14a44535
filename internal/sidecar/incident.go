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
	last   string
	logged time.Time
}

func (i *incident) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	i.mu.Lock()
	before := i.last
	if i.pause > 0 && text != before {
		if now := i.now(); now.Sub(i.logged) < i.pause {
			before = text // too soon to say
		} else {
			i.logged = now
		}
	}
	i.last = text
	i.mu.Unlock()
	switch text {
	case before:
	case "":
		i.log.Info(i.ended)
	default:
		i.log.Error(i.failed, "error", text)
	}
}
