package pcapng

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"l4dump/internal/capture"
	"l4dump/record"
)

// Source is a capture as a capture.Source.
type Source struct {
	Name   string    // stands for it in places
	Reader io.Reader // begins with one of Magics
}

// Read implements capture.Source. A capture that cannot be read to its end is a fault of the input.
func (s Source) Read(ctx context.Context, a *capture.Assembler) error {
	_, err := Read(ctx, s.Reader, s.Name, a)
	return err
}

// Read gives the events of the capture in r, which name stands for, to a, and returns the errors of r, and whether there
// was an event.
func Read(ctx context.Context, r io.Reader, name string, a *capture.Assembler) (found bool, err error) {
	s := &reader{a: a, input: capture.Name(name), decoder: newDecoder(), partial: map[endpoints]*partial{}}
	s.tracker = newTracker(s)
	err = s.read(ctx, r)
	return s.found, err
}

// reader reads one capture.
type reader struct {
	a       *capture.Assembler
	input   capture.Name
	decoder *decoder
	packet  packet
	segment captured
	event   capture.Event
	found   bool

	tracker *tracker // of connections that l4dump did not write
	left    [isDamaged + 1]leftOut

	partial      map[endpoints]*partial // by sender and receiver
	partialBytes int
}

// partial is a data record whose payload takes more than one packet.
type partial struct {
	text    []byte
	payload []byte
	number  int64 // of the packet that it begins
}

const (
	// maxPartialBytes of payload wait for more at a time.
	maxPartialBytes = 64 << 20
	// checkPackets is after how many packets the context is looked at.
	checkPackets = 1024
)

// The faults of packets.
var (
	errFar     = errors.New("a segment's number is far from those of its connection: left out")
	errPartial = errors.New("a record's payload is not whole")
	errStray   = errors.New("payload without a record")
	errDamaged = errors.New("a packet with a record is damaged")
	errTooMuch = errors.New("too many records wait for their payload")
)

func (s *reader) at(number int64) capture.Place { return capture.Place{Input: s.input, Number: number} }

func (s *reader) fault(number int64, err error) {
	s.a.InputFault(Fault{Place: s.at(number), Err: err})
}

func (s *reader) read(ctx context.Context, r io.Reader) error {
	packets, err := newPacketReader(r)
	for n := 1; err == nil; n++ {
		if n%checkPackets == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err = packets.next(&s.packet); err == nil {
			if err := s.take(); err != nil {
				return err
			}
		}
	}
	if err := s.tracker.finish(); err != nil {
		return err
	}
	for k, text := range leftOutTexts {
		if l := &s.left[k]; l.count > 0 {
			s.fault(l.first, fmt.Errorf("from this packet on, %d %s", l.count, text))
		}
	}
	for _, p := range s.partial {
		s.fault(p.number, errPartial)
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case isOwnError(err):
		s.fault(s.packet.number, fmt.Errorf("cannot be read further: %w", err))
		return nil
	}
	return err
}

func isOwnError(err error) bool {
	for _, own := range []error{errCut, errBlock, errByteOrder, errInterface, errLarge} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// take takes a packet. The error is the consumer's.
func (s *reader) take() error {
	kind := s.decoder.decode(&s.packet, &s.segment)
	if s.packet.own != nil {
		if kind != isTCP || s.segment.missing > 0 {
			s.fault(s.packet.number, errDamaged)
			return nil
		}
		return s.takeOwn()
	}
	switch kind {
	case isTCP:
		if s.tracker.vm == 0 {
			s.tracker.vm = vmOf(string(s.input), s.packet.time)
		}
		return s.tracker.take(&s.segment)
	case isFragment, isDamaged:
		l := &s.left[kind]
		if l.count++; l.count == 1 {
			l.first = s.packet.number
		}
	}
	return nil
}

// vmOf stands for an input in the identifiers of its connections.
func vmOf(name string, first int64) uint64 {
	return xxhash.Sum64String(name + "\x00" + strconv.FormatInt(first, 10))
}

// leftOut counts packets that are left out for one reason.
type leftOut struct {
	count int
	first int64 // the number of the first
}

var leftOutTexts = map[kind]string{
	isFragment: "are fragments of IP packets, which are not put together",
	isDamaged:  "are cut or damaged in their headers",
}

// takeOwn takes a packet that l4dump wrote.
func (s *reader) takeOwn() error {
	flow := endpoints{s.segment.from, s.segment.to}
	p := s.partial[flow]
	if string(s.packet.own) == ownFiller {
		switch {
		case len(s.segment.payload) == 0:
			return nil
		case p == nil:
			s.fault(s.packet.number, errStray)
			return nil
		}
		p.payload = append(p.payload, s.segment.payload...)
		s.partialBytes += len(s.segment.payload)
		return s.complete(flow, p)
	}
	if p != nil {
		s.drop(flow, p, errPartial)
	}
	return s.complete(flow, &partial{text: s.packet.own, payload: s.segment.payload, number: s.packet.number})
}

func (s *reader) drop(flow endpoints, p *partial, err error) {
	s.fault(p.number, err)
	s.partialBytes -= len(p.payload)
	delete(s.partial, flow)
}

// complete gives a record on if its payload is whole.
func (s *reader) complete(flow endpoints, p *partial) error {
	_, waited := s.partial[flow]
	d, err := capture.ParseDetached(p.text, p.payload)
	if errors.Is(err, record.ErrCut) && len(p.payload) > 0 {
		if !waited {
			p = &partial{text: append([]byte(nil), p.text...), payload: append([]byte(nil), p.payload...), number: p.number}
			s.partial[flow] = p
			s.partialBytes += len(p.payload)
		}
		if s.partialBytes > maxPartialBytes || len(s.partial) > maxPartialBytes>>16 {
			s.drop(flow, p, errTooMuch)
		}
		return nil
	}
	if waited {
		s.partialBytes -= len(p.payload)
		delete(s.partial, flow)
	}
	if err != nil {
		s.fault(p.number, err)
		return nil
	}
	s.found = true
	if d.Foreign {
		if err := s.a.Foreign(d.Conn); err != nil {
			return err
		}
	}
	s.event = d.Event
	return s.a.Add(&s.event, d.Print, s.at(p.number), time.Now())
}
