// Package capture turns logs into the connections that were recorded: text to lines, lines to records, records to
// connections in order. What is missing, double or damaged on the way becomes a Fault.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"l4dump/record"
)

// MaxLineBytes is the longest line that is looked at, after the parts of a container's log were joined.
const MaxLineBytes = 1 << 20

// Options are how a Decoder works. The zero value decodes whole files.
type Options struct {
	Filter Filter
	Limits Limits

	// LossTimeout says that the input is live, and how long a record may come after one that follows it before it
	// is declared lost; 0 means as long as the input lasts. Connections that a live input leaves open are no faults.
	LossTimeout time.Duration

	// Other gets each line that holds no record, unchanged and with a line break; nil means that none does.
	Other io.Writer

	Now func() time.Time // nil means time.Now
}

// Decoder finds the records in log text and hands them on in order. It is not safe for concurrent use.
type Decoder struct {
	handler   Handler
	options   Options
	assembler *Assembler
	lines     lines
	unwrapper unwrapper

	name    string    // of the input
	now     time.Time // when the block came that is being decoded
	record  record.Record
	payload []byte // of record, or of a line in Layotto's format
	other   []byte // a line without a record
}

// NewDecoder returns a Decoder that gives what it finds to handler.
func NewDecoder(handler Handler, options Options) *Decoder {
	if options.Now == nil {
		options.Now = time.Now
	}
	d := &Decoder{
		handler:   handler,
		options:   options,
		assembler: NewAssembler(handler, options.Filter, options.Limits),
	}
	d.lines = lines{max: MaxLineBytes, line: d.decodeLine, long: func() { d.longLine(Place{Name: d.name, Line: d.lines.number}) }}
	d.unwrapper = unwrapper{max: MaxLineBytes, long: d.longLine}
	return d
}

// Run decodes r, which name stands for in places, until it ends. Several inputs are decoded as one stream by several
// calls, and Finish. A line that breaks off in one goes on in the next only where their names say that a log was
// rotated: both the same, or "x.log.1" and "x.log".
//
// A Read that blocks when ctx is canceled goes on in a goroutine of its own: the caller makes it return, as by closing
// the file.
func (d *Decoder) Run(ctx context.Context, r io.Reader, name string) error {
	if !continues(d.name, name) {
		d.unfinished()
	}
	d.name = name
	d.lines.reset()
	blocks := readBlocks(r)
	defer blocks.stop()
	for {
		b, err := d.next(ctx, blocks)
		if err != nil {
			return err
		}
		if err := d.decode(b.bytes); err != nil {
			return err
		}
		switch {
		case errors.Is(b.err, io.EOF):
			return d.lines.end()
		case b.err != nil:
			return fmt.Errorf("read %s: %w", name, b.err)
		}
		blocks.release(b)
	}
}

// Finish ends the input: what is still held is handed on, what is still missing is lost.
func (d *Decoder) Finish() error {
	d.unfinished()
	if err := d.assembler.Finish(d.options.LossTimeout == 0); err != nil {
		return err
	}
	return d.handler.Flush()
}

func (d *Decoder) unfinished() {
	d.unwrapper.unfinished(func(at Place) { d.assembler.fault(Fault{Kind: FaultPartial, Place: at}) })
}

// Stats returns the numbers so far.
func (d *Decoder) Stats() Stats { return d.assembler.Stats() }

// next waits for a block. Before it waits, it flushes.
func (d *Decoder) next(ctx context.Context, blocks *blocks) (block, error) {
	for {
		select {
		case <-ctx.Done():
			return block{}, ctx.Err()
		case b := <-blocks.full:
			return b, nil
		default:
		}
		if err := d.handler.Flush(); err != nil {
			return block{}, err
		}
		var expired <-chan time.Time
		if since, waiting := d.assembler.WaitingSince(); waiting && d.options.LossTimeout > 0 {
			expired = time.After(since.Add(d.options.LossTimeout).Sub(d.options.Now()))
		}
		select {
		case <-ctx.Done():
			return block{}, ctx.Err()
		case b := <-blocks.full:
			return b, nil
		case <-expired:
			if err := d.expire(); err != nil {
				return block{}, err
			}
		}
	}
}

func (d *Decoder) expire() error {
	if d.options.LossTimeout == 0 {
		return nil
	}
	now := d.options.Now()
	return d.assembler.Expire(now.Add(-d.options.LossTimeout), now)
}

func (d *Decoder) decode(block []byte) error {
	d.now = d.options.Now()
	if err := d.lines.write(block); err != nil {
		return err
	}
	return d.expire()
}

func (d *Decoder) decodeLine(line []byte) error {
	t, whole := d.unwrapper.unwrap(line, Place{Name: d.name, Line: d.lines.number})
	if !whole {
		return nil
	}
	found := false
	var damages damages
	for from := 0; ; {
		start, damaged := record.Find(t.bytes, from)
		if start < 0 {
			break
		}
		found = true
		n, err := 0, ErrHead
		if !damaged {
			d.record, n, err = record.Parse(t.bytes[start:], d.payload[:0])
		}
		if err != nil {
			d.damaged(&damages, err, t.place(start))
			from = record.AfterMark(t.bytes, start)
			continue
		}
		if d.record.Kind == record.KindData {
			d.payload = d.record.Payload
		}
		from = start + n
		if err := d.assembler.Add(&d.record, t.bytes[start:from], t.place(start), d.now); err != nil {
			return err
		}
	}
	d.moreDamaged(&damages)
	if found {
		return nil
	}
	return d.decodeOther(t)
}

// decodeOther takes a line without a record.
func (d *Decoder) decodeOther(t text) error {
	if l, start := record.ParseLayotto(t.bytes, d.payload); start >= 0 {
		d.payload = l.Payload
		if !d.options.Filter.selects(&record.Header{Window: l.Window, Port: l.Port}) {
			return nil
		}
		d.assembler.stats.LayottoLines++
		return d.handler.Layotto(l.Window, l.Port, l.Payload, t.place(start))
	}
	if d.options.Other == nil {
		return nil
	}
	d.other = append(append(d.other[:0], t.bytes...), '\n')
	if _, err := d.options.Other.Write(d.other); err != nil {
		return fmt.Errorf("write a line without a record: %w", err)
	}
	return nil
}

// damages counts the damaged records of one line.
type damages struct {
	count int
	more  Place // of the first that is not reported by itself
}

// maxLineDamages is how many damaged records of one line are reported one by one.
const maxLineDamages = 8

func (d *Decoder) damaged(line *damages, err error, at Place) {
	line.count++
	switch {
	case line.count <= maxLineDamages:
		d.assembler.fault(Fault{Kind: FaultDamaged, Place: at, Err: err})
	case line.count == maxLineDamages+1:
		line.more = at
	}
}

// moreDamaged reports how many damaged records of a line were not reported one by one.
func (d *Decoder) moreDamaged(line *damages) {
	if more := line.count - maxLineDamages; more > 0 {
		d.assembler.fault(Fault{Kind: FaultMoreDamage, Place: line.more, Records: uint64(more)})
	}
}

func (d *Decoder) longLine(at Place) {
	d.assembler.fault(Fault{Kind: FaultLongLine, Place: at, Bytes: MaxLineBytes})
}
