package envoytap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"l4dump/internal/capture"
)

// Source is a tap as a capture.Source.
type Source struct {
	Name   string    // stands for it in places
	Reader io.Reader // for what it begins with, Begins is true
}

// Read implements capture.Source. A tap that cannot be read to its end is a fault of the input.
func (s Source) Read(ctx context.Context, a *capture.Assembler) error {
	_, err := Read(ctx, s.Reader, s.Name, a)
	return err
}

// Read gives the events of the tap in r, which name stands for, to a, and returns the errors of r, and whether there was
// an event.
func Read(ctx context.Context, r io.Reader, name string, a *capture.Assembler) (found bool, err error) {
	s := &reader{a: a, input: capture.Name(name)}
	s.tracker = newTracker(s)
	err = s.read(ctx, r)
	return s.found, err
}

// reader reads one tap.
type reader struct {
	a       *capture.Assembler
	input   capture.Name
	number  int64 // of the trace, from 1
	found   bool
	tracker *tracker // of connections that l4dump did not write
	event   capture.Event
	left    [leftOuts]leftOut
}

// leftOut counts traces that are left out for one reason.
type leftOut struct {
	count int
	first int64 // the number of the first
}

// The reasons to leave a trace out, or to doubt it.
const (
	leftHTTP = iota
	leftUnknown
	leftAgain
	leftPeers
	leftText
	leftOuts
)

var leftOutTexts = [leftOuts]string{
	leftHTTP: "are of Envoy's HTTP tap, which holds messages and not a connection's bytes: it is not supported; " +
		"tap the transport socket",
	leftUnknown: "hold nothing that is known",
	leftAgain:   "hold events that come once more, or after those that follow them: left out",
	leftPeers: "begin connections whose addresses are missing or do not tell the client from the service: " +
		"downstream and upstream may be the wrong way round",
	leftText: "hold text in which each space may stand for bytes that are not UTF-8: " +
		"tap with another format than JSON_BODY_AS_STRING",
}

// checkTraces is after how many traces the context is looked at.
const checkTraces = 1024

func (s *reader) at(number int64) capture.Place { return capture.Place{Input: s.input, Number: number} }

func (s *reader) fault(number int64, err error) {
	s.a.InputFault(Fault{Place: s.at(number), Err: err})
}

func (s *reader) leave(reason int) {
	l := &s.left[reason]
	if l.count++; l.count == 1 {
		l.first = s.number
	}
}

func (s *reader) read(ctx context.Context, r io.Reader) error {
	err := s.readTraces(ctx, r)
	if own := isOwnError(err); !own && !errors.Is(err, io.EOF) {
		return err
	}
	if err := s.tracker.finish(); err != nil {
		return err
	}
	for reason, text := range leftOutTexts {
		if l := &s.left[reason]; l.count > 0 {
			s.fault(l.first, fmt.Errorf("from this trace on, %d %s", l.count, text))
		}
	}
	if isOwnError(err) {
		s.fault(s.number, fmt.Errorf("cannot be read further: %w", err))
	}
	return nil
}

func isOwnError(err error) bool {
	return errors.Is(err, errCut) || errors.Is(err, errFraming) || errors.Is(err, errLarge)
}

// readTraces reads to an error, which is io.EOF at the end.
func (s *reader) readTraces(ctx context.Context, r io.Reader) error {
	wrappers, err := newWrapperReader(r)
	if err != nil {
		return err
	}
	for {
		s.number++
		if s.number%checkTraces == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		trace, err := wrappers.next()
		var damaged *damagedError
		switch {
		case errors.As(err, &damaged):
			s.damaged(damaged)
			continue
		case err != nil:
			return err
		}
		if err := s.take(trace); err != nil {
			return err
		}
	}
}

// take takes a trace. The error is the consumer's.
func (s *reader) take(t *trace) error {
	switch {
	case t.own != nil:
		return s.takeOwn(t)
	case t.kind == traceStreamed:
		return s.tracker.streamed(t)
	case t.kind == traceBuffered:
		return s.tracker.buffered(t)
	case t.kind == traceHTTP:
		s.leave(leftHTTP)
	case t.kind == traceUnknown:
		s.leave(leftUnknown)
	}
	return nil
}

// takeOwn takes a segment that l4dump wrote.
func (s *reader) takeOwn(t *trace) error {
	var payload []byte
	for e, err := range t.events() {
		if err != nil {
			s.damaged(err)
			return nil
		}
		payload = append(payload, e.GetRead().GetData().GetAsBytes()...)
		payload = append(payload, e.GetWrite().GetData().GetAsBytes()...)
	}
	d, err := capture.ParseDetached(t.own, payload)
	if err != nil {
		s.fault(s.number, err)
		return nil
	}
	if d.Foreign {
		if err := s.a.Foreign(d.Conn); err != nil {
			return err
		}
	}
	s.found = true
	s.event = d.Event
	return s.a.Add(&s.event, d.Print, s.at(s.number), time.Now())
}

// damaged takes a trace that does not parse.
func (s *reader) damaged(err error) {
	s.fault(s.number, err)
	s.tracker.doubt()
}
