package envoyapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"l4dump/internal/fault"
)

// The bounds of a document: how deep it is nested, and how many values its aliases stand for.
const (
	maxDepth   = 200
	maxAliased = 100_000
)

// mergeKey is the key that merges another mapping into its own.
const mergeKey = "<<"

// Document is one document of a file in YAML or JSON.
type Document struct {
	node *yaml.Node // nil: value is complete
	json any
}

// Documents reads all documents of a text: those of YAML, which "---" separates, or several JSON values in a row. A
// document without content is present with the value nil. The error is of the first document that cannot be read;
// those before it are returned.
func Documents(text []byte) ([]Document, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if start := bytes.TrimSpace(text); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		if documents, err := jsonDocuments(text); err == nil {
			return documents, nil
		}
	}
	var documents []Document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		node := new(yaml.Node)
		err := decoder.Decode(node)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return documents, err
		}
		documents = append(documents, Document{node: node})
	}
}

func jsonDocuments(text []byte) ([]Document, error) {
	var documents []Document
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for {
		var d Document
		err := decoder.Decode(&d.json)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
}

// Content is what a document says: an object is a map[string]any, a list a []any, a number a json.Number with the digits
// of the text, then string, bool and nil.
type Content struct {
	Value any
	// Twice has the paths of keys that are given more than once; the last one counts.
	Twice []string
	// Unquoted has the text of each value that YAML reads as a boolean although it is written otherwise, such as ON or
	// no, by its path.
	Unquoted map[string]string
}

// Envoy reads the document as Envoy reads its bootstrap: a key with the tag !ignore is left out, an integer over 32 bits
// and a number with a fraction are strings, and there are no merge keys.
func (d Document) Envoy() (Content, error) { return d.read(true) }

// Kubernetes reads the document as kubectl, helm and istioctl do.
func (d Document) Kubernetes() (Content, error) { return d.read(false) }

func (d Document) read(envoy bool) (Content, error) {
	if d.node == nil {
		return Content{Value: d.json}, nil
	}
	r := nodeReader{envoy: envoy, content: Content{Unquoted: make(map[string]string)}}
	value, err := r.read(d.node, "", 0)
	if err != nil {
		return Content{}, err
	}
	r.content.Value = value
	return r.content, nil
}

// nodeReader turns nodes of YAML into the values of JSON.
type nodeReader struct {
	envoy   bool
	inAlias bool
	aliased int // values that aliases stand for
	content Content
}

func (r *nodeReader) read(node *yaml.Node, path string, depth int) (any, error) {
	if r.inAlias {
		r.aliased++
	}
	if r.aliased > maxAliased || depth > maxDepth {
		return nil, fmt.Errorf("yaml: line %d: want values nested at most %d deep, and aliases of at most %d values", node.Line, maxDepth, maxAliased)
	}
	switch node.Kind {
	case yaml.DocumentNode:
		return r.read(node.Content[0], path, depth)
	case yaml.AliasNode:
		outer := r.inAlias
		r.inAlias = true
		value, err := r.read(node.Alias, path, depth+1)
		r.inAlias = outer
		return value, err
	case yaml.MappingNode:
		return r.object(node, path, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for i, element := range node.Content {
			value, err := r.read(element, fmt.Sprintf("%s[%d]", path, i), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.ScalarNode:
		value := r.scalar(node)
		if b, ok := value.(bool); ok && !strings.EqualFold(node.Value, strconv.FormatBool(b)) {
			r.content.Unquoted[path] = node.Value
		}
		return value, nil
	}
	return nil, nil //nolint:nilnil // a document without content
}

func (r *nodeReader) object(node *yaml.Node, path string, depth int) (any, error) {
	object := make(map[string]any, len(node.Content)/2)
	merged := make(map[string]any)
	for i := 0; i < len(node.Content); i += 2 {
		name, content := node.Content[i], node.Content[i+1]
		if r.envoy && name.Tag == "!ignore" {
			continue
		}
		key := name
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("yaml: line %d: want a text as the key", key.Line)
		}
		at := fault.Join(path, key.Value)
		if !r.envoy && key.Value == mergeKey && key.Style == 0 {
			if err := r.merge(content, merged, path, depth); err != nil {
				return nil, err
			}
			continue
		}
		if _, ok := object[key.Value]; ok {
			r.content.Twice = append(r.content.Twice, at)
			delete(r.content.Unquoted, at)
		}
		value, err := r.read(content, at, depth+1)
		if err != nil {
			return nil, err
		}
		object[key.Value] = value
	}
	for key, value := range merged {
		if _, ok := object[key]; !ok {
			object[key] = value
		}
	}
	return object, nil
}

// merge adds the keys of a mapping, or of a list of mappings, of which the first one counts.
func (r *nodeReader) merge(node *yaml.Node, to map[string]any, path string, depth int) error {
	value, err := r.read(node, path, depth+1)
	if err != nil {
		return err
	}
	sources, ok := value.([]any)
	if !ok {
		sources = []any{value}
	}
	for _, source := range sources {
		object, ok := source.(map[string]any)
		if !ok {
			return fmt.Errorf("yaml: line %d: want a mapping, or a list of mappings, to merge", node.Line)
		}
		for key, value := range object {
			if _, ok := to[key]; !ok {
				to[key] = value
			}
		}
	}
	return nil
}

func (r *nodeReader) scalar(node *yaml.Node) any {
	text := node.Value
	plain := node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	if !plain || !r.envoy && node.Style&yaml.TaggedStyle != 0 && node.ShortTag() == "!!str" {
		return text
	}
	switch text {
	case "", "~", "null", "Null", "NULL":
		return nil
	}
	if b, ok := parseBool(text); ok {
		return b
	}
	if r.envoy {
		return envoyNumber(text)
	}
	return number(text)
}

// parseBool reads a boolean of YAML 1.1.
func parseBool(text string) (value, ok bool) {
	lower := strings.ToLower(text)
	if text != lower && text != strings.ToUpper(text) && text != strings.ToUpper(text[:1])+lower[1:] {
		return false, false
	}
	switch lower {
	case "y", "yes", "true", "on":
		return true, true
	case "n", "no", "false", "off":
		return false, true
	}
	return false, false
}

// envoyNumber reads a number as Envoy does, which knows integers only; what else a field wants is read from the text.
func envoyNumber(text string) any {
	n, err := strconv.ParseInt(text, 0, 64)
	digits := strings.ToLower(strings.TrimLeft(text, "+-"))
	switch {
	case err != nil, strings.Contains(text, "_"), strings.HasPrefix(digits, "0b"), strings.HasPrefix(digits, "0o"):
		return text
	case n != int64(int32(n)):
		return strconv.FormatInt(n, 10)
	}
	return json.Number(strconv.FormatInt(n, 10))
}

// number reads a number of YAML 1.1, with its digits.
func number(text string) any {
	if json.Valid([]byte(text)) {
		return json.Number(text)
	}
	if n, ok := new(big.Int).SetString(text, 0); ok {
		return json.Number(n.String())
	}
	plain := strings.TrimPrefix(strings.ReplaceAll(text, "_", ""), "+")
	if slices.ContainsFunc([]byte(plain), func(c byte) bool { return !strings.ContainsRune("0123456789.eE+-", rune(c)) }) {
		return text
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil {
		return text
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
}
