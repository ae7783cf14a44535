package http1

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
)

// Fields implements protocol.Protocol.
//
//	method, path, query:NAME   of a request
//	status                     of an answer; the text after it is left out
//	version                    HTTP/1.1
//	header:NAME, trailer:NAME  in lower case; a set if it stands more than once
//	body, body:$               the body, and as JSON if it is
//
// The body is what was meant: without chunks, and decoded if Content-Encoding is gzip, deflate, br or zstd. What says
// only how it was sent is left out: Transfer-Encoding, Trailer, and Content-Length, except where there is no body that
// it is the length of, in answers to HEAD and in 304. So is the boundary between the parts of a multipart body, which is
// drawn for each.
func (Protocol) Fields(d capture.Direction, class string, message []byte) (*protocol.Message, error) {
	m, err := parse(d, class, message)
	if err != nil {
		return nil, fmt.Errorf("read HTTP/1 %s: %w", streamOf[d], err)
	}
	return m, nil
}

func parse(d capture.Direction, class string, message []byte) (*protocol.Message, error) {
	var s side
	size, err := s.headSize(message)
	switch {
	case err != nil:
		return nil, err
	case size == 0:
		return nil, errCut
	}
	line, lines := cutLine(bytes.TrimPrefix(message[:size], crlf))
	m, fault := firstLine(d, line)
	if fault != "" {
		return nil, errors.New(fault)
	}
	var h head
	if fault := h.fields(lines); fault != "" {
		return nil, errors.New(fault)
	}
	headers := newMultiset("header", bytes.Count(lines, crlf))
	var transfer, content []string // the last applied one first
	var boundary string
	for len(lines) > 0 {
		name, value, rest, _ := cutField(lines) // read above
		lines = rest
		lower, text := strings.ToLower(string(name)), string(value)
		switch lower {
		case "transfer-encoding":
			transfer = append(listOf(value), transfer...)
			continue
		case "content-length":
			if d == capture.Downstream || m.Class != "304" && !strings.HasPrefix(class, "HEAD ") {
				continue
			}
		case "trailer":
			continue
		case "content-encoding":
			content = append(listOf(value), content...)
		case "content-type":
			text, boundary = cutBoundary(text)
		}
		headers.add(lower, text)
	}
	body := message[size:]
	trailers := newMultiset("trailer", 0)
	if h.chunked && len(body) > 0 {
		if body, lines, err = dechunk(body); err != nil {
			return nil, err
		}
		for len(lines) > 0 {
			name, value, rest, fault := cutField(lines)
			if fault != "" {
				return nil, errors.New(fault)
			}
			lines = rest
			trailers.add(strings.ToLower(string(name)), string(value))
		}
	}
	m.Fields = slices.Grow(m.Fields, len(headers.fields)+len(trailers.fields)+1)
	m.Fields = append(append(m.Fields, headers.fields...), trailers.fields...)
	if len(body) > 0 {
		decoded, err := decode(body, append(transfer, content...))
		if err != nil {
			m.Undecoded = err.Error()
		}
		m.Fields = append(m.Fields, bodyField(withoutBoundary(decoded, boundary)))
	}
	return m, nil
}

// firstLine reads what the first line says.
func firstLine(d capture.Direction, line []byte) (m *protocol.Message, fault string) {
	m = &protocol.Message{}
	if d == capture.Upstream {
		status, fault := statusLine(line)
		if fault != "" {
			return nil, fault
		}
		m.Class, m.Failed = statuses[status-100], status >= 400
		m.Fields = []protocol.Field{field("status", m.Class), field("version", string(line[:len("HTTP/1.1")]))}
		return m, ""
	}
	method, target, fault := requestLine(line)
	if fault != "" {
		return nil, fault
	}
	m.Class = string(appendClass(make([]byte, 0, maxClass), method, target))
	path, query, _ := strings.Cut(string(target), "?")
	m.Fields = []protocol.Field{field("method", string(method)), field("path", path), field("version", string(line[len(line)-len("HTTP/1.1"):]))}
	parameters := newMultiset("query", 0)
	for query != "" {
		var parameter string
		parameter, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(parameter, "=")
		parameters.add(name, value)
	}
	m.Fields = append(m.Fields, parameters.fields...)
	return m, ""
}

func field(part, text string) protocol.Field {
	return protocol.Field{Part: part, Value: protocol.Value{Type: protocol.String, Text: text}}
}

// multiset is what may stand more than once under a name.
type multiset struct {
	kind   string
	fields []protocol.Field
	names  []string       // of fields
	index  map[string]int // of names, once they are too many to look at each
}

// fewNames is up to how many names are found faster one by one than in a map.
const fewNames = 16

// newMultiset returns a multiset with room for some fields.
func newMultiset(kind string, room int) *multiset {
	return &multiset{kind: kind, fields: make([]protocol.Field, 0, room), names: make([]string, 0, room)}
}

func (s *multiset) add(name, value string) {
	f := field(protocol.Part(s.kind, name), value)
	i := s.find(name)
	if i < 0 {
		if s.index != nil {
			s.index[name] = len(s.fields)
		}
		s.fields, s.names = append(s.fields, f), append(s.names, name)
		return
	}
	v := &s.fields[i].Value
	if v.Type != protocol.Set {
		*v = protocol.Value{Type: protocol.Set, Items: []protocol.Value{*v}}
	}
	v.Items = append(v.Items, f.Value)
}

// find returns the place of a name; -1: it is new.
func (s *multiset) find(name string) int {
	if len(s.names) <= fewNames {
		return slices.Index(s.names, name)
	}
	if s.index == nil {
		s.index = make(map[string]int, 2*len(s.names))
		for i, known := range s.names {
			s.index[known] = i
		}
	}
	if i, ok := s.index[name]; ok {
		return i
	}
	return -1
}

// bodyField returns a body as JSON if it looks like it and is, and else as it is.
func bodyField(body []byte) protocol.Field {
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		if v, err := protocol.ParseJSON(trimmed); err == nil {
			return protocol.Field{Part: "body:$", Value: v}
		}
	}
	return field("body", string(body))
}
