package dumplog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"l4dump/internal/capture"
	"l4dump/record"
)

// Options are how a Source reads. The zero value reads whole files.
type Options struct {
	// Other gets each line that holds no record, unchanged and with a line break; nil means that none does. Of a line
	// that is longer than MaxTextBytes, it gets the beginning.
	Other io.Writer

	// Layotto gets each line in Layotto's format that the assembler's filter selects; nil means that none does. Such a
	// line names no connection. payload is valid until Layotto returns.
	Layotto func(window record.UUID, port uint16, payload []byte, at capture.Place) error

	// Forms are the other forms that an input may have instead of log text.
	Forms []Form

	Now func() time.Time // nil means time.Now
}

// Source is a dump log as a capture.Source: the records in the text of one or more inputs, read one after another as
// one stream. A line that breaks off in one input continues in the next only if their names say that a log was rotated:
// both the same, or "x.log.1" and "x.log". It is not safe for concurrent use.
type Source struct {
	options   Options
	inputs    []Input
	assembler *capture.Assembler
	scanner   *Scanner

	now     time.Time // when the block came that is being decoded
	flushAt time.Time // no earlier
	event   capture.Event
	other   []byte // a line without a record
	layotto uint64 // lines in Layotto's format
	found   bool   // a whole record or a line in Layotto's format
	damaged bool   // what was a record
	corrupt bool   // an input could not be read to its end
	form    *Form  // of an input that was no log text; nil: there was none
	look    Look
}

var _ capture.Source = (*Source)(nil)

// NewSource returns a Source of inputs.
func NewSource(options Options, inputs ...Input) *Source {
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Source{options: options, inputs: inputs}
	s.scanner = NewScanner((*handler)(s))
	return s
}

// Read implements capture.Source. What is compressed is recognized by its content; if it cannot be read to its end, that
// is a fault of the input and no error. While the input has nothing for now, Read flushes, after 50 ms at the latest,
// and declares lost what connections have waited for too long. When ctx is canceled, what was read until then is given to a before Read
// returns.
func (s *Source) Read(ctx context.Context, a *capture.Assembler) error {
	s.assembler = a
	err := s.readInputs(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if err := s.scanner.Finish(); err != nil {
		return err
	}
	return err
}

func (s *Source) readInputs(ctx context.Context) error {
	for _, input := range s.inputs {
		if err := input.read(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// Found reports whether there was anything whole that l4dump writes, whether or not the filter selects it.
func (s *Source) Found() bool { return s.found }

// Corrupt reports whether an input could not be read to its end.
func (s *Source) Corrupt() bool { return s.corrupt }

// Hint says what an input in which nothing was found looks like.
func (s *Source) Hint() string {
	if s.damaged {
		return "each one in the input is damaged"
	}
	if s.form != nil {
		return "the input is " + s.form.Name + " that holds no record"
	}
	return s.look.Hint()
}

// LayottoLines returns how many lines in Layotto's format were selected so far.
func (s *Source) LayottoLines() uint64 { return s.layotto }

// stream reads r, which name stands for in places, to its end.
func (s *Source) stream(ctx context.Context, r io.Reader, name string) error {
	if err := s.scanner.Begin(name); err != nil {
		return err
	}
	blocks := readBlocks(NewReader(r))
	defer blocks.stop()
	b, form, err := s.begins(ctx, blocks)
	if err != nil {
		return err
	}
	if form != nil {
		return s.read(ctx, form, b, blocks, name)
	}
	for {
		if err := s.decode(b.bytes); err != nil {
			return err
		}
		var corrupt *CorruptError
		switch {
		case errors.Is(b.err, io.EOF):
			return s.scanner.End()
		case errors.As(b.err, &corrupt):
			if err := s.scanner.End(); err != nil {
				return err
			}
			s.corruptAt(corrupt)
			return nil
		case b.err != nil:
			return fmt.Errorf("read %s: %w", name, b.err)
		}
		blocks.release(b)
		if b, err = s.next(ctx, blocks); err != nil {
			return err
		}
	}
}

// file reads a file that can be read anywhere. One that stands newest first is read from its end, so that nothing waits
// for what stands before it; if it is compressed, it is unpacked to a file of its own first. progress, if it is not nil,
// gets what is read.
func (s *Source) file(ctx context.Context, file io.ReaderAt, size int64, name string, progress io.Writer) error {
	whole := func() io.Reader { return io.NewSectionReader(file, 0, size) }
	newestFirst, err := s.isNewestFirst(ctx, whole)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if !newestFirst {
		r := whole()
		if progress != nil {
			r = io.TeeReader(r, progress)
		}
		return s.stream(ctx, r, name)
	}
	if err := s.scanner.Begin(name); err != nil {
		return err
	}
	s.now = s.options.Now()
	var corrupt *CorruptError
	if r := NewReader(whole()); r.Compressed() {
		spilled, length, err := Spill(ctx, r)
		if spilled != nil {
			defer spilled.Close() //nolint:errcheck // it is gone
		}
		if err != nil && !errors.As(err, &corrupt) {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
		file, size = spilled, length
	}
	if err := CopyBackward(ctx, s.scanner, file, size, name); err != nil {
		return err
	}
	if corrupt != nil {
		s.corruptAt(corrupt)
	}
	return nil
}

// isNewestFirst reports whether a file is log text that stands newest first.
func (s *Source) isNewestFirst(ctx context.Context, whole func() io.Reader) (bool, error) {
	head, _ := io.ReadAll(io.LimitReader(NewReader(whole()), formHeadBytes)) // what cannot be read is found again
	if form, _ := s.formOf(head); form != nil {
		return false, nil
	}
	return IsNewestFirst(ctx, whole())
}

func (s *Source) corruptAt(err error) {
	s.corrupt = true
	s.assembler.InputFault(Fault{Kind: Unreadable, Place: s.scanner.At(), Err: err})
}

// flushPause is how long what was read may wait for more before it is flushed, or as long as that took the last time. An
// input that comes about as fast as it is decoded would else be flushed for each block.
const flushPause = 50 * time.Millisecond

// next waits for a block. If none comes for a while, it flushes.
func (s *Source) next(ctx context.Context, blocks *blocks) (block, error) {
	select {
	case <-ctx.Done():
		return block{}, ctx.Err()
	case b := <-blocks.full:
		return b, nil
	default:
	}
	for dirty := true; ; {
		var flush, expired <-chan time.Time
		now := s.options.Now()
		if pause := s.flushAt.Sub(now); dirty && pause > 0 {
			flush = time.After(pause)
		} else if dirty {
			if err := s.assembler.Flush(); err != nil {
				return block{}, err
			}
			done := s.options.Now()
			s.flushAt, dirty = done.Add(max(flushPause, done.Sub(now))), false
		}
		if at, ok := s.assembler.Expires(); ok {
			expired = time.After(at.Sub(now))
		}
		select {
		case <-ctx.Done():
			return block{}, ctx.Err()
		case b := <-blocks.full:
			return b, nil
		case <-flush:
			s.flushAt = time.Time{}
		case <-expired:
			if err := s.assembler.Expire(s.options.Now()); err != nil {
				return block{}, err
			}
			dirty = true
		}
	}
}

func (s *Source) decode(block []byte) error {
	s.now = s.options.Now()
	if err := s.scanner.Write(block); err != nil {
		return err
	}
	return s.assembler.Expire(s.options.Now())
}

// handler is a Source as a Handler.
type handler Source

// Record implements Handler.
func (h *handler) Record(r *record.Record, text []byte, at capture.Place) error {
	h.found = true
	h.event = capture.EventOf(r)
	return h.assembler.Add(&h.event, fingerprintOf(text), at, h.now)
}

// fingerprintOf takes the checksum that a record ends with.
func fingerprintOf(text []byte) capture.Fingerprint {
	return capture.Fingerprint{Sum: binary.LittleEndian.Uint64(text[len(text)-8:]), Length: len(text)}
}

// Layotto implements Handler.
func (h *handler) Layotto(l *record.Layotto, at capture.Place) error {
	h.found = true
	if !h.assembler.Selects(&capture.Header{Window: l.Window, Port: l.Port}) {
		return nil
	}
	h.layotto++
	if h.options.Layotto == nil {
		return nil
	}
	return h.options.Layotto(l.Window, l.Port, l.Payload, at)
}

// Text implements Handler.
func (h *handler) Text(line []byte, _ capture.Place) error {
	if !h.found {
		h.look.Line(line)
	}
	if h.options.Other == nil {
		return nil
	}
	h.other = append(append(h.other[:0], line...), '\n')
	if _, err := h.options.Other.Write(h.other); err != nil {
		return fmt.Errorf("write a line without a record: %w", err)
	}
	return nil
}

// Fault implements Handler.
func (h *handler) Fault(f Fault) {
	h.damaged = true
	h.assembler.InputFault(f)
}
