package record

import (
	"bytes"
	"errors"
	"strings"
)

// The errors of Parse. Each is a damaged record: something in the log cut, mixed or changed it.
var (
	ErrCut       = errors.New("record is cut short")
	ErrMalformed = errors.New("record is malformed")
	ErrSum       = errors.New("record does not match its checksum")
)

// Find returns where the next record of line begins, at or after from: the '[' of its window. damaged is true if
// the mark of a record is there without the window and the port that belong before it; start is then the mark's
// place. start is -1 if line has no further mark.
func Find(line []byte, from int) (start int, damaged bool) {
	i := bytes.Index(line[from:], []byte(mark))
	if i < 0 {
		return -1, false
	}
	end := from + i
	open := end - 1
	for open >= from && end-open <= len("65535") && isDigit(line[open]) {
		open--
	}
	start = open - uuidBytes - len("[]")
	if start < from || open == end-1 || line[open] != '[' || line[open-1] != ']' || line[start] != '[' {
		return end, true
	}
	return start, false
}

const uuidBytes = len("01234567-89ab-cdef-0123-456789abcdef")

// AfterMark returns where to continue the search after a damaged record that Find returned at start.
func AfterMark(line []byte, start int) int {
	return start + bytes.Index(line[start:], []byte(mark)) + len(mark)
}

// Parse reads the record that begins text and returns it with the number of bytes it takes; what follows, as the
// suffix that a proxy adds, is not looked at. A data record's payload is put into buf (grown if it is too small)
// and stays valid until buf is used again: give the payload's slice, cut to length 0, to the next call.
func Parse(text, buf []byte) (Record, int, error) {
	s := scanner{text: text}
	r, err := s.record(buf)
	return r, s.next, err
}

// IsCut reports whether text is the beginning of a record, from its '[' on, whose end only is missing: it may be a
// part of a line that another part continues.
func IsCut(text []byte) bool {
	s := scanner{text: text}
	_, _ = s.record(nil)
	return s.err != nil && (s.ran || s.next >= len(text))
}

// record reads what Parse returns.
func (s *scanner) record(buf []byte) (Record, error) {
	var r Record
	s.literal("[")
	r.Window = s.uuid()
	s.literal("][")
	r.Port = uint16(s.uint(1<<16 - 1))
	s.literal(mark)
	s.marked = s.err == nil
	s.kind(&r.Kind)
	s.literal(" conn=")
	r.Conn = s.connID()
	s.literal(" seq=")
	r.Seq = s.uint(maxUint)
	if s.err != nil {
		return Record{}, s.err
	}
	sumOf := func() []byte { return s.text[:s.next] }
	var payload []byte
	switch r.Kind {
	case KindOpen:
		r.Open = s.open(&r)
	case KindData:
		s.position(&r)
		s.literal(" length=")
		length := s.uint(maxPayloadBytes)
		if s.try(" masked=") {
			r.Masked = s.some(length)
		}
		s.literal(" data=")
		head := sumOf()
		sumOf = func() []byte { return head }
		if s.detached {
			payload = s.attach(int(length))
		} else {
			payload = s.unhex(buf, int(length))
		}
		r.Payload = payload
	case KindEnd:
		s.position(&r)
	case KindClose:
		r.Close = s.close(&r)
	}
	head := sumOf()
	s.literal(sumKey)
	sum := uint32(s.hex(8, 8))
	switch {
	case s.err != nil:
		return Record{}, s.err
	case sum != checksum(head, payload):
		return Record{}, ErrSum
	}
	return r, nil
}

// ParseUUID reads the canonical form of an identifier, in lower case. ok is false if text is anything else.
func ParseUUID(text string) (u UUID, ok bool) {
	s := scanner{text: []byte(text)}
	u = s.uuid()
	return u, s.ended()
}

// ParseConnID reads what ConnID.String returns. ok is false if text is anything else.
func ParseConnID(text string) (id ConnID, ok bool) {
	s := scanner{text: []byte(text)}
	id = s.connID()
	return id, s.ended()
}

const maxUint = 1<<64 - 1

// maxPayloadBytes is more than a record's payload ever has.
const maxPayloadBytes = 1 << 30

// scanner reads a record from left to right. After the first fault it stays where it is.
type scanner struct {
	text   []byte
	next   int
	marked bool // the mark has been read
	ran    bool // the text ran out in the midst of a word or of the payload
	err    error

	detached bool   // a data record has no hex digits: it is about payload
	payload  []byte // of a detached record
}

// fail notes the first fault: a record whose end is missing is cut, another is malformed.
func (s *scanner) fail() {
	if s.err != nil {
		return
	}
	s.err = ErrMalformed
	if s.next >= len(s.text) || s.marked && !s.hasEnd() {
		s.err = ErrCut
	}
}

// maxRecordBytes is how far a record's end is looked for: no line that a recorder writes is longer.
const maxRecordBytes = 64 << 10

// hasEnd reports whether the field of the checksum comes next, has begun, or follows before the next record. It looks
// no further, so that a line of many damaged records is not searched to its end for each of them.
func (s *scanner) hasEnd() bool {
	end := min(s.next+maxRecordBytes, len(s.text))
	if next := bytes.Index(s.text[s.next:end], []byte(mark)); next >= 0 {
		end = s.next + next
	}
	start := max(0, s.next-len(sumKey)-len("01234567"))
	return bytes.Contains(s.text[start:end], []byte(sumKey))
}

// ended reports whether all of the text has been read without a fault.
func (s *scanner) ended() bool { return s.err == nil && s.next == len(s.text) }

// try moves over want if it comes next.
func (s *scanner) try(want string) bool {
	if s.err == nil && len(s.text)-s.next >= len(want) && string(s.text[s.next:s.next+len(want)]) == want {
		s.next += len(want)
		return true
	}
	if rest := s.text[s.next:]; s.err == nil && len(rest) < len(want) && string(rest) == want[:len(rest)] {
		s.ran = true
	}
	return false
}

func (s *scanner) literal(want string) {
	for i := 0; i < len(want) && s.err == nil; i++ {
		if s.next >= len(s.text) || s.text[s.next] != want[i] {
			s.fail()
			return
		}
		s.next++
	}
}

func (s *scanner) kind(k *Kind) {
	for i, name := range kindNames {
		if s.try(name) {
			*k = Kind(i)
			return
		}
	}
	s.fail()
}

func (s *scanner) direction(d *Direction) {
	for i, name := range directionNames {
		if s.try(name) {
			*d = Direction(i)
			return
		}
	}
	s.fail()
}

// uint reads a decimal number of at most limit, without leading zeros.
func (s *scanner) uint(limit uint64) uint64 {
	if s.err != nil {
		return 0
	}
	start := s.next
	var n uint64
	for s.next < len(s.text) && isDigit(s.text[s.next]) {
		digit := uint64(s.text[s.next] - '0')
		if n > (limit-digit)/10 {
			s.err = ErrMalformed
			return 0
		}
		n = n*10 + digit
		s.next++
	}
	if s.next == start || (s.text[start] == '0' && s.next > start+1) {
		s.fail()
	}
	return n
}

// some reads a number of at least 1 and at most limit.
func (s *scanner) some(limit uint64) uint64 {
	n := s.uint(maxUint)
	if s.err == nil && (n == 0 || n > limit) {
		s.err = ErrMalformed
	}
	return n
}

func (s *scanner) int() int64 {
	if s.try("-") {
		return -int64(s.uint(1 << 63))
	}
	return int64(s.uint(1<<63 - 1))
}

// hex reads a number of least to most lower-case hex digits, without leading zeros if least < most.
func (s *scanner) hex(least, most int) uint64 {
	if s.err != nil {
		return 0
	}
	start := s.next
	var n uint64
	for s.next < len(s.text) && s.next-start < most && hexValues[s.text[s.next]] != notHex {
		n = n<<4 | uint64(hexValues[s.text[s.next]])
		s.next++
	}
	if s.next-start < least || (least < most && s.text[start] == '0' && s.next > start+1) {
		s.fail()
	}
	return n
}

func (s *scanner) uuid() (u UUID) {
	for i := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			s.literal("-")
		}
		u[i] = byte(s.hex(2, 2))
	}
	return u
}

func (s *scanner) connID() (id ConnID) {
	id.VM = s.hex(16, 16)
	s.literal("-")
	id.Number = s.hex(1, 16)
	return id
}

func (s *scanner) position(r *Record) {
	s.literal(" direction=")
	s.direction(&r.Direction)
	s.literal(" offset=")
	r.Offset = s.uint(maxUint)
	s.time(r)
}

func (s *scanner) time(r *Record) {
	s.literal(" time=")
	r.Time = s.int()
}

func (s *scanner) unhex(buf []byte, length int) []byte {
	if s.err != nil {
		return nil
	}
	if len(s.text)-s.next < 2*length {
		s.fail()
		s.ran = isHex(s.text[s.next:])
		return nil
	}
	payload, ok := appendUnhex(buf[:0], s.text[s.next:s.next+2*length])
	if !ok {
		s.err = ErrMalformed
		return nil
	}
	s.next += 2 * length
	return payload
}

func (s *scanner) open(r *Record) *Open {
	var o Open
	s.time(r)
	s.literal(" unit=")
	o.Unit = s.escaped()
	s.literal(" started=")
	o.Started = s.int()
	if s.try(" proxy_conn=") {
		o.HasProxyConn = true
		o.ProxyConn = s.uint(maxUint)
	}
	for _, field := range []struct {
		key  string
		text *string
	}{{" source=", &o.Source}, {" destination=", &o.Destination}, {" sni=", &o.SNI}, {" peer=", &o.Peer}} {
		if s.try(field.key) {
			*field.text = s.escaped()
		}
	}
	o.MTLS = s.try(" mtls=true")
	if s.try(" next=") {
		o.Next = s.escaped()
	}
	return &o
}

func (s *scanner) close(r *Record) *Close {
	var c Close
	s.time(r)
	s.literal(" by=")
	c.By = s.escaped()
	s.literal(" downstream=")
	c.Downstream = s.ledger()
	s.literal(" upstream=")
	c.Upstream = s.ledger()
	return &c
}

func (s *scanner) ledger() (l Ledger) {
	s.literal("seen:")
	l.Seen = s.uint(maxUint)
	s.literal(",kept:")
	l.Kept = s.uint(maxUint)
	if s.try(",masked:") {
		l.Masked = s.some(l.Kept)
	}
	for s.try(",") {
		reason := s.word()
		s.literal(":")
		l.Dropped = append(l.Dropped, Drop{Reason: reason, Bytes: s.uint(maxUint)})
	}
	return l
}

// word reads a word of lower-case letters and '_'.
func (s *scanner) word() string {
	start := s.next
	for s.next < len(s.text) && isWord(s.text[s.next]) {
		s.next++
	}
	if s.next == start {
		s.fail()
	}
	return string(s.text[start:s.next])
}

// escaped reads a text that appendText wrote.
func (s *scanner) escaped() string {
	if s.err != nil {
		return ""
	}
	var b strings.Builder
	for s.next < len(s.text) {
		c := s.text[s.next]
		switch {
		case isPlain(c):
			s.next++
			b.WriteByte(c)
			continue
		case c == '%':
			s.next++
			b.WriteByte(byte(s.hex(2, 2)))
			if s.err != nil {
				return ""
			}
			continue
		}
		break
	}
	if b.Len() == 0 {
		s.fail()
	}
	return b.String()
}

func isHex(text []byte) bool {
	for _, c := range text {
		if hexValues[c] == notHex {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool { return 'a' <= c && c <= 'z' || c == '_' }
