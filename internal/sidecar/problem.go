package sidecar

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"l4dump/internal/fault"
	"l4dump/strategy"
)

// Problem is why a request was refused: the problem details of RFC 9457, and the error of a Client.
type Problem struct {
	Type   string       `json:"type"`   // always "about:blank"
	Title  string       `json:"title"`  // of the status
	Status int          `json:"status"` // the HTTP status
	Detail string       `json:"detail"` // for people
	Reason string       `json:"reason"` // for programs: one of the Reason constants, or a strategy.Reason
	Faults fault.Faults `json:"faults,omitempty"`
	Window string       `json:"window,omitempty"` // a portrait's
	// RetryAfterSeconds is when it may be worth to ask again.
	RetryAfterSeconds int64 `json:"retry_after_seconds,omitempty"`
}

// The reasons of refusals, in addition to those of package strategy.
const (
	ReasonNotFound     = "not_found"
	ReasonMethod       = "method"
	ReasonUnknownType  = "unknown_type"
	ReasonPort         = "port"
	ReasonInvalidJSON  = "invalid_json"
	ReasonInvalid      = "invalid_strategy"
	ReasonTooLarge     = "too_large"
	ReasonBody         = "body"
	ReasonDuplicate    = "duplicate"
	ReasonNotWritten   = "not_written"
	ReasonBusy         = "busy"
	ReasonCrossOrigin  = "cross_origin"
	ReasonHost         = "host"
	ReasonUnauthorized = "unauthorized"
	ReasonInternal     = "internal"
)

// Error returns the detail and the faults, separated by "; ".
func (p *Problem) Error() string {
	parts := []string{p.Detail}
	for _, f := range p.Faults {
		parts = append(parts, f.String())
	}
	return strings.Join(parts, "; ")
}

func newProblem(status int, reason, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Reason: reason}
}

func (p *Problem) write(w http.ResponseWriter) {
	text, err := json.Marshal(p)
	if err != nil { // of strings and numbers there is none
		http.Error(w, p.Title, p.Status)
		return
	}
	if p.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(p.RetryAfterSeconds, 10))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(text, '\n')) // the client is gone
}

// refused says why a portrait is not wanted now.
func refused(v view) *Problem {
	p := newProblem(http.StatusLocked, v.reason.String(), explain(v))
	p.Window = v.windowID()
	switch v.reason {
	case strategy.WindowClosed:
		wait := v.message().Next.Sub(v.now)
		p.RetryAfterSeconds = int64((wait + time.Second - 1) / time.Second)
	case strategy.CPULimit, strategy.MemoryLimit, strategy.UsageUnknown:
		p.RetryAfterSeconds = 1
	}
	return p
}

// bodyProblem is why a body could not be read.
func bodyProblem(err error, limit int64) *Problem {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return newProblem(http.StatusRequestEntityTooLarge, ReasonTooLarge,
			"want a body of at most "+strconv.FormatInt(limit, 10)+" bytes")
	}
	return newProblem(http.StatusBadRequest, ReasonBody, "the body did not arrive whole")
}
