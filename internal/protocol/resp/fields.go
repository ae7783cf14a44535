package resp

import (
	"errors"
	"fmt"
	"strings"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// Fields implements protocol.Protocol.
//
//	arguments:$   of a request: an array of strings, the name of the command first
//	value:$       of an answer, or of what the service sends unasked
//	attribute:$   what the service says about the answer, a map
//
// Sets and maps have no order; so do the arrays of RESP2 that are sets and maps by their command, as those of SMEMBERS
// and HGETALL. A verbatim string is its text.
func (Protocol) Fields(d capture.Direction, class string, message []byte) (*protocol.Message, error) {
	if d == capture.Downstream {
		m, err := requestFields(message)
		if err != nil {
			return nil, fmt.Errorf("read RESP request: %w", err)
		}
		return m, nil
	}
	m, err := answerFields(class, message)
	if err != nil {
		return nil, fmt.Errorf("read RESP answer: %w", err)
	}
	return m, nil
}

func requestFields(message []byte) (*protocol.Message, error) {
	var r requestReader
	n, done, err := r.read(message)
	switch {
	case err != nil:
		return nil, err
	case !done || n != len(message):
		return nil, errNotOne
	}
	v := protocol.Value{Type: protocol.Array}
	if message[0] == '*' {
		p := parser{rest: message}
		if v, err = p.value(0); err != nil {
			return nil, err
		}
	} else {
		words, err := splitLine(message)
		if err != nil {
			return nil, err
		}
		for _, word := range words {
			v.Items = append(v.Items, protocol.Value{Type: protocol.String, Text: string(word)})
		}
	}
	return &protocol.Message{Class: r.call.class, Fields: []protocol.Field{{Part: "arguments:$", Value: v}}}, nil
}

var errNotOne = errors.New("the bytes are not one message")

func answerFields(class string, message []byte) (*protocol.Message, error) {
	var w walker
	n, done, err := w.walk(message)
	switch {
	case err != nil:
		return nil, err
	case !done || n != len(message):
		return nil, errNotOne
	}
	p := parser{rest: message}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	arrange(&v, class)
	m := &protocol.Message{Fields: []protocol.Field{{Part: "value:$", Value: v}}}
	if v.Type == protocol.Error {
		m.Class, m.Failed = errorWord([]byte(v.Text)), true
	}
	if p.attribute != nil {
		m.Fields = append(m.Fields, protocol.Field{Part: "attribute:$", Value: *p.attribute})
	}
	return m, nil
}

// parser reads a value that a walker has found to be whole.
type parser struct {
	rest      []byte
	attribute *protocol.Value // the first one
}

var errValue = errors.New("the value is not whole")

// line returns the next line.
func (p *parser) line() (kind byte, text string, err error) {
	scanned := 0
	line, size, err := cutLine(p.rest, &scanned)
	if err != nil || size == 0 {
		return 0, "", errors.Join(errValue, err)
	}
	p.rest = p.rest[size:]
	return line[0], string(line[1:]), nil
}

// bytes returns the next n bytes, which CRLF follows.
func (p *parser) bytes(text string) (string, error) {
	n, ok := parseCount([]byte(text), maxBulk)
	if !ok || int64(len(p.rest)) < n+2 {
		return "", errValue
	}
	b := string(p.rest[:n])
	p.rest = p.rest[n+2:]
	return b, nil
}

var scalars = map[byte]protocol.Type{
	'+': protocol.String, '-': protocol.Error, ':': protocol.Number, ',': protocol.Number, '(': protocol.Number, '#': protocol.Bool,
	'$': protocol.String, '=': protocol.String, '!': protocol.Error,
	'*': protocol.Array, '>': protocol.Array, '~': protocol.Set, '%': protocol.Map,
}

func (p *parser) value(depth int) (v protocol.Value, err error) {
	kind, text, err := p.line()
	for err == nil && kind == '|' {
		attribute := protocol.Value{Type: protocol.Map}
		if err = p.items(&attribute, text, depth); err != nil {
			break
		}
		if p.attribute == nil {
			p.attribute = &attribute
		}
		kind, text, err = p.line()
	}
	if err != nil {
		return v, err
	}
	if depth > maxDepth {
		return v, errValue
	}
	v.Type = scalars[kind]
	switch {
	case kind == '_', text == "-1" && (kind == '$' || kind == '*'):
		return protocol.Value{Type: protocol.Null}, nil
	case kind == '#':
		v.Text = map[string]string{"t": "true", "f": "false"}[text]
	case kind == '$' && text == "?":
		v.Text, err = p.streamed()
	case kind == '$', kind == '=', kind == '!':
		if v.Text, err = p.bytes(text); kind == '=' && len(v.Text) >= 4 && v.Text[3] == ':' {
			v.Text = v.Text[4:]
		}
	case kind == '*', kind == '>', kind == '~', kind == '%':
		return v, p.items(&v, text, depth)
	case v.Type == 0:
		return v, errValue
	default:
		v.Text = text
	}
	return v, err
}

// streamed reads the parts of a string of unknown length.
func (p *parser) streamed() (string, error) {
	var b strings.Builder
	for {
		kind, text, err := p.line()
		switch {
		case err != nil:
			return "", err
		case kind != ';':
			return "", errValue
		case text == "0":
			return b.String(), nil
		}
		part, err := p.bytes(text)
		if err != nil {
			return "", err
		}
		b.WriteString(part)
	}
}

// items reads what is in v, as many as text says.
func (p *parser) items(v *protocol.Value, text string, depth int) error {
	count, ok := parseCount([]byte(text), maxItems)
	stream := text == "?"
	if !ok && !stream {
		return errValue
	}
	for i := int64(0); stream || i < count; i++ {
		if stream && len(p.rest) > 0 && p.rest[0] == '.' {
			_, _, err := p.line()
			return err
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		if v.Type != protocol.Map {
			v.Items = append(v.Items, item)
			continue
		}
		member := protocol.Member{Key: keyOf(&item)}
		if member.Value, err = p.value(depth + 1); err != nil {
			return err
		}
		v.Members = append(v.Members, member)
	}
	return nil
}

// keyOf returns a value as the key of a map: its text, or if it has something inside, its values with their paths.
func keyOf(v *protocol.Value) string {
	if len(v.Items)+len(v.Members) == 0 {
		return v.Text
	}
	v.Sort()
	var b strings.Builder
	v.Walk("", func(path protocol.Path, leaf *protocol.Value) { fmt.Fprintf(&b, "%s=%s;", path, leaf.Text) })
	return b.String()
}

// arrangement is what an array means.
type arrangement uint8

const (
	inOrder arrangement = iota
	inNoOrder
	inPairs     // keys and values
	scan        // a cursor, and an array in no order
	scanOfPairs // a cursor, and keys and values
	mapsInOrder // each item is keys and values
)

// arrangements are those of answers in RESP2, by the class of their request. In RESP3, types say it.
var arrangements = map[string]arrangement{
	"SMEMBERS": inNoOrder, "SINTER": inNoOrder, "SUNION": inNoOrder, "SDIFF": inNoOrder, "KEYS": inNoOrder,
	"HKEYS": inNoOrder, "HVALS": inNoOrder, "PUBSUB CHANNELS": inNoOrder, "PUBSUB SHARDCHANNELS": inNoOrder,
	"HGETALL": inPairs, "CONFIG GET": inPairs, "PUBSUB NUMSUB": inPairs, "XINFO STREAM": inPairs, "HELLO": inPairs,
	"MEMORY STATS": inPairs, "SCAN": scan, "SSCAN": scan, "HSCAN": scanOfPairs, "ZSCAN": scanOfPairs,
	"XINFO GROUPS": mapsInOrder, "XINFO CONSUMERS": mapsInOrder,
}

// arrange gives an answer of RESP2 the type that it has in RESP3.
func arrange(v *protocol.Value, class string) {
	if v.Type != protocol.Array {
		return
	}
	switch arrangements[class] {
	case inNoOrder:
		v.Type = protocol.Set
	case inPairs:
		pair(v)
	case scan:
		if len(v.Items) == 2 && v.Items[1].Type == protocol.Array {
			v.Items[1].Type = protocol.Set
		}
	case scanOfPairs:
		if len(v.Items) == 2 {
			pair(&v.Items[1])
		}
	case mapsInOrder:
		for i := range v.Items {
			pair(&v.Items[i])
		}
	}
}

// pair makes a map of an array of keys and values.
func pair(v *protocol.Value) {
	if v.Type != protocol.Array || len(v.Items)%2 != 0 {
		return
	}
	m := protocol.Value{Type: protocol.Map}
	for i := 0; i < len(v.Items); i += 2 {
		m.Members = append(m.Members, protocol.Member{Key: keyOf(&v.Items[i]), Value: v.Items[i+1]})
	}
	*v = m
}
