package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxJSONDepth bounds how deep values stand in each other.
const maxJSONDepth = 512

// ParseJSON returns one JSON value, with numbers exactly as written. A key that stands twice is there twice.
func ParseJSON(b []byte) (Value, error) {
	d := jsontext.NewDecoder(bytes.NewReader(b), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	v, err := readJSON(d)
	if err != nil {
		return Value{}, fmt.Errorf("parse JSON: %w", err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return Value{}, errors.New("parse JSON: want the end after the value")
	}
	return v, nil
}

func readJSON(d *jsontext.Decoder) (v Value, err error) {
	token, err := d.ReadToken()
	if err != nil {
		return v, err
	}
	switch token.Kind() {
	case jsontext.KindNull:
		return Value{Type: Null}, nil
	case jsontext.KindTrue, jsontext.KindFalse:
		return Value{Type: Bool, Text: token.String()}, nil
	case jsontext.KindNumber:
		return Value{Type: Number, Text: token.String()}, nil
	case jsontext.KindString:
		return Value{Type: String, Text: token.String()}, nil
	}
	if d.StackDepth() > maxJSONDepth {
		return v, fmt.Errorf("more than %d values are within each other", maxJSONDepth)
	}
	v.Type = Array
	if token.Kind() == jsontext.KindBeginObject {
		v.Type = Map
	}
	for {
		kind := d.PeekKind()
		if kind == jsontext.KindEndArray || kind == jsontext.KindEndObject {
			_, err = d.ReadToken()
			return v, err
		}
		var key string
		if v.Type == Map {
			name, err := d.ReadToken()
			if err != nil {
				return v, err
			}
			key = name.String()
		}
		item, err := readJSON(d)
		if err != nil {
			return v, err
		}
		if v.Type == Map {
			v.Members = append(v.Members, Member{Key: key, Value: item})
		} else {
			v.Items = append(v.Items, item)
		}
	}
}
