package playbook

import (
	"errors"
	"io"
	"math"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/guess"
	"l4dump/internal/protocol/http1"
	"l4dump/strategy"
)

// Options are how connections become scripts.
type Options struct {
	Dir string // for the playbook's file; "" is the system's for temporary files
	// UntilGap takes of a connection that is not whole what comes before the first gap.
	UntilGap bool
	// Masked takes connections with bytes that the recorder has overwritten.
	Masked bool
	// Classes are names of classes that are played though they destroy something.
	Classes []string
	// Detector says which protocol a connection speaks; nil: none is known.
	Detector *protocol.Detector
	// Shard takes the connections of one of Shards parts; all if Shards is 0.
	Shard, Shards int
}

// Compiler is a capture.Sink that makes scripts of connections. Memory does not depend on how much was recorded: what
// was recorded goes to a file, and a connection that has ended takes a few dozen bytes.
type Compiler struct {
	options Options
	spool   *spool
	book    *Playbook
}

var _ capture.Sink = (*Compiler)(nil)

// NewCompiler returns a Compiler with an empty playbook. Playbook or Close must follow.
func NewCompiler(options Options) (*Compiler, error) {
	spool, err := newSpool(options.Dir)
	if err != nil {
		return nil, err
	}
	return &Compiler{options: options, spool: spool, book: &Playbook{spool: spool}}, nil
}

// Close drops what was compiled. It does nothing after Playbook.
func (c *Compiler) Close() error {
	if c.book == nil {
		return nil
	}
	c.book = nil
	return c.spool.close()
}

// Playbook returns what was compiled; the caller closes it. Nothing may be compiled any more.
func (c *Compiler) Playbook() (*Playbook, error) {
	if err := c.spool.settle(&c.book.headers); err != nil {
		return nil, err
	}
	if err := c.spool.flush(); err != nil {
		return nil, err
	}
	book := c.book
	c.book = nil
	book.sort()
	return book, nil
}

// Begin implements capture.Sink.
func (c *Compiler) Begin(of *capture.Connection) capture.Consumer {
	if c.options.Shards > 0 && shardOf(of.ID, c.options.Shards) != c.options.Shard {
		return nil
	}
	r := &recording{compiler: c, connection: of}
	if of.Open != nil && of.Open.Next == capture.NextRepeats {
		r.repeats = http1.NewDeduplicator()
	}
	return r
}

// shardOf spreads connections evenly; a VM's have numbers one after another.
func shardOf(id capture.ID, shards int) int {
	return int((id.VM ^ id.Number*0x9e3779b97f4a7c15) >> 32 % uint64(shards))
}

// Flush implements capture.Sink.
func (*Compiler) Flush() error { return nil }

// recording is a connection as it comes: its bytes, and the events that they came in.
type recording struct {
	compiler   *Compiler
	connection *capture.Connection
	streams    [2]stream
	events     stream
	last       event
	stopped    bool // nothing more can be used: bytes are missing here
	hidden     bool // a client began TLS after it had spoken in plain text
	// Of a connection before an HTTP connection manager: what finds the bytes that stand in it again, how many did, and
	// why that is not known any more.
	repeats  *http1.Deduplicator
	repeated uint64
	unclear  error
	buf      []byte
}

// Event implements capture.Consumer.
func (r *recording) Event(e *capture.Event, _ capture.Place) error {
	if r.stopped || e.Kind == capture.KindOpen {
		return nil
	}
	stored := event{kind: e.Kind, d: e.Direction, seq: e.Seq, time: e.Time}
	if e.Kind == capture.KindData || e.Kind == capture.KindEnd {
		length := r.streams[e.Direction].Length
		if e.Direction == capture.Downstream {
			length += r.repeated
		}
		if e.Offset != length {
			r.stopped = true
			return nil
		}
	}
	if e.Kind == capture.KindData {
		payload := r.once(e)
		if len(payload) == 0 {
			return nil
		}
		r.hidden = r.hidden || e.Direction == capture.Downstream && capture.BeginsTLS(e.Direction, payload)
		stored.length = uint64(len(payload))
		if err := r.compiler.spool.append(&r.streams[e.Direction], payload); err != nil {
			return err
		}
	}
	r.buf = appendEvent(r.buf[:0], &r.last, &stored)
	r.last = stored
	return r.compiler.spool.append(&r.events, r.buf)
}

// once returns what of an event's bytes does not stand in the recording again.
func (r *recording) once(e *capture.Event) []byte {
	if r.repeats == nil || r.unclear != nil {
		return e.Payload
	}
	skip, err := r.repeats.Next(e.Direction, e.Payload)
	r.unclear = err
	if e.Direction == capture.Downstream {
		r.repeated += uint64(skip)
	}
	return e.Payload[skip:]
}

// Fault implements capture.Consumer.
func (*recording) Fault(*capture.Fault) {}

// End implements capture.Consumer.
func (r *recording) End(v *capture.Verdict) error {
	c := r.compiler
	c.book.Recorded++
	defer c.spool.forget(&r.events)
	reason, seq := r.refusal(v)
	if reason == "" {
		w, err := r.compile(v, seq)
		if err != nil {
			return err
		}
		switch script := w.script; {
		case script.Protocol == protocol.Raw.Name() && script.guessed == guess.HTTP2:
			reason = "HTTP/2: its bytes are valid only in the connection in which they were sent"
		case w.destroys != "":
			reason = "holds " + w.destroys + ", which is played only if it is allowed"
		case script.Cut != "" && script.Turns == 0:
			reason = "cut off before any turn was complete: " + script.Cut
		default:
			return c.book.add(w)
		}
	}
	c.spool.forget(&r.streams[0])
	c.spool.forget(&r.streams[1])
	c.book.refuse(reason, r.connection.ID)
	return nil
}

// refusal returns why a connection cannot be played, or else before which event it ends.
func (r *recording) refusal(v *capture.Verdict) (reason string, seq uint64) {
	open := r.connection.Open
	switch {
	case open != nil && open.Unit == string(strategy.UnitBytes):
		return "recorded in windows (unit=bytes): the beginning or bytes between windows are missing", 0
	case v.State == capture.Broken:
		return "broken: " + faultName(v.Cause), 0
	case v.TLS:
		return "TLS: what was recorded is ciphertext", 0
	case r.hidden:
		return "TLS after a beginning in plain text: what was recorded is ciphertext", 0
	case r.unclear != nil:
		return "before an HTTP connection manager: bytes of the client may stand more than once", 0
	case v.Masked > 0 && !r.compiler.options.Masked:
		return "masked: bytes were overwritten by the recorder", 0
	case v.State == capture.Prefix && !r.compiler.options.UntilGap:
		return "not whole: " + faultName(v.Cause), 0
	case v.State == capture.Prefix:
		return "", v.UptoSeq
	}
	return "", math.MaxUint64
}

// faultName names the kind of a fault, without the numbers in which connections differ.
func faultName(f *capture.Fault) string {
	switch f.Kind {
	case capture.FaultLost, capture.FaultLostGap, capture.FaultLostBytes:
		return "records are missing"
	case capture.FaultGap:
		return "the recorder dropped bytes"
	case capture.FaultDropped:
		if len(f.Drops) > 0 {
			return "the recorder dropped bytes (" + f.Drops[0].Reason + ")"
		}
		return "the recorder dropped bytes"
	case capture.FaultNoOpen:
		return "the beginning is missing"
	case capture.FaultConflict, capture.FaultLedger:
		return "records contradict each other"
	case capture.FaultForgotten:
		return "too many connections were open to keep it"
	case capture.FaultFiltered:
		return "some of its records were not selected"
	}
	return "records are out of place"
}

// compile makes the script of the events before seq.
func (r *recording) compile(v *capture.Verdict, seq uint64) (*scriptWriter, error) {
	s := &script{Info: r.info(v), Streams: [2]*stream{&r.streams[0], &r.streams[1]}}
	stored := r.compiler.spool
	reader := &events{
		stored:  io.NewSectionReader(stored.reader(&r.events), 0, int64(r.events.Length)),
		streams: [2]io.ReaderAt{stored.reader(&r.streams[0]), stored.reader(&r.streams[1])},
		buf:     make([]byte, 32<<10),
	}
	if v.State != capture.Whole {
		s.Cut = "still open at the end of the recording"
		if v.State == capture.Prefix {
			s.Cut = faultName(v.Cause)
		}
		var err error
		if seq, err = reader.cut(seq); err != nil {
			return nil, err
		}
	}
	w, err := r.steps(reader, seq, s)
	if err != nil {
		return nil, err
	}
	return w, w.finish()
}

// steps makes the steps and turns of the events before seq, by messages if it is known how.
func (r *recording) steps(reader *events, seq uint64, s *script) (*scriptWriter, error) {
	w := &scriptWriter{script: s, spool: r.compiler.spool, allowed: r.compiler.options.Classes, classes: map[Class]uint64{}}
	spoken, guessed, err := r.detect(reader)
	if err != nil {
		return nil, err
	}
	s.guessed = guessed
	if w.protocol = spoken.Name(); w.protocol != s.Protocol {
		err := compileFramed(reader, seq, spoken.NewFramer(), w)
		var wrong *framerError
		if !errors.As(err, &wrong) {
			s.Protocol = spoken.Name()
			return w, err
		}
		w = w.again()
		s.Fallback = spoken.Name() + ": " + wrong.Error()
	}
	return w, compileRaw(reader, seq, w)
}

// detect returns the protocol that the whole of a connection's bytes is taken for.
func (r *recording) detect(reader *events) (spoken protocol.Protocol, guessed guess.Protocol, err error) {
	var first [2][]byte
	for d := range first {
		first[d] = make([]byte, min(r.streams[d].Length, 512))
		if len(first[d]) == 0 {
			continue
		}
		if _, err := reader.streams[d].ReadAt(first[d], 0); err != nil {
			return nil, guess.Unknown, err
		}
	}
	g, _ := guess.Of(first[0], first[1])
	if r.compiler.options.Detector == nil {
		return protocol.Raw, g.Protocol, nil
	}
	spoken, _ = r.compiler.options.Detector.Detect(r.connection.Port, first, true)
	return spoken, g.Protocol, nil
}

func (r *recording) info(v *capture.Verdict) Info {
	info := Info{ID: r.connection.ID, Port: r.connection.Port, Start: r.connection.Time, Protocol: "raw"}
	if open := r.connection.Open; open != nil {
		info.Source, info.Destination, info.SNI = open.Source, open.Destination, open.SNI
		if open.Started > 0 && open.Started < info.Start {
			info.Start = open.Started
		}
	}
	info.End = max(info.Start, r.last.time) // clocks are set back at times
	if v.Close != nil {
		info.Closed = v.Close.By
	}
	return info
}
