package framed

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document reads a description and collects what is wrong with it, each fault with the line that it is in.
type document struct {
	name   string // of the file
	faults []error
}

func (d *document) fault(node *yaml.Node, path, format string, args ...any) {
	line := 1
	if node != nil {
		line = node.Line
	}
	d.faults = append(d.faults, fmt.Errorf("%s:%d: %s%s", d.name, line, path, fmt.Sprintf(format, args...)))
}

func (d *document) err() error { return errors.Join(d.faults...) }

// object is a mapping of the document. A nil object has no keys.
type object struct {
	document *document
	path     string // with a dot at its end; "" for the whole document
	node     *yaml.Node
	values   map[string]*yaml.Node
}

// object returns a node as a mapping that has only the keys that are known, or nil.
func (d *document) object(node *yaml.Node, path string, known ...string) *object {
	if node == nil {
		return nil
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		d.fault(node, strings.TrimSuffix(path, ".")+": ", "want a mapping with %s", strings.Join(known, ", "))
		return nil
	}
	o := &object{d, path, node, map[string]*yaml.Node{}}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		switch {
		case !slices.Contains(known, key.Value):
			d.fault(key, path+key.Value+": ", "unknown key, want one of %s", strings.Join(known, ", "))
		case o.values[key.Value] != nil:
			d.fault(key, path+key.Value+": ", "the key stands twice")
		default:
			o.values[key.Value] = value
		}
	}
	return o
}

// value returns the node of a key, or nil.
func (o *object) value(key string) *yaml.Node {
	if o == nil {
		return nil
	}
	return o.values[key]
}

func (o *object) has(key string) bool { return o.value(key) != nil }

// fault reports what is wrong with a key, or with the object if it does not have the key.
func (o *object) fault(key, format string, args ...any) {
	node := o.value(key)
	if node == nil {
		node = o.node
	}
	o.document.fault(node, o.path+key+": ", format, args...)
}

// text returns a string that is not empty, or "".
func (o *object) text(key string) string {
	node := o.value(key)
	if node == nil {
		return ""
	}
	if node.Kind != yaml.ScalarNode || node.Value == "" {
		o.fault(key, "want a text")
		return ""
	}
	return node.Value
}

// boolean returns true or false; false if the key is not there.
func (o *object) boolean(key string) bool {
	switch o.text(key) {
	case "true":
		return true
	case "false", "":
		return false
	}
	o.fault(key, "want true or false, not %q", o.value(key).Value)
	return false
}

// number returns a number from low to high, decimal or 0x, and missing if the key is not there.
func (o *object) number(key string, low, high, missing int64) int64 {
	text := o.text(key)
	if text == "" {
		return missing
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil || n < low || n > high {
		o.fault(key, "want a number from %d to %d, not %q", low, high, text)
		return missing
	}
	return n
}

// numbers returns one number without a sign, or a list of them.
func (o *object) numbers(key string) (list []uint64) {
	node := o.value(key)
	if node == nil {
		return nil
	}
	items := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		items = node.Content
	}
	for _, item := range items {
		n, err := strconv.ParseUint(item.Value, 0, 64)
		if err != nil {
			o.document.fault(item, o.path+key+": ", "want a number from 0 on, or a list of them, not %q", item.Value)
			continue
		}
		list = append(list, n)
	}
	if len(items) == 0 {
		o.fault(key, "want one number or more")
	}
	return list
}

// expression returns a regular expression, or nil.
func (o *object) expression(key string) *regexp.Regexp {
	text := o.text(key)
	if text == "" {
		return nil
	}
	e, err := regexp.Compile(text)
	if err != nil {
		o.fault(key, "want a regular expression as Go has them: %v", err)
		return nil
	}
	return e
}

// bytes returns those that a key has as hexadecimal digits, or another one as text; nil if neither is there.
func (o *object) bytes(digits, text string) []byte {
	switch {
	case o.has(digits) && o.has(text):
		o.fault(text, "want %s or %s, not both", digits, text)
	case o.has(digits):
		b, err := hex.DecodeString(o.text(digits))
		if err != nil || len(b) == 0 {
			o.fault(digits, "want pairs of hexadecimal digits, not %q", o.value(digits).Value)
			return nil
		}
		return b
	case o.has(text):
		return []byte(o.text(text))
	}
	return nil
}

// list returns the items of a list, or nil.
func (o *object) list(key string) []*yaml.Node {
	node := o.value(key)
	switch {
	case node == nil:
		return nil
	case node.Kind != yaml.SequenceNode || len(node.Content) == 0:
		o.fault(key, "want a list")
		return nil
	}
	return node.Content
}
