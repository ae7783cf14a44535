package protocol

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Path names a value of a message: the Part of a Field, and the steps from its Value inwards.
//
//	status                    the field itself
//	header:set-cookie[1]      the second item of an array or set
//	body:$.items[3].id        a member of a map, by key
//	body:$.items[*].id        in a rule: of any item
//	body:$['a.b']             a key with other characters than letters, digits, _ and -
//	body:$.prices.*           in a rule: of any key
//
//	header:'a.b'              a name with other characters
//
// The part ends before the first step, which begins with "." or "[".
type Path string

// Part returns the part of what has a kind and a name, as "header:date".
func Part(kind, name string) string {
	if isPlain(name) {
		return kind + ":" + name
	}
	return kind + ":'" + quoter.Replace(name) + "'"
}

// Step is one step of a Path.
type Step struct {
	Key   string // of a map
	Index int    // of an array or set, from 0, if IsKey is false
	IsKey bool
	Any   bool // * or [*]
}

// AppendKey returns the path of a map's member.
func (p Path) AppendKey(key string) Path {
	if isPlain(key) {
		return p + "." + Path(key)
	}
	return p + "['" + Path(quoter.Replace(key)) + "']"
}

// AppendIndex returns the path of an item.
func (p Path) AppendIndex(i int) Path { return p + "[" + Path(strconv.Itoa(i)) + "]" }

var (
	quoter   = strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	unquoter = strings.NewReplacer(`\\`, `\`, `\'`, `'`)
)

// isPlain says whether a key can follow a "." as it is.
func isPlain(key string) bool {
	for i := range len(key) {
		c := key[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && c != '-' {
			return false
		}
	}
	return key != ""
}

// Parse returns the part and the steps of a path, or of a rule.
func (p Path) Parse() (part string, steps []Step, err error) {
	text := string(p)
	end := strings.IndexAny(text, ".['")
	if end < 0 {
		end = len(text)
	}
	if end < len(text) && text[end] == '\'' {
		size := quoted(text[end+1:])
		if size < 0 {
			return "", nil, fmt.Errorf("parse path %q: want a ' at the end of the name", string(p))
		}
		end += size + 2
	}
	if end == 0 {
		return "", nil, fmt.Errorf("parse path %q: want a part, as status, header:date or body:$", string(p))
	}
	part, text = text[:end], text[end:]
	for text != "" {
		var step Step
		if step, text, err = cutStep(text); err != nil {
			return "", nil, fmt.Errorf("parse path %q: %w", string(p), err)
		}
		steps = append(steps, step)
	}
	return part, steps, nil
}

func cutStep(text string) (step Step, rest string, err error) {
	switch {
	case text == "." || strings.HasPrefix(text, ".."):
		return step, "", errors.New("want a key after the dot")
	case text[0] == '.':
		end := strings.IndexAny(text[1:], ".[") + 1
		if end == 0 {
			end = len(text)
		}
		key := text[1:end]
		if key == "*" {
			return Step{IsKey: true, Any: true}, text[end:], nil
		}
		if !isPlain(key) {
			return step, "", fmt.Errorf("key %q: want ['%s']", key, quoter.Replace(key))
		}
		return Step{IsKey: true, Key: key}, text[end:], nil
	case strings.HasPrefix(text, "[*]"):
		return Step{Any: true}, text[3:], nil
	case strings.HasPrefix(text, "['"):
		size := quoted(text[2:])
		if size < 0 || !strings.HasPrefix(text[2+size:], "']") {
			return step, "", errors.New("want '] at the end of a key")
		}
		return Step{IsKey: true, Key: unquoter.Replace(text[2 : 2+size])}, text[4+size:], nil
	case text[0] == '[':
		digits, rest, ok := strings.Cut(text[1:], "]")
		i, err := strconv.Atoi(digits)
		if !ok || err != nil || i < 0 || digits != strconv.Itoa(i) {
			return step, "", fmt.Errorf("want [*] or a number from 0 on in brackets, not %q", text)
		}
		return Step{Index: i}, rest, nil
	}
	return step, "", errors.New("want . or [ before the next step")
}

// quoted returns the length of what is before the ' that ends it, or -1.
func quoted(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '\'':
			return i
		}
	}
	return -1
}

// General returns the path with [*] for each index, which is what groups the items of arrays.
func (p Path) General() Path {
	part, steps, err := p.Parse()
	if err != nil {
		return p
	}
	general := Path(part)
	for _, step := range steps {
		switch {
		case !step.IsKey:
			general += "[*]"
		case step.Any:
			general += ".*"
		default:
			general = general.AppendKey(step.Key)
		}
	}
	return general
}

// Rule is a Path that may have * in it, ready to be held against many paths.
type Rule struct {
	part  string
	steps []Step
}

// ParseRule returns the rule that a text says.
func ParseRule(text string) (*Rule, error) {
	part, steps, err := Path(text).Parse()
	if err != nil {
		return nil, err
	}
	return &Rule{part, steps}, nil
}

// Covers says whether the rule names the value at a path, or one that it is in.
func (r *Rule) Covers(path Path) bool {
	part, steps, err := path.Parse()
	if err != nil || part != r.part || len(steps) < len(r.steps) {
		return false
	}
	for i, want := range r.steps {
		got := steps[i]
		if want.IsKey != got.IsKey || !want.Any && (want.Key != got.Key || want.Index != got.Index) {
			return false
		}
	}
	return true
}
