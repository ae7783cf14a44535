package http1

import (
	"bytes"
	"errors"
	"fmt"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// The limits in bytes of what has to be read as a whole, and of how many requests wait for an answer.
const (
	maxHead      = 256 << 10 // the first line and the fields, or the trailers
	maxChunkLine = 4 << 10
	maxWaiting   = 8 << 10
)

// framer implements protocol.Framer.
type framer struct {
	sides   [2]side
	waiting []asked // requests without an answer, the oldest first
	classes protocol.Interner
	scratch [maxClass]byte
	raw     bool // since the request in waiting[0] was granted
	err     error
}

// asked is what the framing of an answer depends on.
type asked uint8

const (
	ordinary asked = iota
	headOnly
	connect
	upgrade
)

// side is a direction's place in its stream.
type side struct {
	state   state
	scanned int   // bytes of the unread rest that hold no end of what is looked for
	left    int64 // bytes to come of a body or a chunk
	taken   int   // bytes of trailers so far
	kind    protocol.Kind
}

type state uint8

const (
	inHead state = iota
	inBody       // of a known length
	inRest       // up to the end of the stream
	inChunkLine
	inChunk
	inChunkEnd
	inTrailers
)

// Next implements protocol.Framer.
func (f *framer) Next(d capture.Direction, buf []byte, ended bool) (protocol.Piece, error) {
	if f.err == nil && f.raw && len(buf) > 0 {
		f.err = fmt.Errorf("%w: it switched protocols", protocol.ErrRaw)
	}
	if f.err != nil {
		return protocol.Piece{}, f.err
	}
	p, err := f.next(d, buf, ended)
	if err == nil {
		return p, nil
	}
	f.err = fmt.Errorf("frame HTTP/1 %s: %w", streamOf[d], err)
	if p.Size > 0 {
		return p, nil // what is before the error, then the error
	}
	return protocol.Piece{}, f.err
}

var streamOf = [2]string{capture.Downstream: "request", capture.Upstream: "answer"}

func (f *framer) next(d capture.Direction, buf []byte, ended bool) (p protocol.Piece, err error) {
	s := &f.sides[d]
	if s.state == inHead {
		size, err := s.headSize(buf)
		if err != nil {
			return p, err
		}
		if size == 0 {
			if ended && len(buf) > 0 {
				return p, errCut
			}
			return p, nil
		}
		if d == capture.Downstream {
			p, err = f.request(buf[:size])
		} else {
			p, err = f.answer(buf[:size])
		}
		if err != nil {
			return p, err
		}
		p.First, p.Size, s.kind = true, size, p.Kind
	}
	n, done, err := s.body(buf[p.Size:], ended)
	p.Size += n
	if p.Size == 0 && !done {
		return protocol.Piece{}, err
	}
	if done {
		*s = side{kind: s.kind}
		p.Last = true
		if d == capture.Downstream {
			p.Answers = 1
		}
	}
	p.Kind = s.kind
	return p, err
}

var errCut = errors.New("the stream ends within a message")

// headSize returns the length of the head that buf begins with, the empty line included, and 0 if it is not all there.
func (s *side) headSize(buf []byte) (int, error) {
	start := 0
	if len(buf) > 0 && buf[0] == '\r' { // an empty line may stand before a request
		start = 2
	}
	for {
		i := bytes.IndexByte(buf[s.scanned:], '\n')
		if i < 0 {
			s.scanned = len(buf)
			break
		}
		end := s.scanned + i
		line := bytes.LastIndexByte(buf[:end], '\n') + 1
		if end == line || buf[end-1] != '\r' {
			return 0, errors.New("a line ends without CR")
		}
		s.scanned = end + 1
		if end == line+1 && end >= start {
			size := s.scanned
			s.scanned = 0
			if size > maxHead {
				return 0, errHead
			}
			return size, nil
		}
	}
	if len(buf) > maxHead {
		return 0, errHead
	}
	return 0, nil
}

var errHead = fmt.Errorf("the head is longer than %d bytes", maxHead)

// request reads the head of a request.
func (f *framer) request(b []byte) (p protocol.Piece, err error) {
	line, fields := cutLine(bytes.TrimPrefix(b, crlf))
	method, target, fault := requestLine(line)
	if fault != "" {
		return p, errors.New(fault)
	}
	h := head{old: line[len(line)-1] == '0'}
	if fault := h.fields(fields); fault != "" {
		return p, errors.New(fault)
	}
	s := &f.sides[capture.Downstream]
	switch {
	case h.chunked:
		s.state = inChunkLine
	case h.coded:
		return p, errors.New("Transfer-Encoding is not chunked")
	case h.length > 0:
		s.state, s.left = inBody, h.length
	}
	what := ordinary
	switch {
	case string(method) == "HEAD":
		what = headOnly
	case string(method) == "CONNECT":
		what = connect
	case h.upgrade:
		what = upgrade
	}
	if len(f.waiting) == maxWaiting {
		return p, fmt.Errorf("more than %d requests wait for an answer", maxWaiting)
	}
	f.waiting = append(f.waiting, what)
	return protocol.Piece{Kind: protocol.Request, Class: f.classes.Intern(appendClass(f.scratch[:0], method, target))}, nil
}

// answer reads the head of an answer.
func (f *framer) answer(b []byte) (p protocol.Piece, err error) {
	line, fields := cutLine(b)
	status, fault := statusLine(line)
	if fault != "" {
		return p, errors.New(fault)
	}
	h := head{old: line[len("HTTP/1.")] == '0'}
	if fault := h.fields(fields); fault != "" {
		return p, errors.New(fault)
	}
	p = protocol.Piece{Kind: protocol.Answer, Class: statuses[status-100], Failed: status >= 400}
	if (status < 200 || status == 204) && (h.chunked || h.coded || h.length > 0) {
		return p, fmt.Errorf("%d has a body", status)
	}
	what, asked := ordinary, len(f.waiting) > 0
	if asked {
		what = f.waiting[0]
	}
	switch {
	case status == 101:
		if what != upgrade {
			return p, errors.New("101 Switching Protocols answers no Upgrade")
		}
		f.raw = true
	case status == 100 && asked:
		p.Kind = protocol.Milestone
		return p, nil
	case status < 200:
		p.Kind = protocol.Push
		return p, nil
	}
	if asked {
		f.waiting = f.waiting[:copy(f.waiting, f.waiting[1:])]
	} else {
		p.Kind = protocol.Push // as 408 before the connection is closed
	}
	s := &f.sides[capture.Upstream]
	switch {
	case what == connect && status < 300:
		f.raw = true
	case what == headOnly, status == 101, status == 204, status == 304:
	case h.chunked:
		s.state = inChunkLine
	case h.length >= 0:
		if s.left = h.length; s.left > 0 {
			s.state = inBody
		}
	default:
		s.state = inRest
	}
	return p, nil
}

var crlf = []byte("\r\n")

// cutLine returns the first line of a head without its end, and the lines after it without the empty one.
func cutLine(b []byte) (line, fields []byte) {
	line, fields, _ = bytes.Cut(b, crlf)
	return line, bytes.TrimSuffix(fields, crlf)
}

// body returns how many bytes of buf belong to the body that follows a head, and whether it ends there.
func (s *side) body(buf []byte, ended bool) (n int, done bool, err error) {
	for {
		rest := buf[n:]
		switch s.state {
		case inHead: // a head without a body
			return n, true, nil
		case inRest:
			return len(buf), ended, nil
		case inBody, inChunk:
			take := int(min(int64(len(rest)), s.left))
			n += take
			if s.left -= int64(take); s.left > 0 {
				return n, false, cutIf(ended)
			}
			if s.state == inBody {
				return n, true, nil
			}
			s.state = inChunkEnd
		case inChunkEnd:
			if len(rest) < 2 {
				return n, false, cutIf(ended)
			}
			if rest[0] != '\r' || rest[1] != '\n' {
				return n, false, errors.New("a chunk is longer than it says")
			}
			n += 2
			s.state = inChunkLine
		case inChunkLine:
			line, size, err := s.line(rest, maxChunkLine, "the line of a chunk")
			if err != nil {
				return n, false, err
			}
			if size == 0 {
				return n, false, cutIf(ended)
			}
			n += size
			if s.left = chunkSize(line); s.left < 0 {
				return n, false, errors.New("the size of a chunk is no hexadecimal number")
			}
			s.state = inChunk
			if s.left == 0 {
				s.state = inTrailers
			}
		case inTrailers:
			line, size, err := s.line(rest, maxHead-s.taken, "the list of trailers")
			if err != nil {
				return n, false, err
			}
			if size == 0 {
				return n, false, cutIf(ended)
			}
			n += size
			s.taken += size
			if len(line) == 0 {
				return n, true, nil
			}
			if _, _, _, fault := cutField(rest[:size]); fault != "" {
				return n, false, errors.New(fault)
			}
		}
	}
}

func cutIf(ended bool) error {
	if ended {
		return errCut
	}
	return nil
}

// line returns the line that buf begins with, and its length with CRLF; 0 if it is not all there.
func (s *side) line(buf []byte, limit int, what string) (line []byte, size int, err error) {
	i := bytes.IndexByte(buf[s.scanned:], '\n')
	if i < 0 {
		s.scanned = len(buf)
	} else {
		size = s.scanned + i + 1
		s.scanned = 0
	}
	switch {
	case max(size, s.scanned) > limit:
		return nil, 0, fmt.Errorf("%s is longer than %d bytes", what, limit)
	case size == 0:
		return nil, 0, nil
	case size == 1 || buf[size-2] != '\r':
		return nil, 0, errors.New("a line ends without CR")
	}
	return buf[:size-2], size, nil
}

// chunkSize reads "1f" and "1f; name=value", and returns -1 for anything else.
func chunkSize(line []byte) (n int64) {
	digits, extension, _ := bytes.Cut(line, semicolon)
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 || !isText(extension) {
		return -1
	}
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int64(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | int64(c-'A'+10)
		default:
			return -1
		}
	}
	return n
}

var semicolon = []byte(";")

// statuses are the classes of answers, from 100 on.
var statuses = func() (list [500]string) {
	for i := range list {
		list[i] = fmt.Sprint(100 + i)
	}
	return list
}()
