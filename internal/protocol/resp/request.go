package resp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"l4dump/internal/protocol"
)

// requestReader reads commands: arrays of strings, and lines.
type requestReader struct {
	open    bool // a command has begun and not ended
	call    call
	left    int64 // bytes to come of an argument
	inArg   bool  // the line with its length was read
	scanned int
	classes protocol.Interner
	name    [2*maxName + 1]byte
}

// The limits of a command. Redis's own are 1048576 arguments of 512 MiB.
const (
	maxArgs = 1 << 20
	maxName = 64 // bytes of a command's name, and of a second word
)

// read takes what buf has of a command and returns its length, and whether the command ends there. It takes nothing
// before the name is there.
func (r *requestReader) read(buf []byte) (n int, done bool, err error) {
	if !r.open {
		if len(buf) == 0 {
			return 0, false, nil
		}
		if buf[0] != '*' {
			return r.line(buf)
		}
		if n, err = r.begin(buf); n == 0 || err != nil {
			return 0, false, err
		}
		r.open = true
	}
	size, err := r.arguments(buf[n:])
	n += size
	if err == nil && r.call.index == r.call.args && !r.inArg {
		r.open = false
		return n, true, nil
	}
	return n, false, err
}

// begin reads an array up to the name of the command.
func (r *requestReader) begin(buf []byte) (n int, err error) {
	line, n, err := cutLine(buf, &r.scanned)
	if n == 0 || err != nil {
		return 0, err
	}
	r.call = call{}
	count, ok := parseCount(line[1:], maxArgs)
	switch {
	case string(line) == "*-1", ok && count == 0: // Redis passes over these
		r.call.none = true
		return n, nil
	case !ok:
		return 0, fmt.Errorf("the number of arguments is none, or over %d", maxArgs)
	}
	first, size, err := word(buf[n:])
	if size == 0 || err != nil {
		return 0, err
	}
	n += size
	c := call{command: commands[string(r.setName(first))], args: count - 1}
	name := r.name[:len(first)]
	if c.container && c.args > 0 {
		second, size, err := word(buf[n:])
		if size == 0 || err != nil {
			return 0, err
		}
		n += size
		c.args--
		name = r.addName(len(first), second)
		login := c.login
		c.command = commands[string(name)]
		c.login = c.login || login
	}
	r.named(c, name)
	return n, nil
}

// setName sets the first word of the name, in capitals.
func (r *requestReader) setName(word []byte) []byte { return upper(r.name[:copy(r.name[:], word)]) }

// addName sets the second word of the name after n bytes, and returns the whole.
func (r *requestReader) addName(n int, word []byte) []byte {
	r.name[n] = ' '
	n++
	return upper(r.name[:n+copy(r.name[n:], word)])
}

func (r *requestReader) named(c call, name []byte) {
	c.class = r.classes.Intern(name)
	c.family = families[c.class]
	r.call = c
}

// word reads a string that is part of a name, and returns its length with what is around it; 0 if it is not all there.
func word(buf []byte) (b []byte, size int, err error) {
	scanned := 0
	line, size, err := cutLine(buf, &scanned)
	switch {
	case err != nil:
		return nil, 0, err
	case size == 0 && len(buf) > maxName:
		return nil, 0, errLine
	case size == 0:
		return nil, 0, nil
	case line[0] != '$':
		return nil, 0, errArgument
	}
	n, ok := parseCount(line[1:], maxName)
	if !ok {
		return nil, 0, fmt.Errorf("the name of the command is none, or longer than %d bytes", maxName)
	}
	end := size + int(n)
	switch {
	case len(buf) < end+2:
		return nil, 0, nil
	case buf[end] != '\r' || buf[end+1] != '\n':
		return nil, 0, errLong
	}
	return buf[size:end], end + 2, nil
}

var (
	errArgument = errors.New("an argument is no string")
	errLong     = errors.New("an argument is longer than it says")
)

// arguments takes what buf has of the arguments after the name.
func (r *requestReader) arguments(buf []byte) (n int, err error) {
	for r.inArg || r.call.index < r.call.args {
		rest := buf[n:]
		if !r.inArg {
			line, size, err := cutLine(rest, &r.scanned)
			if size == 0 || err != nil {
				return n, err
			}
			length, ok := parseCount(line[1:], maxBulk)
			switch {
			case line[0] != '$':
				return n, errArgument
			case !ok:
				return n, errLength
			}
			n += size
			r.inArg, r.left = true, length
			continue
		}
		if r.left > 0 {
			take := int(min(r.left, int64(len(rest))))
			r.call.collect(rest[:take])
			r.left -= int64(take)
			n += take
			if r.left > 0 {
				return n, nil
			}
			rest = buf[n:]
		}
		if len(rest) < 2 {
			return n, nil
		}
		if rest[0] != '\r' || rest[1] != '\n' {
			return n, errLong
		}
		n += 2
		r.call.take()
		r.inArg = false
	}
	return n, nil
}

// line reads an inline command, which ends with LF and is of words with spaces between.
func (r *requestReader) line(buf []byte) (n int, done bool, err error) {
	i := bytes.IndexByte(buf[r.scanned:], '\n')
	if i < 0 {
		if r.scanned = len(buf); len(buf) > maxLine {
			return 0, false, errLine
		}
		return 0, false, nil
	}
	n = r.scanned + i + 1
	r.scanned = 0
	if n > maxLine {
		return 0, false, errLine
	}
	r.call = call{}
	words, err := splitLine(buf[:n])
	switch {
	case err != nil:
		return 0, false, err
	case len(words) == 0:
		r.call.none = true
		return n, true, nil
	case len(words[0]) > maxName:
		return 0, false, fmt.Errorf("the name of the command is longer than %d bytes", maxName)
	}
	name := r.setName(words[0])
	c := call{command: commands[string(name)]}
	words = words[1:]
	if c.container && len(words) > 0 {
		name = r.addName(len(name), words[0][:min(len(words[0]), maxName)])
		c.command = commands[string(name)]
		words = words[1:]
	}
	c.args = int64(len(words))
	r.named(c, name)
	for _, word := range words {
		r.call.collect(word)
		r.call.take()
	}
	return n, true, nil
}

// splitLine returns the words of an inline command. Quotes hold spaces; what stands in them is left as it is.
func splitLine(line []byte) (words [][]byte, err error) {
	for {
		line = bytes.TrimLeft(line, blanks)
		if len(line) == 0 {
			return words, nil
		}
		n, quote := 0, byte(0)
		for n < len(line) && (quote != 0 || strings.IndexByte(blanks, line[n]) < 0) {
			switch c := line[n]; {
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote == c:
				quote = 0
			case quote == '"' && c == '\\':
				n++
			}
			n++
		}
		if quote != 0 {
			return nil, errors.New("a quote does not end")
		}
		words = append(words, bytes.Trim(line[:n], `"'`))
		line = line[n:]
	}
}

const blanks = " \t\r\n\v\f\x00"
