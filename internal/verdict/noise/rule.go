package noise

import (
	"slices"
	"strings"

	"l4dump/internal/verdict/difference"
)

// Rule says which differences mean nothing. What is empty holds for all.
type Rule struct {
	Protocol string `yaml:"protocol,omitempty" json:"protocol,omitempty"`
	Class    string `yaml:"class,omitempty" json:"class,omitempty"` // as in a report; one that ends with "*" is a prefix
	Path     string `yaml:"path" json:"path"`                       // as in a report; one that ends with "*" is a prefix
	// Kinds that it takes, of value, length, order, type, added, removed, text. Empty: value and length.
	Kinds []string `yaml:"kinds,omitempty" json:"kinds,omitempty"`
	// Form that B's value must have. Empty: any.
	Form string `yaml:"form,omitempty" json:"form,omitempty"`
	// Length of B's value in bytes, at least and at most. Empty: any but nothing at all.
	Length []int  `yaml:"length,omitempty,flow" json:"length,omitempty"`
	Reason string `yaml:"reason" json:"reason"`

	known bool // by Known
}

// ruleKinds are the kinds that a rule may take, by their word in a noise file.
var ruleKinds = map[string]difference.Kind{
	"value": difference.Value, "length": difference.Length, "order": difference.Order, "type": difference.Type,
	"added": difference.Added, "removed": difference.Removed, "text": difference.ErrorText,
}

// takes reports whether d, of a class of a protocol, is what the rule is about.
func (r *Rule) takes(protocol, class string, d *difference.Difference) bool {
	return (r.Protocol == "" || r.Protocol == protocol) && matches(r.Class, class) && matches(r.Path, d.Path) &&
		r.takesKind(d.Kind) && r.fits(d)
}

func (r *Rule) takesKind(kind difference.Kind) bool {
	if len(r.Kinds) == 0 {
		return kind == difference.Value || kind == difference.Length
	}
	return slices.ContainsFunc(r.Kinds, func(word string) bool { k, ok := ruleKinds[word]; return ok && k == kind })
}

// fits reports whether B's value has the rule's shape. What is gone has none.
func (r *Rule) fits(d *difference.Difference) bool {
	if d.Kind == difference.Removed || d.Kind == difference.Order {
		return true
	}
	if r.Form != "" && (d.From > 0 || d.LengthB > len(d.B) || formsOf(d.B)&(1<<formNamed(r.Form)) == 0) {
		return false
	}
	if len(r.Length) == 2 {
		return r.Length[0] <= d.LengthB && d.LengthB <= r.Length[1]
	}
	return d.LengthB > 0
}

func formNamed(name string) Form { return Form(max(0, slices.Index(formNames[:], name))) }

// matches reports whether pattern is s, or if it ends with "*", begins it; empty matches all.
func matches(pattern, s string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, prefix)
	}
	return pattern == "" || pattern == s
}
