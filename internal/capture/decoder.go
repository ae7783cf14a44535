package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"l4dump/record"
)

// MaxLineBytes is the longest line that is looked at, after the parts of a container's log were joined.
const MaxLineBytes = 1 << 20

// LogOptions are how a Decoder works. The zero value decodes whole files.
type LogOptions struct {
	Options

	// Other gets each line that holds no record, unchanged and with a line break; nil means that none does.
	Other io.Writer

	// Layotto gets each line in Layotto's format, which names no connection; nil means that none does. payload is valid
	// until it returns.
	Layotto func(window record.UUID, port uint16, payload []byte, at Place) error

	Now func() time.Time // nil means time.Now
}

// Decoder finds the records in log text and gives them to an Assembler. It is not safe for concurrent use.
type Decoder struct {
	options   LogOptions
	assembler *Assembler
	lines     lines
	unwrapper unwrapper

	name    string       // of the input
	input   fmt.Stringer // the same, for places
	now     time.Time    // when the block came that is being decoded
	event   Event
	payload []byte // of event, or of a line in Layotto's format
	other   []byte // a line without a record
	layotto uint64 // lines in Layotto's format
}

// NewDecoder returns a Decoder that gives what it finds to sink.
func NewDecoder(sink Sink, options LogOptions) *Decoder {
	if options.Now == nil {
		options.Now = time.Now
	}
	d := &Decoder{options: options, assembler: NewAssembler(sink, options.Options)}
	d.lines = lines{max: MaxLineBytes, line: d.decodeLine, long: func() { d.longLine(d.place()) }}
	d.unwrapper = unwrapper{max: MaxLineBytes, long: d.longLine}
	return d
}

// place returns the line that is being decoded.
func (d *Decoder) place() Place { return Place{Input: d.input, Number: d.lines.number} }

// Run decodes r, which name stands for in places, until it ends. Several inputs are decoded as one stream by several
// calls, and Finish. A line that breaks off in one continues in the next only if their names say that a log was
// rotated: both the same, or "x.log.1" and "x.log".
//
// A Read that blocks when ctx is canceled continues in a goroutine of its own: the caller makes it return, as by closing
// the file.
func (d *Decoder) Run(ctx context.Context, r io.Reader, name string) error {
	if !continues(d.name, name) {
		d.unfinished()
	}
	d.name, d.input = name, Name(name)
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

// Finish ends the input: what is still held gets its turn, what is still missing is lost.
func (d *Decoder) Finish() error {
	d.unfinished()
	return d.assembler.Finish()
}

func (d *Decoder) unfinished() {
	d.unwrapper.unfinished(func(at Place) { d.assembler.InputFault(InputFault{Kind: FaultPartial, Place: at}) })
}

// Stats returns the numbers so far.
func (d *Decoder) Stats() Stats { return d.assembler.Stats() }

// LayottoLines returns how many lines in Layotto's format were selected so far.
func (d *Decoder) LayottoLines() uint64 { return d.layotto }

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
		if err := d.assembler.Flush(); err != nil {
			return block{}, err
		}
		var expired <-chan time.Time
		if at, ok := d.assembler.Expires(); ok {
			expired = time.After(at.Sub(d.options.Now()))
		}
		select {
		case <-ctx.Done():
			return block{}, ctx.Err()
		case b := <-blocks.full:
			return b, nil
		case <-expired:
			if err := d.assembler.Expire(d.options.Now()); err != nil {
				return block{}, err
			}
		}
	}
}

func (d *Decoder) decode(block []byte) error {
	d.now = d.options.Now()
	if err := d.lines.write(block); err != nil {
		return err
	}
	return d.assembler.Expire(d.options.Now())
}

func (d *Decoder) decodeLine(line []byte) error {
	t, whole := d.unwrapper.unwrap(line, d.place())
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
		var r record.Record
		if !damaged {
			r, n, err = record.Parse(t.bytes[start:], d.payload[:0])
		}
		if err != nil {
			d.damaged(&damages, err, t.place(start))
			from = record.AfterMark(t.bytes, start)
			continue
		}
		if r.Kind == record.KindData {
			d.payload = r.Payload
		}
		from = start + n
		d.event = EventOf(&r)
		if err := d.assembler.Add(&d.event, fingerprintOf(t.bytes[start:from]), t.place(start), d.now); err != nil {
			return err
		}
	}
	d.moreDamaged(&damages)
	if found {
		return nil
	}
	return d.decodeOther(t)
}

// fingerprintOf takes the checksum that a record ends with.
func fingerprintOf(text []byte) Fingerprint {
	return Fingerprint{Sum: binary.LittleEndian.Uint64(text[len(text)-8:]), Length: len(text)}
}

// decodeOther takes a line without a record.
func (d *Decoder) decodeOther(t text) error {
	if l, start, _ := record.ParseLayotto(t.bytes, d.payload); start >= 0 {
		d.payload = l.Payload
		if !d.assembler.Selects(&Header{Window: l.Window, Port: l.Port}) {
			return nil
		}
		d.layotto++
		if d.options.Layotto == nil {
			return nil
		}
		return d.options.Layotto(l.Window, l.Port, l.Payload, t.place(start))
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
		d.assembler.InputFault(InputFault{Kind: FaultDamaged, Place: at, Err: err})
	case line.count == maxLineDamages+1:
		line.more = at
	}
}

// moreDamaged reports how many damaged records of a line were not reported one by one.
func (d *Decoder) moreDamaged(line *damages) {
	if more := line.count - maxLineDamages; more > 0 {
		d.assembler.InputFault(InputFault{Kind: FaultMoreDamage, Place: line.more, Records: uint64(more)})
	}
}

func (d *Decoder) longLine(at Place) {
	d.assembler.InputFault(InputFault{Kind: FaultLongLine, Place: at})
}
