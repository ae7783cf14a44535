package dumplog

import "l4dump/internal/capture"

// Decode gives what stands in the next block of an input to a.
func (s *Source) Decode(a *capture.Assembler, block []byte) error {
	s.assembler = a
	return s.decode(block)
}
