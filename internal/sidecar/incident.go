package sidecar

import (
	"log/slog"
	"sync"
)

// incident logs that something fails when it begins to, when it fails otherwise, and when it works again: not each
// time.
type incident struct {
	log           *slog.Logger
	failed, ended string // the messages

	mu   sync.Mutex
	last string
}

func (i *incident) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	i.mu.Lock()
	before := i.last
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
