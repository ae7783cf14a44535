package noise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fileVersion is that of the noise file's form.
const fileVersion = 1

// MaxRules bounds a noise file.
const MaxRules = 10_000

type file struct {
	Version int    `yaml:"version"`
	Noise   []Rule `yaml:"noise"`
}

// Read reads a noise file:
//
//	version: 1
//	noise:
//	- class: GET /time
//	  path: body:$.now
//	  form: rfc3339
//	  length: [20, 30]
//	  reason: differs in 40 of 40 turns of the baseline from itself
//
// The error names each fault with the number of the rule, from 1.
func Read(r io.Reader) ([]Rule, error) {
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	var f file
	if err := decoder.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the noise file is empty, want version: 1 and noise: []")
		}
		return nil, err
	}
	if err := decoder.Decode(new(file)); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one document in a noise file")
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("version: want %d", fileVersion)
	}
	if len(f.Noise) > MaxRules {
		return nil, fmt.Errorf("noise: want at most %d rules", MaxRules)
	}
	var faults []error
	for i := range f.Noise {
		if err := f.Noise[i].check(); err != nil {
			faults = append(faults, fmt.Errorf("noise[%d]: %w", i+1, err))
		}
	}
	return f.Noise, errors.Join(faults...)
}

// check returns what is wrong with the rule.
func (r *Rule) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if r.Path == "" {
		fault(`path: want one as a report shows it, such as header:date, or "*"`)
	}
	if strings.TrimSpace(r.Reason) == "" {
		fault("reason: want one")
	}
	if r.Form != "" && !slices.Contains(formNames[:], r.Form) {
		fault("form: want one of %s", strings.Join(formNames[:], ", "))
	}
	for _, word := range r.Kinds {
		if _, ok := ruleKinds[word]; !ok {
			fault("kinds: want value, length, order, type, added, removed or text")
			break
		}
	}
	if n := len(r.Length); n != 0 && (n != 2 || r.Length[0] < 0 || r.Length[0] > r.Length[1]) {
		fault("length: want [least, most], in bytes")
	}
	return errors.Join(faults...)
}

// Format returns rules as a noise file.
func Format(rules []Rule) ([]byte, error) {
	var to bytes.Buffer
	encoder := yaml.NewEncoder(&to)
	encoder.SetIndent(2)
	if rules == nil {
		rules = []Rule{}
	}
	if err := encoder.Encode(file{fileVersion, rules}); err != nil {
		return nil, err
	}
	return to.Bytes(), encoder.Close()
}
