package resp

import (
	"bytes"
	"errors"

	"l4dump/internal/protocol"
)

// inSubscription says whether an array of RESP2 may be a message that was published, or one that confirms.
func (f *framer) inSubscription() bool {
	if f.listening || f.subscribed != [3]int64{} {
		return true
	}
	w := f.waiting.first()
	return w != nil && (w.effect == subscribe || w.effect == unsubscribe)
}

// firstWord returns the string that an array or push begins with, if it is a short one, and false if that cannot be told
// yet. size is the length of the line before it.
func firstWord(buf []byte, size int) (word []byte, enough bool) {
	rest := buf[size:]
	if len(rest) > 0 && rest[0] != '$' {
		return nil, true
	}
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		return nil, len(rest) > maxWord
	}
	n, ok := parseCount(bytes.TrimSuffix(rest[1:i], []byte("\r")), maxWord)
	if !ok {
		return nil, true
	}
	rest = rest[i+1:]
	return rest[:min(int64(len(rest)), n)], int64(len(rest)) >= n
}

// published says what an array or push is by its first word, and nothing if more of it is wanted.
func (f *framer) published(kind byte, word, buf []byte) (p protocol.Piece, err error) {
	effect, of := confirms(word)
	if effect == ordinary {
		p.Kind = protocol.Push
		if kind == '*' && !isPublished(word) {
			p.Kind = f.answered(false)
		}
		return p, nil
	}
	var w walker
	n, done, err := w.walk(buf)
	if err != nil {
		return p, err
	}
	if !done {
		if len(buf) > protocol.MaxWanted {
			err = errors.New("what confirms a subscription is too long")
		}
		return p, err
	}
	count, ok := lastInteger(buf[:n])
	if !ok {
		return p, errors.New("what confirms a subscription has no count")
	}
	switch of { // channels and patterns are counted together
	case channels:
		f.subscribed[channels] = max(count-f.subscribed[patterns], 0)
	case patterns:
		f.subscribed[patterns] = max(count-f.subscribed[channels], 0)
	case shards:
		f.subscribed[shards] = count
	}
	p.Kind = f.confirmed(effect, of)
	return p, nil
}

// confirmed takes note of one confirmation. One that nobody asked for is a push, as when shards move.
func (f *framer) confirmed(e effect, of family) protocol.Kind {
	w := f.waiting.first()
	if w == nil || w.effect != e || w.family != of {
		return protocol.Push
	}
	if w.answers > 0 {
		w.answers--
	}
	if w.answers == 0 || w.answers == protocol.Unknown && f.subscribed[of] == 0 {
		f.waiting.pop()
	}
	return protocol.Answer
}

func confirms(word []byte) (effect, family) {
	switch string(word) {
	case "subscribe":
		return subscribe, channels
	case "psubscribe":
		return subscribe, patterns
	case "ssubscribe":
		return subscribe, shards
	case "unsubscribe":
		return unsubscribe, channels
	case "punsubscribe":
		return unsubscribe, patterns
	case "sunsubscribe":
		return unsubscribe, shards
	}
	return ordinary, 0
}

func isPublished(word []byte) bool {
	return string(word) == "message" || string(word) == "pmessage" || string(word) == "smessage"
}

// lastInteger reads the ":3\r\n" that a message ends with.
func lastInteger(message []byte) (n int64, ok bool) {
	i := bytes.LastIndexByte(message, ':')
	if i < 0 || len(message) < i+3 {
		return 0, false
	}
	return parseCount(message[i+1:len(message)-2], maxItems)
}
