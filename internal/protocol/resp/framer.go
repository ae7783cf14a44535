package resp

import (
	"errors"
	"fmt"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// framer implements protocol.Framer.
type framer struct {
	request requestReader
	waiting queue
	err     error

	// What the requests so far have switched.
	inMulti    bool
	monitoring bool
	silent     bool // CLIENT REPLY OFF
	skip       bool // the next request has no answer
	raw        bool // the service is asked for a replication stream
	listening  bool // a subscription without an answer, which Redis 7 confirms nevertheless

	// What the answers so far have switched.
	resp3      bool
	subscribed [3]int64 // by family

	value   walker
	inValue bool
	kind    protocol.Kind
}

// Next implements protocol.Framer.
func (f *framer) Next(d capture.Direction, buf []byte, ended bool) (p protocol.Piece, err error) {
	if f.err == nil && f.raw && len(buf) > 0 {
		f.err = fmt.Errorf("%w: it replicates", protocol.ErrRaw)
	}
	if f.err != nil {
		return protocol.Piece{}, f.err
	}
	name := "request"
	if d == capture.Downstream {
		p, err = f.nextRequest(buf)
	} else {
		name = "answer"
		p, err = f.nextAnswer(buf)
	}
	if err == nil && p.Kind == 0 && ended && (len(buf) > 0 || d == capture.Downstream && f.request.open || d == capture.Upstream && f.inValue) {
		err = errors.New("the stream ends within a message")
	}
	if err == nil {
		return p, nil
	}
	f.err = fmt.Errorf("frame RESP %s: %w", name, err)
	if p.Size > 0 {
		return p, nil // what is before the error, then the error
	}
	return protocol.Piece{}, f.err
}

func (f *framer) nextRequest(buf []byte) (p protocol.Piece, err error) {
	r := &f.request
	first := !r.open
	n, done, err := r.read(buf)
	if n == 0 {
		return p, err
	}
	p = protocol.Piece{Size: n, Kind: protocol.Request, First: first, Last: done}
	if first {
		p.Class, p.Login = r.call.class, r.call.login
	}
	if err != nil || !done {
		return p, err
	}
	if p.Answers, err = f.requested(&r.call); err != nil {
		return p, err
	}
	if !f.inMulti && p.Answers != 0 {
		p.Wait = r.call.wait
	}
	return p, nil
}

// requested takes note of a whole request and returns how many answers it has.
func (f *framer) requested(c *call) (answers int, err error) {
	if c.none {
		return 0, nil
	}
	if f.inMulti {
		switch c.effect {
		case exec, reset:
			f.inMulti = false
		case subscribe, unsubscribe, reply, monitor, replicate:
			return 0, fmt.Errorf("%s within MULTI", c.class)
		default:
			return f.expect(waiting{})
		}
	}
	switch c.effect {
	case multi:
		f.inMulti = true
	case monitor:
		f.monitoring = true
	case reset:
		f.silent, f.skip, f.monitoring = false, false, false
	case replicate:
		f.raw = true
		return 1, nil
	case reply:
		return f.switchReply(c.argument)
	}
	w := waiting{effect: c.effect, family: c.family}
	switch {
	case c.effect == hello && c.argument == threeArg:
		w.answers = 3
	case c.effect == hello && c.argument == twoArg:
		w.answers = 2
	case (c.effect == subscribe || c.effect == unsubscribe) && c.args > 0:
		w.answers = c.args
	case c.effect == unsubscribe:
		w.answers = protocol.Unknown
	}
	return f.expect(w)
}

// expect adds what the next answers are for, unless there are none.
func (f *framer) expect(w waiting) (answers int, err error) {
	if f.silent || f.skip {
		f.skip = false
		f.listening = f.listening || w.effect == subscribe
		return 0, nil
	}
	if err := f.waiting.push(w); err != nil {
		return 0, err
	}
	if w.effect == subscribe || w.effect == unsubscribe {
		return int(max(w.answers, protocol.Unknown)), nil
	}
	return 1, nil
}

func (f *framer) switchReply(argument uint8) (answers int, err error) {
	switch argument {
	case offArg:
		f.silent = true
		return 0, nil
	case skipArg:
		f.skip = !f.silent
		return 0, nil
	case onArg:
		if f.silent && f.listening && !f.resp3 {
			return 0, nil // a subscriber may not, and is not told
		}
		f.silent, f.skip = false, false
	}
	return f.expect(waiting{})
}

func (f *framer) nextAnswer(buf []byte) (p protocol.Piece, err error) {
	if len(buf) == 0 {
		return p, nil
	}
	first := !f.inValue
	if first {
		if p, err = f.classify(buf); err != nil || p.Kind == 0 {
			return protocol.Piece{}, err
		}
		p.First, f.kind = true, p.Kind
	}
	p.Kind = f.kind
	p.Size, p.Last, err = f.value.walk(buf)
	if p.Size == 0 {
		return protocol.Piece{}, err
	}
	f.inValue = !p.Last
	return p, err
}

// classify says what begins in buf, and nothing if more of it is wanted.
func (f *framer) classify(buf []byte) (p protocol.Piece, err error) {
	scanned := f.value.scanned
	line, size, err := cutLine(buf, &scanned)
	if err != nil || size == 0 {
		f.value.scanned = scanned
		return p, err
	}
	f.value.scanned = 0
	switch kind := line[0]; {
	case kind == '-':
		p.Class, p.Failed = errorWord(line[1:]), true
	case kind == '!':
		n, ok := parseCount(line[1:], maxBulk)
		text := buf[size:]
		if ok && len(text) < int(min(n, maxWord)) {
			return protocol.Piece{}, nil
		}
		p.Class, p.Failed = errorWord(text[:min(int64(len(text)), n, maxWord)]), true
	case kind == '+' && f.monitoring && isMonitored(line):
		p.Kind = protocol.Push
		return p, nil
	case kind == '>', kind == '*' && !f.resp3 && f.inSubscription():
		word, enough := firstWord(buf, size)
		if !enough {
			return protocol.Piece{}, nil
		}
		return f.published(kind, word, buf)
	}
	p.Kind = f.answered(p.Failed)
	return p, nil
}

// answered takes note of an ordinary answer.
func (f *framer) answered(failed bool) protocol.Kind {
	w := f.waiting.first()
	if w == nil {
		return protocol.Push // as -ERR before the connection is closed
	}
	if !failed {
		switch w.effect {
		case hello:
			if w.answers > 0 {
				f.resp3 = w.answers == 3
			}
		case reset:
			f.resp3, f.subscribed = false, [3]int64{}
		}
	}
	f.waiting.pop()
	return protocol.Answer
}

// maxWord bounds the word that an error begins with, in bytes.
const maxWord = 32

// errorWord returns the word that an error begins with, if it is one in capitals as WRONGTYPE is, and else ERR.
func errorWord(text []byte) string {
	n := 0
	for n < len(text) && n < maxWord && (text[n] >= 'A' && text[n] <= 'Z' || text[n] >= '0' && text[n] <= '9' || text[n] == '_') {
		n++
	}
	if n == 0 || n < len(text) && text[n] != ' ' {
		return "ERR"
	}
	if word, ok := errorWords[string(text[:n])]; ok {
		return word
	}
	return string(text[:n])
}

// errorWords are those of Redis, so that they cost no allocation.
var errorWords = func() map[string]string {
	list := map[string]string{}
	for _, word := range []string{
		"ASK", "BUSY", "BUSYGROUP", "BUSYKEY", "CLUSTERDOWN", "CROSSSLOT", "DENIED", "ERR", "EXECABORT", "INPROG", "IOERR",
		"LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOGOODSLAVE", "NOGROUP", "NOMASTERLINK", "NOPERM", "NOPROTO",
		"NOREPLICAS", "NOSCRIPT", "NOTBUSY", "OOM", "READONLY", "TRYAGAIN", "UNBLOCKED", "UNKILLABLE", "WRONGPASS", "WRONGTYPE",
	} {
		list[word] = word
	}
	return list
}()

// isMonitored says whether a line is +1339518083.107412 [0 127.0.0.1:60866] "keys" "*", which MONITOR makes of a command.
func isMonitored(line []byte) bool {
	i := 1
	for i < len(line) && (line[i] >= '0' && line[i] <= '9' || line[i] == '.') {
		i++
	}
	return i > 1 && i+1 < len(line) && line[i] == ' ' && line[i+1] == '['
}
