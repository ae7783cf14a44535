package sidecar

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// redacted replaces a secret, as in Envoy's own dumps.
const redacted = "[redacted]"

// bootstrapType is the type of the static part of a configuration dump.
const bootstrapType = "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump"

// digest is a SHA-256 over what a JSON value says: the order of an object's members, and of the lists that Envoy keeps
// in no order, does not matter, nor does what changes with each dump.
type digest [sha256.Size]byte

// configDump is Envoy's configuration on one line, without secrets.
type configDump struct {
	line   []byte
	digest digest
}

// redactConfig reads a JSON value, which may have any layout, and leaves out its secrets. Envoy does that itself for
// the fields that it knows to be secret; this is for those inside extensions that it does not look into.
func redactConfig(text []byte) (configDump, error) {
	var line bytes.Buffer
	line.Grow(len(text)) // it is seldom longer: white space goes
	w := configWalker{
		dec: jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true)),
		enc: jsontext.NewEncoder(&line, jsontext.AllowDuplicateNames(true), jsontext.EscapeForJS(true)),
	}
	sum, err := w.value(place{})
	if err != nil {
		return configDump{}, fmt.Errorf("parse configuration: %w", err)
	}
	if _, err := w.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return configDump{}, errors.New("parse configuration: want one JSON value and nothing after it")
	}
	return configDump{line: bytes.TrimSuffix(line.Bytes(), []byte("\n")), digest: sum}, nil
}

// bootstrapPart returns the static part of a dump, or false if it has none.
func bootstrapPart(text []byte) (part jsontext.Value, ok bool, err error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true))
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, false, errors.Join(errors.New("want an object"), err)
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, false, err
		}
		if name.String() != "configs" || dec.PeekKind() != '[' {
			if err := dec.SkipValue(); err != nil {
				return nil, false, err
			}
			continue
		}
		if _, err := dec.ReadToken(); err != nil {
			return nil, false, err
		}
		for dec.PeekKind() == '{' {
			value, err := dec.ReadValue()
			if err != nil {
				return nil, false, err
			}
			if typeOf(value) == bootstrapType {
				return value.Clone(), true, nil
			}
		}
		return nil, false, nil
	}
	return nil, false, nil
}

// typeOf returns the "@type" of an object, or "".
func typeOf(object jsontext.Value) string {
	dec := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return ""
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return ""
		}
		if name.String() == "@type" {
			token, err := dec.ReadToken()
			if err != nil || token.Kind() != '"' {
				return ""
			}
			return token.String()
		}
		if err := dec.SkipValue(); err != nil {
			return ""
		}
	}
	return ""
}
