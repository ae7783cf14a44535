package capture

import (
	"context"
	"fmt"
)

// Source gives the events of a recording to an Assembler, in whatever order it has them: Assembler.Add for each, and
// Assembler.InputFault for what it cannot read.
type Source interface {
	// Read returns at the end of the input, or with ctx's error when ctx is canceled.
	Read(ctx context.Context, a *Assembler) error
}

// Sink takes the connections of a recording.
type Sink interface {
	// Begin is called before the first event or fault of a connection and returns what takes them; nil means that
	// nothing does. c may be kept and is not changed any more.
	Begin(c *Connection) Consumer
	// Flush is called whenever the input has nothing more for now.
	Flush() error
}

// Consumer takes one connection. One that is asked for several connections may return itself each time. An error ends
// the reading, except a *SkipError.
type Consumer interface {
	// Event takes the connection's next event, in the order of Seq. e and its Payload are valid until Event returns.
	Event(e *Event, at Place) error
	// Fault takes what is wrong with the connection, before the event at which it showed.
	Fault(f *Fault)
	// End takes, after all events, what is known of the connection as a whole. It is called once, unless the reading
	// ends with an error. A *SkipError is about events that Event has taken.
	End(v *Verdict) error
}

// SkipError is what a Consumer returns for an event that it cannot take, though it can take others. It becomes a fault of
// the connection, and the reading continues.
type SkipError struct{ Err error }

// Error implements error.
func (e *SkipError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SkipError) Unwrap() error { return e.Err }

// SinkFunc is a Sink without a buffer.
type SinkFunc func(c *Connection) Consumer

// Begin implements Sink.
func (f SinkFunc) Begin(c *Connection) Consumer { return f(c) }

// Flush implements Sink.
func (SinkFunc) Flush() error { return nil }

// Reporter takes every fault as it shows. Faults of connections that ended before reach only the Reporter.
type Reporter interface {
	Fault(f *Fault)
	// InputFault takes what is wrong with an input, as one line for a person.
	InputFault(f fmt.Stringer)
}

// Read gives the connections in sources to sink, as if they were one recording.
func Read(ctx context.Context, sink Sink, options Options, sources ...Source) (Stats, error) {
	a := NewAssembler(sink, options)
	for _, source := range sources {
		if err := source.Read(ctx, a); err != nil {
			return a.Stats(), err
		}
	}
	err := a.Finish()
	return a.Stats(), err
}
