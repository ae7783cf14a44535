package dumplog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"l4dump/internal/capture"
)

// Form is another form that a recording may have in an input: not log text.
type Form struct {
	Name   string   // with its article, as "a packet capture"
	Magics []string // the first bytes that an input in this form may have, after decompression
	// Begins reports whether an input begins in this form, if it has no magic; nil means that none does. more says that
	// further bytes may tell, and is false once there are formHeadBytes.
	Begins func(head []byte) (is, more bool)
	// Read gives the events in r to the assembler, as capture.Source does; name stands for the input in places. It
	// returns the errors of r, which are not its own, and whether there was an event.
	Read func(ctx context.Context, r io.Reader, name string, a *capture.Assembler) (found bool, err error)
}

// formHeadBytes tell each form.
const formHeadBytes = 4 << 10

// formOf returns the form of an input that begins with head, or nil. more says that further bytes may tell.
func (s *Source) formOf(head []byte) (form *Form, more bool) {
	for i := range s.options.Forms {
		for _, magic := range s.options.Forms[i].Magics {
			if bytes.HasPrefix(head, []byte(magic)) {
				return &s.options.Forms[i], false
			}
			more = more || strings.HasPrefix(magic, string(head))
		}
		if begins := s.options.Forms[i].Begins; begins != nil {
			is, undecided := begins(head)
			if is {
				return &s.options.Forms[i], false
			}
			more = more || undecided
		}
	}
	return nil, more
}

// begins returns an input's first block, with as many after it as it takes to tell its form.
func (s *Source) begins(ctx context.Context, blocks *blocks) (block, *Form, error) {
	b, err := s.next(ctx, blocks)
	if err != nil {
		return block{}, nil, err
	}
	form, more := s.formOf(b.bytes)
	for more && b.err == nil {
		var n block
		if n, err = s.next(ctx, blocks); err != nil {
			return block{}, nil, err
		}
		b = block{bytes: append(b.bytes, n.bytes...), err: n.err}
		blocks.release(n)
		form, more = s.formOf(b.bytes)
	}
	return b, form, nil
}

// read reads an input in another form, of which b has come.
func (s *Source) read(ctx context.Context, form *Form, b block, blocks *blocks, name string) error {
	if err := s.scanner.Finish(); err != nil {
		return err
	}
	s.form = form
	found, err := form.Read(ctx, &blockReader{ctx: ctx, s: s, blocks: blocks, block: b}, name, s.assembler)
	s.found = s.found || found
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		s.corruptAt(corrupt)
		return nil
	}
	return err
}

// blockReader reads what comes in blocks. Before it waits, the assembler flushes.
type blockReader struct {
	ctx    context.Context // ends a Read that waits
	s      *Source
	blocks *blocks
	block  block
	read   int // bytes of block
}

// Read implements io.Reader.
func (r *blockReader) Read(b []byte) (int, error) {
	for r.read == len(r.block.bytes) {
		if r.block.err != nil {
			return 0, r.block.err
		}
		r.blocks.release(r.block)
		var err error
		if r.block, err = r.s.next(r.ctx, r.blocks); err != nil {
			return 0, err
		}
		r.read = 0
	}
	n := copy(b, r.block.bytes[r.read:])
	r.read += n
	return n, nil
}
