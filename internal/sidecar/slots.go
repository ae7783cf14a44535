package sidecar

import (
	"net/http"
	"sync"
)

// slots bound how many requests of a kind are in progress. Those that carry a body have slots of their own: clients that
// send slowly block neither polls nor health checks, and portraits do not block a FORCE_OFF.
type slots chan struct{}

// take takes a slot at once, or is refused. release gives it back; a second call does nothing. what names the kind.
func (s slots) take(what string) (release func(), problem *Problem) {
	select {
	case s <- struct{}{}:
		return sync.OnceFunc(func() { <-s }), nil
	default:
		problem := newProblem(http.StatusServiceUnavailable, ReasonBusy, "too many "+what+" at a time")
		problem.RetryAfterSeconds = 1
		return nil, problem
	}
}
