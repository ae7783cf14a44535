package capture

import "bytes"

// lines cuts blocks of text into lines. A line that lies within one block is not copied.
type lines struct {
	max      int    // bytes of a line that are still taken
	carry    []byte // the line that the last block broke off in
	skipping bool   // that line is too long: the rest of it is passed over
	number   int64  // of the line that is being read, from 1; 0 before the first

	line func(line []byte) error // line is valid until it returns
	long func()                  // the line that is being read is too long
}

var newline = []byte{'\n'}

// reset begins a new input.
func (l *lines) reset() {
	l.carry, l.skipping, l.number = l.carry[:0], false, 0
}

// write takes the next block of the input.
func (l *lines) write(block []byte) error {
	for len(block) > 0 {
		if len(l.carry) == 0 && !l.skipping {
			l.number++
		}
		part, rest, ended := bytes.Cut(block, newline)
		block = rest
		if !l.skipping && len(l.carry)+len(part) > l.max {
			l.long()
			l.carry, l.skipping = l.carry[:0], true
		}
		switch {
		case l.skipping:
			l.skipping = !ended
		case !ended:
			l.carry = append(l.carry, part...)
		default:
			if len(l.carry) > 0 {
				part = append(l.carry, part...)
				l.carry = part[:0]
			}
			if err := l.line(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// end takes a last line that no line break ends.
func (l *lines) end() error {
	if len(l.carry) == 0 {
		return nil
	}
	part := l.carry
	l.carry = l.carry[:0]
	return l.line(part)
}
