package sidecar

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"l4dump/strategy"
)

// businessTypes are the types of portraits.
var businessTypes = [...]string{"RPC", "CONFIGURATION", "STATE"}

// PortHeader carries a portrait's port if the query does not.
const PortHeader = "l4dump-port"

// portraits takes one portrait per business type and window.
type portraits struct {
	files *dumpFiles

	mu      sync.Mutex
	taken   map[portraitKey]time.Time // when the window gives way to the next one
	writing map[portraitKey]bool      // that are on their way to the disk
}

type portraitKey struct {
	window, businessType string
}

// accept writes a portrait, unless its window has one already. body is one JSON value on one line.
func (p *portraits) accept(v view, businessType string, port int, body []byte) (Portrait, *Problem) {
	key := portraitKey{window: v.windowID(), businessType: businessType}
	line := fmt.Appendf(nil, "[%s][%s][%d]", key.window, businessType, port)
	line = append(line, body...)

	if problem := p.reserve(v, key); problem != nil {
		return Portrait{}, problem
	}
	err := p.files.append(portraitFile, line) // without the lock: the disk may stall
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.writing, key)
	if err != nil {
		// The error itself is in the log and in the status; it names paths, which are not the client's business.
		detail := "the portrait could not be written"
		if errors.Is(err, errLineTooLong) {
			detail += ": it is longer than a dump file may be"
		}
		problem := newProblem(http.StatusInsufficientStorage, ReasonNotWritten, detail)
		problem.Window = key.window
		return Portrait{}, problem
	}
	p.taken[key] = v.message().Next
	return Portrait{Window: key.window, Type: businessType, Port: port, Bytes: len(line) + 1}, nil
}

// reserve begins to write a portrait, or says why not.
func (p *portraits) reserve(v view, key portraitKey) *Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, next := range p.taken {
		if !v.now.Before(next) {
			delete(p.taken, k)
		}
	}
	if _, taken := p.taken[key]; taken {
		problem := newProblem(http.StatusConflict, ReasonDuplicate, "the window has a portrait of "+key.businessType+" already")
		problem.Window = key.window
		problem.RetryAfterSeconds = int64((v.message().Next.Sub(v.now) + time.Second - 1) / time.Second)
		return problem
	}
	if p.writing[key] { // it may fail, so this one is no duplicate yet
		problem := newProblem(http.StatusServiceUnavailable, ReasonBusy,
			"another portrait of "+key.businessType+" is being written for the window")
		problem.Window = key.window
		problem.RetryAfterSeconds = 1
		return problem
	}
	p.writing[key] = true
	return nil
}

// portraitHead is how a portrait's line begins.
var portraitHead = regexp.MustCompile(`(?m)^\[([0-9a-f-]{36})\]\[(RPC|CONFIGURATION|STATE)\]\[`)

// restore takes note of the portraits in text, the end of the dump file, so that a restart within a window takes no
// second one.
func (p *portraits) restore(text []byte, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range portraitHead.FindAllSubmatch(text, -1) {
		id, err := uuid.ParseBytes(m[1])
		if err != nil {
			continue
		}
		w := windowOf(id)
		// Spread windows may be nearly two intervals apart, and the strategy is not known here.
		next := time.Unix(w.Start+2*w.Interval, 0)
		if now.Before(next) && w.UUID() == [16]byte(id) {
			p.taken[portraitKey{window: id.String(), businessType: string(m[2])}] = next
		}
	}
}

// windowOf reads a window's start and interval out of its identifier (strategy.Window.UUID draws it).
func windowOf(id uuid.UUID) strategy.Window {
	ms := int64(0)
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return strategy.Window{Start: ms / 1000, Interval: int64(id[6]&0x0f)<<8 | int64(id[7])}
}

// types returns the business types that a window has, in order.
func (p *portraits) types(window string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	types := []string{}
	for k := range p.taken {
		if k.window == window {
			types = append(types, k.businessType)
		}
	}
	slices.SortFunc(types, cmp.Compare)
	return types
}

// portOf reads the port of a portrait from the query or the header.
func portOf(r *http.Request) (int, *Problem) {
	var given []string
	given = append(given, r.URL.Query()["port"]...)
	given = append(given, r.Header.Values(PortHeader)...)
	if len(given) != 1 {
		return 0, newProblem(http.StatusBadRequest, ReasonPort,
			"want the port of the traffic once, as ?port=8080 or as the header "+PortHeader)
	}
	port, err := strconv.ParseUint(given[0], 10, 16)
	if err != nil || port == 0 {
		return 0, newProblem(http.StatusBadRequest, ReasonPort, "want a port from 1 to 65535")
	}
	return int(port), nil
}

// compactJSON puts one JSON value on one line. Its numbers and its strings stay as they are, except that characters
// which some readers take for a line break are escaped.
func compactJSON(text []byte) ([]byte, error) {
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	value, err := dec.ReadValue()
	if err != nil {
		return nil, describeJSON(err, dec)
	}
	enc := jsontext.NewEncoder(&out, jsontext.AllowDuplicateNames(true), jsontext.EscapeForJS(true))
	if err := enc.WriteValue(value); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("want one JSON value and nothing after byte %d", dec.InputOffset())
	}
	return escapeControls(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), nil
}

// describeJSON says at which byte text stopped being JSON, without repeating any of it.
func describeJSON(err error, dec *jsontext.Decoder) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("want a JSON value, but it ends too early")
	}
	return fmt.Errorf("want a JSON value, but there is a fault at byte %d", max(dec.InputOffset(), offsetOf(err)))
}

func offsetOf(err error) int64 {
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return syntactic.ByteOffset
	}
	return 0
}

// escapeControls escapes DEL and the C1 controls, which JSON lets through in strings: NEL is a line break to some
// readers, CSI a command to some terminals.
func escapeControls(text []byte) []byte {
	if !bytes.ContainsFunc(text, isControl) {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for _, r := range string(text) {
		if isControl(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
			continue
		}
		out = append(out, string(r)...)
	}
	return out
}

func isControl(r rune) bool { return r >= 0x7f && r <= 0x9f }
