package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"l4dump/internal/capture/dumplog"
	"l4dump/record"
)

// LogOptions are how a Decoder works. The zero value decodes whole files.
type LogOptions struct {
	Options

	// Other gets each line that holds no record, unchanged and with a line break; nil means that none does. Of a line
	// that is longer than dumplog.MaxTextBytes, it gets the beginning.
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
	scanner   *dumplog.Scanner

	name    string       // of the input
	input   fmt.Stringer // the same, for places
	now     time.Time    // when the block came that is being decoded
	event   Event
	other   []byte // a line without a record
	layotto uint64 // lines in Layotto's format
	found   bool   // a whole record or a line in Layotto's format
	damaged bool   // what was a record
	corrupt bool   // an input could not be read to its end
	look    dumplog.Look
}

// NewDecoder returns a Decoder that gives what it finds to sink.
func NewDecoder(sink Sink, options LogOptions) *Decoder {
	if options.Now == nil {
		options.Now = time.Now
	}
	d := &Decoder{options: options, assembler: NewAssembler(sink, options.Options)}
	d.scanner = dumplog.NewScanner((*found)(d))
	return d
}

// Run decodes r, which name stands for in places, until it ends. What is compressed is recognized by its content; if it
// cannot be read to its end, that is a fault, and Run returns nil. Several inputs are decoded as one stream by several
// calls, and Finish. A line that breaks off in one continues in the next only if their names say that a log was
// rotated: both the same, or "x.log.1" and "x.log".
//
// A Read that blocks when ctx is canceled continues in a goroutine of its own: the caller makes it return, as by closing
// the file.
func (d *Decoder) Run(ctx context.Context, r io.Reader, name string) error {
	if err := d.begin(name); err != nil {
		return err
	}
	blocks := readBlocks(dumplog.NewReader(r))
	defer blocks.stop()
	for {
		b, err := d.next(ctx, blocks)
		if err != nil {
			return err
		}
		if err := d.decode(b.bytes); err != nil {
			return err
		}
		var corrupt *dumplog.CorruptError
		switch {
		case errors.Is(b.err, io.EOF):
			return d.scanner.End()
		case errors.As(b.err, &corrupt):
			if err := d.scanner.End(); err != nil {
				return err
			}
			d.corruptAt(corrupt)
			return nil
		case b.err != nil:
			return fmt.Errorf("read %s: %w", name, b.err)
		}
		blocks.release(b)
	}
}

// RunFile decodes a file that can be read anywhere, as Run does. One that stands newest first is read from its end, so
// that nothing waits for what stands before it; if it is compressed, it is unpacked to a file of its own first.
//
// progress, if it is not nil, gets what is read.
func (d *Decoder) RunFile(ctx context.Context, file io.ReaderAt, size int64, name string, progress io.Writer) error {
	whole := func() io.Reader { return io.NewSectionReader(file, 0, size) }
	newestFirst, err := dumplog.IsNewestFirst(ctx, whole())
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if !newestFirst {
		r := whole()
		if progress != nil {
			r = io.TeeReader(r, progress)
		}
		return d.Run(ctx, r, name)
	}
	if err := d.begin(name); err != nil {
		return err
	}
	d.now = d.options.Now()
	var corrupt *dumplog.CorruptError
	if r := dumplog.NewReader(whole()); r.Compressed() {
		spilled, length, err := dumplog.Spill(ctx, r)
		if spilled != nil {
			defer spilled.Close() //nolint:errcheck // it is gone
		}
		if err != nil && !errors.As(err, &corrupt) {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
		file, size = spilled, length
	}
	if err := dumplog.CopyBackward(ctx, d.scanner, file, size, name); err != nil {
		return err
	}
	if corrupt != nil {
		d.corruptAt(corrupt)
	}
	return nil
}

func (d *Decoder) begin(name string) error {
	d.name, d.input = name, Name(name)
	return d.scanner.Begin(name)
}

func (d *Decoder) corruptAt(err error) {
	d.corrupt = true
	d.assembler.InputFault(dumplog.Fault{Kind: dumplog.Unreadable, Place: d.scanner.At(), Err: err})
}

// Finish ends the input: what is still held is given on, what is still missing is lost.
func (d *Decoder) Finish() error {
	if err := d.scanner.Finish(); err != nil {
		return err
	}
	return d.assembler.Finish()
}

// Found reports whether there was anything whole that l4dump writes, whether or not the filter selects it.
func (d *Decoder) Found() bool { return d.found }

// Corrupt reports whether an input could not be read to its end.
func (d *Decoder) Corrupt() bool { return d.corrupt }

// Hint says what an input in which nothing was found looks like.
func (d *Decoder) Hint() string {
	if d.damaged {
		return "each one in the input is damaged"
	}
	return d.look.Hint()
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
	if err := d.scanner.Write(block); err != nil {
		return err
	}
	return d.assembler.Expire(d.options.Now())
}

// place returns at, whose name may be that of an input before: a part of a line that another one continues.
func (d *Decoder) place(at dumplog.Place) Place {
	input := d.input
	if at.Name != d.name {
		input = Name(at.Name)
	}
	return Place{Input: input, Number: at.Line, Column: at.Column}
}

// found is a Decoder as a dumplog.Handler.
type found Decoder

// Record implements dumplog.Handler.
func (f *found) Record(r *record.Record, text []byte, at dumplog.Place) error {
	d := (*Decoder)(f)
	d.found = true
	d.event = EventOf(r)
	return d.assembler.Add(&d.event, fingerprintOf(text), d.place(at), d.now)
}

// fingerprintOf takes the checksum that a record ends with.
func fingerprintOf(text []byte) Fingerprint {
	return Fingerprint{Sum: binary.LittleEndian.Uint64(text[len(text)-8:]), Length: len(text)}
}

// Layotto implements dumplog.Handler.
func (f *found) Layotto(l *record.Layotto, at dumplog.Place) error {
	d := (*Decoder)(f)
	d.found = true
	if !d.assembler.Selects(&Header{Window: l.Window, Port: l.Port}) {
		return nil
	}
	d.layotto++
	if d.options.Layotto == nil {
		return nil
	}
	return d.options.Layotto(l.Window, l.Port, l.Payload, d.place(at))
}

// Text implements dumplog.Handler.
func (f *found) Text(line []byte, _ dumplog.Place) error {
	d := (*Decoder)(f)
	if !d.found {
		d.look.Line(line)
	}
	if d.options.Other == nil {
		return nil
	}
	d.other = append(append(d.other[:0], line...), '\n')
	if _, err := d.options.Other.Write(d.other); err != nil {
		return fmt.Errorf("write a line without a record: %w", err)
	}
	return nil
}

// Fault implements dumplog.Handler.
func (f *found) Fault(fault dumplog.Fault) {
	d := (*Decoder)(f)
	d.damaged = true
	d.assembler.InputFault(fault)
}
