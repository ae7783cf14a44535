// Package chaos is a TCP proxy that alters what passes, at a place that is known: tests tell with it whether a
// difference is found, and where. It is not part of the command.
package chaos

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Kind is a way to alter a stream.
type Kind uint8

// The ways to alter a stream. All but Resegment happen at Alteration.Offset.
const (
	None      Kind = iota
	Flip           // inverts a bit of each of Length bytes
	Drop           // leaves Length bytes out
	Duplicate      // sends Length bytes twice
	Swap           // exchanges Length bytes with the Length bytes after them, if both come
	Delay          // waits for Wait before the byte
	Truncate       // ends the stream with a FIN before the byte, and discards the rest
	Reset          // resets both connections before the byte
	Resegment      // writes pieces of 1 to Length bytes: the stream is the same
)

var kindNames = [...]string{"none", "flip", "drop", "duplicate", "swap", "delay", "truncate", "reset", "resegment"}

// String returns the kind's name.
func (k Kind) String() string { return kindNames[k] }

// Alteration is what is done to one direction of one connection.
type Alteration struct {
	Kind   Kind
	Offset int64         // in the stream, in bytes
	Length int           // in bytes; at least 1 where the kind says so
	Wait   time.Duration // of Delay
	Seed   uint64        // of Resegment
}

// String tells the alteration.
func (a Alteration) String() string {
	return fmt.Sprintf("%s of %d bytes at %d", a.Kind, a.Length, a.Offset)
}

// endError is what an altered stream ends with.
type endError string

func (e endError) Error() string { return string(e) }

const (
	errTruncated = endError("truncated")
	errReset     = endError("reset")
)

// alter is a writer that passes on a stream altered.
type alter struct {
	Alteration
	to     io.Writer
	random *rand.Rand
	wait   func(time.Duration)
	at     int64  // of the next byte to come
	held   []byte // of Duplicate and Swap: what came of the altered bytes so far
}

func newAlter(to io.Writer, a Alteration, wait func(time.Duration)) *alter {
	a.Length = max(a.Length, 1)
	random := rand.New(rand.NewPCG(a.Seed, 0)) //nolint:gosec // drawn again from the same seed
	return &alter{Alteration: a, to: to, wait: wait, random: random}
}

// Write implements io.Writer.
func (a *alter) Write(b []byte) (int, error) {
	n := len(b)
	at := a.at
	a.at += int64(n)
	if a.Kind == Resegment {
		return n, a.pieces(b)
	}
	// The stream is before, the altered span, and after; this write may have some of each.
	before := clamp(a.Offset-at, n)
	after := clamp(a.Offset+a.span()-at, n)
	if err := a.pass(b[:before]); err != nil {
		return 0, err
	}
	reached := at+int64(n) > a.Offset && at+int64(before) == a.Offset
	if err := a.inside(b[before:after], reached); err != nil {
		return 0, err
	}
	return n, a.pass(b[after:])
}

// span is how many bytes of the stream are altered.
func (a *alter) span() int64 {
	switch a.Kind {
	case Flip, Drop, Duplicate:
		return int64(a.Length)
	case Swap:
		return 2 * int64(a.Length)
	default:
		return 0
	}
}

// inside takes the next of the altered bytes. reached says that the byte at Offset is in this write.
func (a *alter) inside(b []byte, reached bool) error {
	switch a.Kind {
	case Flip:
		flipped := bytes.Clone(b)
		for i := range flipped {
			flipped[i] ^= 1
		}
		return a.pass(flipped)
	case Duplicate:
		a.held = append(a.held, b...)
		if err := a.pass(b); err != nil || len(a.held) < a.Length || len(b) == 0 {
			return err
		}
		return a.pass(a.held)
	case Swap:
		if len(b) == 0 {
			return nil
		}
		a.held = append(a.held, b...)
		if len(a.held) < 2*a.Length {
			return nil
		}
		return a.pass(append(bytes.Clone(a.held[a.Length:]), a.held[:a.Length]...))
	case Delay:
		if reached {
			a.wait(a.Wait)
		}
	case Truncate:
		if reached {
			return errTruncated
		}
	case Reset:
		if reached {
			return errReset
		}
	}
	return nil
}

// close passes on what was held back for bytes that did not come.
func (a *alter) close() error {
	if a.Kind == Swap && len(a.held) < 2*a.Length {
		return a.pass(a.held)
	}
	return nil
}

func (a *alter) pass(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := a.to.Write(b)
	return err
}

func (a *alter) pieces(b []byte) error {
	for len(b) > 0 {
		n := min(1+a.random.IntN(a.Length), len(b))
		if err := a.pass(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// clamp returns n as an index of a slice of the given length.
func clamp(n int64, length int) int { return int(min(max(n, 0), int64(length))) }
